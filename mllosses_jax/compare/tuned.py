"""The thresholds of a loss as the file that `mllosses evaluate --thresholds` reads."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax.compare import bootstrap
from mllosses_jax.compare.experiment import Outcome
from mllosses_jax.compare.judgement import decide, f1_of_seeds
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import ThresholdReport
from mllosses_jax.decisions.threshold_file import Gain

Array = jax.Array


def threshold_report(
    outcome: Outcome, dataset: Dataset, resamples: bootstrap.Resamples, *, loss: str
) -> ThresholdReport:
    """Returns what tuning a threshold per label was worth to the models of one loss.

    The thresholds are the medians over the seeds (of an even number the lower one), `std`, `low`
    and `high` their spread over seeds instead of folds. F1 is that on the test part with each
    seed's own thresholds, the mean over seeds; the baseline is a threshold of 0, and `positives`
    are those of the test part.
    """
    assert dataset.y_test is not None
    labels, mask = jnp.asarray(dataset.y_test), dataset.mask_test
    where = jnp.ones_like(labels) if mask is None else jnp.asarray(mask)
    decided = decide(outcome)
    sets = {"tuned": decided["macro_f1_tuned"], "baseline": decided["macro_f1_at_half"]}
    by_label = {name: _f1_by_label(chosen, labels, where) for name, chosen in sets.items()}

    def gain(average: Literal["macro", "micro"]) -> Gain:
        values = {
            name: float(jnp.mean(f1_of_seeds(chosen, labels, where, average)))
            for name, chosen in sets.items()
        }
        drawn = bootstrap.f1_replicates(
            {f"{average} {name}": chosen for name, chosen in sets.items()},
            labels=labels,
            where=where,
            resamples=resamples,
        )
        difference = drawn[f"{average} tuned"] - drawn[f"{average} baseline"]
        interval = bootstrap.interval(values["tuned"] - values["baseline"], difference)
        return Gain(values["tuned"], values["baseline"], *interval)

    thresholds = outcome.label_thresholds
    return ThresholdReport(
        label_names=tuple(dataset.label_names),
        thresholds=np.quantile(thresholds, 0.5, axis=0, method="lower"),
        std=np.std(thresholds, axis=0),
        low=np.min(thresholds, axis=0),
        high=np.max(thresholds, axis=0),
        f=by_label["tuned"],
        baseline_f=by_label["baseline"],
        positives=(dataset.y_test & np.asarray(where)).sum(0, dtype=np.int32),
        macro=gain("macro"),
        micro=gain("micro"),
        settings={
            "inputs": "logits",
            "baseline": 0.0,
            "beta": 1.0,
            "loss": loss,
            "seeds": len(thresholds),
        },
    )


def _f1_by_label(sets: Array, labels: Array, where: Array) -> np.ndarray:
    values = np.asarray(f1_of_seeds(sets, labels, where, None)).mean(0)
    return np.where(np.isnan(values), 0, values)  # of a label of which nothing is known
