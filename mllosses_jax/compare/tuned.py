"""The thresholds of a loss as the file that `mllosses evaluate --thresholds` reads."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare import resampling
from mllosses_jax.compare.intervals import DIFFERENCE, interval
from mllosses_jax.compare.judgement import decide
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import ThresholdReport
from mllosses_jax.decisions.threshold_file import Gain
from mllosses_jax.metrics import f1


def threshold_report(
    outcome: Outcome, dataset: Dataset, weights: resampling.Floats, *, loss: str
) -> ThresholdReport:
    """Returns what tuning a threshold per label was worth to the models of one loss.

    The thresholds were tuned once, on held-out scores of all parts together, so that `std` is 0 and
    `low` and `high` are the threshold. F1 is that on the test part, the mean over the models; the
    baseline is a threshold of 0, and `positives` are those of the test part.
    """
    assert dataset.y_test is not None
    labels, mask = dataset.y_test, dataset.mask_test
    where = np.ones_like(labels) if mask is None else mask
    decided = decide(outcome)
    sets = {"tuned": decided["macro_f1_tuned"], "baseline": decided["macro_f1_at_half"]}

    def by_label(name: str) -> NDArray[np.float64]:
        found = [f1(chosen, labels, average=None, where=where) for chosen in sets[name]]
        values = np.mean(np.asarray(found, np.float64), axis=0)
        return np.where(np.isnan(values), 0, values)  # of a label of which nothing is known

    def gain(average: Literal["macro", "micro"]) -> Gain:
        values = {
            name: np.array([float(f1(s, labels, average=average, where=where)) for s in chosen])
            for name, chosen in sets.items()
        }
        drawn = resampling.f1_figures(
            {f"{average} {name}": chosen for name, chosen in sets.items()},
            labels=labels,
            where=where,
            weights=weights,
        )
        found = interval(
            values["tuned"] - values["baseline"],
            (drawn[f"{average} tuned"] - drawn[f"{average} baseline"]).mean(0),
            bounds=DIFFERENCE,
            num_rows=len(labels),
            varies=outcome.varies,
        )
        means = {name: float(value.mean()) for name, value in values.items()}
        return Gain(means["tuned"], means["baseline"], found.low, found.high)

    thresholds = outcome.decisions.label_thresholds
    return ThresholdReport(
        label_names=tuple(dataset.label_names),
        thresholds=thresholds,
        std=np.zeros_like(thresholds),
        low=thresholds,
        high=thresholds,
        f=by_label("tuned"),
        baseline_f=by_label("baseline"),
        positives=(labels & where).sum(0, dtype=np.int32),
        macro=gain("macro"),
        micro=gain("micro"),
        settings={"inputs": "logits", "baseline": 0.0, "beta": 1.0, "loss": loss},
    )
