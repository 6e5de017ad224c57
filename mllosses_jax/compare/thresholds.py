"""The thresholds of a loss as the files that `mllosses evaluate --thresholds` reads."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.intervals import DIFFERENCE, interval
from mllosses_jax.compare import resampling
from mllosses_jax.compare.judgment import decide
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import ThresholdReport
from mllosses_jax.decisions.threshold_file import Gain
from mllosses_jax.metrics import f1


class Thresholds(NamedTuple):
    """The thresholds of one loss.

    Attributes:
        by_label: one threshold per label, tuned for macro-F1, or None if there are none.
        common: the same threshold for all labels, tuned for micro-F1.
    """

    by_label: ThresholdReport | None
    common: ThresholdReport


def thresholds(
    outcome: Outcome, dataset: Dataset, weights: resampling.Floats, *, loss: str
) -> Thresholds:
    """Returns both kinds of thresholds, with their gain on the test part."""
    decided = decide(outcome)
    common = np.full_like(outcome.decisions.label_thresholds, outcome.decisions.global_threshold)

    def report(chosen: NDArray[np.float32], name: str) -> ThresholdReport:
        sets = {"tuned": decided[name], "baseline": decided["macro_f1_at_half"]}
        return _report(chosen, sets, outcome, dataset, weights, loss)

    return Thresholds(
        report(outcome.decisions.label_thresholds, "macro_f1_tuned"),
        report(common, "micro_f1_tuned"),
    )


def _report(
    chosen: NDArray[np.float32],
    sets: dict[str, NDArray[np.bool_]],
    outcome: Outcome,
    dataset: Dataset,
    weights: resampling.Floats,
    loss: str,
) -> ThresholdReport:
    """Returns the report of thresholds, which predict the sets "tuned" instead of "baseline".

    The thresholds were tuned once, on held-out scores of all parts together, so `std` is 0, and
    `low` and `high` equal the threshold. F1 is the mean over the models on the test part, the
    baseline is a threshold of 0, and `num_positives` counts the positives of the test part.
    """
    assert dataset.y_test is not None
    labels, where = dataset.y_test, dataset.known_test

    def by_label(name: str) -> NDArray[np.float64]:
        found = [f1(decided, labels, average=None, where=where) for decided in sets[name]]
        values = np.mean(np.asarray(found, np.float64), axis=0)
        return np.where(np.isnan(values), 0, values)  # NaN: no test label is known

    def gain(average: Literal["macro", "micro"]) -> Gain:
        values = {
            name: np.array([float(f1(s, labels, average=average, where=where)) for s in decided])
            for name, decided in sets.items()
        }
        drawn = resampling.f1_figures(
            {f"{average} {name}": decided for name, decided in sets.items()},
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

    return ThresholdReport(
        label_names=tuple(dataset.label_names),
        thresholds=chosen,
        std=np.zeros_like(chosen),
        low=chosen,
        high=chosen,
        f=by_label("tuned"),
        baseline_f=by_label("baseline"),
        num_positives=(labels & where).sum(0, dtype=np.int32),
        macro=gain("macro"),
        micro=gain("micro"),
        settings={"inputs": "logits", "baseline": 0.0, "beta": 1.0, "loss": loss},
    )
