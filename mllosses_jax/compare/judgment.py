"""Metrics on the test part, with intervals and differences to a baseline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax import metrics
from mllosses_jax._core.intervals import (
    ANY,
    DIFFERENCE,
    FIGURE,
    LEVEL,
    Interval,
    interval,
    simultaneous_level,
)
from mllosses_jax.compare import resampling
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import apply_thresholds

NUM_RESAMPLES = 1000
MANY_LABELS = 20  # with at least as many, the first few of the ranking are judged too


class Metric(NamedTuple):
    """A metric of the tables.

    Attributes:
        heading: the heading of its column, in one line or two.
        higher_is_better: whether higher values are better, rather than lower ones.
        needs_origin: whether it takes a logit of 0 for the loss's own decision threshold, which
            losses that only order the labels do not have.
    """

    heading: str
    higher_is_better: bool = True
    needs_origin: bool = False


METRICS = {
    "map": Metric("mAP"),
    "roc_auc": Metric("ROC AUC"),
    "macro_f1_at_half": Metric("macro-F1\nat 0.5", needs_origin=True),
    "macro_f1_tuned": Metric("macro-F1\ntuned"),
    "micro_f1_tuned": Metric("micro-F1\ntuned"),
    "calibration_error": Metric("ECE", False, needs_origin=True),
    "calibration_error_platt": Metric("ECE\nPlatt", False),
    "ranking_loss": Metric("ranking\nloss", False),
    "lrap": Metric("LRAP"),
    "precision_at_1": Metric("P@1"),
    "precision_at_3": Metric("P@3"),
    "precision_at_5": Metric("P@5"),
    "ndcg_at_5": Metric("nDCG@5"),
}
OF_MANY = ("precision_at_3", "precision_at_5", "ndcg_at_5")


@dataclasses.dataclass(frozen=True)
class Judgment:
    """The metrics of one loss.

    Attributes:
        values: (M,) by metric: one value per model, on the test part; NaN where it diverged.
        replicates: (R,) by metric: the mean over the models on each resample of the test rows.
        varies: whether the models depend on the seed.
        num_rows: the number of test rows.
        unbounded: metrics whose values may lie outside of [0, 1].
    """

    values: dict[str, NDArray[np.float64]]
    replicates: dict[str, NDArray[np.float64]]
    varies: bool
    num_rows: int
    unbounded: frozenset[str] = frozenset()

    def figure(self, metric: str) -> Interval:
        """Returns a metric with its interval."""
        return interval(
            self.values[metric],
            self.replicates[metric],
            bounds=ANY if metric in self.unbounded else FIGURE,
            num_rows=self.num_rows,
            varies=self.varies,
        )

    def difference(self, baseline: Judgment, metric: str, level: float = LEVEL) -> Interval:
        """Returns a metric minus that of the baseline, on the same resamples and seeds."""
        return interval(
            self.values[metric] - baseline.values[metric],
            self.replicates[metric] - baseline.replicates[metric],
            bounds=ANY if metric in self.unbounded else DIFFERENCE,
            num_rows=self.num_rows,
            varies=self.varies or baseline.varies,
            level=level,
        )


def simultaneous(
    judgments: Mapping[str, Judgment], baseline: Judgment, metric: str
) -> dict[str, Interval]:
    """Returns differences to the baseline with intervals that hold together in 95 % of cases."""
    level = simultaneous_level(
        [each.values[metric] - baseline.values[metric] for each in judgments.values()],
        [each.replicates[metric] - baseline.replicates[metric] for each in judgments.values()],
        num_rows=baseline.num_rows,
    )
    return {label: each.difference(baseline, metric, level) for label, each in judgments.items()}


def metric_names(num_labels: int) -> list[str]:
    """Returns the metrics that are computed for this many labels."""
    return [name for name in METRICS if num_labels >= MANY_LABELS or name not in OF_MANY]


def decide(outcome: Outcome) -> dict[str, NDArray[np.bool_]]:
    """Returns the predicted label sets (M, N, L), by the F1 metric that they are for."""
    scores = outcome.test_scores
    return {
        "macro_f1_at_half": scores > 0,  # sigmoid > 0.5
        "macro_f1_tuned": np.asarray(apply_thresholds(scores, outcome.decisions.label_thresholds)),
        "micro_f1_tuned": np.asarray(apply_thresholds(scores, outcome.decisions.global_threshold)),
    }


def judge(outcome: Outcome, dataset: Dataset, weights: resampling.Floats) -> Judgment:
    """Returns the metrics of each model and of each resample; NaN where training diverged.

    Args:
        outcome: the outcome of one loss.
        dataset: the data set, whose test part has the true labels.
        weights: the weights of the resamples, from `resampling.draw`.
    """
    assert dataset.y_test is not None
    labels, where = dataset.y_test, dataset.known_test
    names = metric_names(labels.shape[1])
    scores = outcome.test_scores
    if not np.isfinite(scores).all():
        nothing = {name: np.full(len(scores), math.nan) for name in names}
        undefined = {name: np.full(weights.shape[1], math.nan) for name in names}
        return Judgment(nothing, undefined, outcome.varies, len(labels))
    # The first column of the weights stands for the test part itself.
    whole = np.concatenate([np.ones((len(labels), 1), np.float32), weights], axis=1)
    found = resampling.figures(
        scores,
        predictions=decide(outcome),
        row_values=_row_values(scores, labels, where),
        labels=labels,
        where=where,
        weights=whole,
        probabilities=np.asarray(jax.nn.sigmoid(scores)),
    )
    calibrated = np.asarray(outcome.decisions.calibrator(scores))
    found["calibration_error_platt"] = np.stack(
        [
            resampling.over_labels(resampling.calibration_errors(each, labels, where, whole))
            for each in calibrated
        ]
    )
    return Judgment(
        {name: found[name][:, 0] for name in names},
        {name: found[name][:, 1:].mean(0) for name in names},
        outcome.varies,
        len(labels),
    )


def _row_values(
    scores: NDArray[Any], labels: NDArray[np.bool_], where: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Returns the metrics that are means over rows, by row (M, N); NaN if no label is known."""
    found = [_of_rows(each, labels, where) for each in scores]
    known = where.any(axis=1)
    return {
        name: np.stack([np.where(known, values[name], np.nan) for values in found], dtype=float)
        for name in found[0]
    }


@jax.jit
def _of_rows(scores: Array, labels: Array, where: Array) -> dict[str, Array]:
    many = labels.shape[1] >= MANY_LABELS

    def of_row(row: Array, truth: Array, counts: Array) -> dict[str, Array]:
        one, known = (row[None, :], truth[None, :]), counts[None, :]
        values = {
            "ranking_loss": metrics.label_ranking_loss(*one, where=known),
            "lrap": metrics.label_ranking_average_precision(*one, where=known),
            "precision_at_1": metrics.precision_at_k(*one, 1, where=known),
        }
        if many:
            values["precision_at_3"] = metrics.precision_at_k(*one, 3, where=known)
            values["precision_at_5"] = metrics.precision_at_k(*one, 5, where=known)
            values["ndcg_at_5"] = metrics.ndcg_at_k(*one, 5, where=known)
        return values

    result: dict[str, Array] = jax.vmap(of_row)(
        jnp.asarray(scores), jnp.asarray(labels), jnp.asarray(where)
    )
    return result
