"""All metrics of given scores, without a threshold and of the decisions at given thresholds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mllosses_jax import decisions, metrics
from mllosses_jax._core.probabilities import ScoreKind
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.data.scores import NAMELESS, ScoreTable

METRICS = {  # in the order of the table
    "map": "mAP, macro",
    "map_micro": "mAP, micro",
    "map_weighted": "mAP, weighted",
    "roc_auc": "ROC AUC, macro",
    "lrap": "LRAP",
    "ranking_loss": "ranking loss",
    "coverage_error": "coverage error",
    "one_error": "one-error",
    "precision_at_1": "P@1",
    "precision_at_3": "P@3",
    "precision_at_5": "P@5",
    "ndcg_at_3": "nDCG@3",
    "ndcg_at_5": "nDCG@5",
    "r_precision_at_3": "R-precision@3",
    "r_precision_at_5": "R-precision@5",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "ece_uniform": "ECE, macro, uniform bins",
    "ece_quantile": "ECE, macro, quantile bins",
    "ece_relative": "ECE / prevalence, quantile bins",
}
OVERALL = ("OP", "OR", "OF1", "CP", "CR", "CF1")
AVERAGES = ("micro", "macro", "weighted", "samples")
TOP = (1, 3, 5)
SET_METRICS: Mapping[str, Callable[..., Any]] = {
    "f1": metrics.f1,
    "precision": metrics.precision,
    "recall": metrics.recall,
}


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        metrics: the metrics that need no threshold, by name; NaN where undefined.
        decisions: the metrics of the label sets at the thresholds; OP to CF1 in percent.
        per_label: the support, threshold and metrics of each label.
        counts: how many rows, labels and positives there are, and how many are unknown or leave a
            metric undefined.
    """

    metrics: dict[str, float]
    decisions: dict[str, float]
    per_label: dict[str, dict[str, float]]
    counts: dict[str, int]


def in_precision_of(scores: NDArray[Any]) -> AbstractContextManager[None]:
    """Enables float64 if the scores have it: float32 rounds a probability of 1 − 10⁻⁸ to 1."""
    double = np.float64 in {scores.dtype.type, jnp.result_type(float).type}
    precision: AbstractContextManager[None] = jax.enable_x64(double)
    return precision


def evaluate(
    table: ScoreTable, thresholds: float | NDArray[Any] | decisions.ThresholdReport
) -> Evaluation:
    """Computes every metric of scores.

    Args:
        table: scores and labels.
        thresholds: one for all labels, one per label, or the report of `tune`, whose labels may
            be in another order.

    Returns:
        The metrics. Macro averages of AP, AUC and relative ECE leave out labels without positives,
        as by default in `mllosses_jax.metrics`, whose docstrings define every metric.

    Raises:
        UsageError: the report is for other labels, or for another kind of scores.
    """
    if isinstance(thresholds, decisions.ThresholdReport):
        thresholds = in_order(thresholds, table)
    with in_precision_of(table.scores):
        given = (table.scores, table.labels)
        where = table.where
        limits = np.broadcast_to(np.asarray(thresholds, table.scores.dtype), table.labels.shape[1:])
        found = jax.device_get(_values(*given, where, limits, table.inputs))
        by_label = dict(found.by_label)
        by_label["average_precision"] = metrics.average_precision(*given, average=None, where=where)
        by_label["roc_auc"] = metrics.roc_auc(*given, average=None, where=where)
        columns = {name: np.asarray(values).tolist() for name, values in by_label.items()}
    known = table.known()
    columns = {
        "support": table.labels.sum(0).tolist(),
        "known": known.sum(0).tolist(),
        "threshold": limits.tolist(),
        **{name: columns[name] for name in _LABEL_COLUMNS},
    }
    return Evaluation(
        metrics={name: float(found.overall[name]) for name in METRICS if name in found.overall},
        decisions={name: float(found.decisions[name]) for name in _DECISIONS},
        per_label={
            name: dict(zip(columns, row, strict=True))
            for name, row in zip(
                table.label_names, zip(*columns.values(), strict=True), strict=True
            )
        },
        counts=_counts(table, known),
    )


_DECISIONS = (
    *(f"{name}_{average}" for name in SET_METRICS for average in AVERAGES),
    "hamming_loss",
    "subset_accuracy",
    *OVERALL,
)
_LABEL_COLUMNS = ("average_precision", "roc_auc", *SET_METRICS, "brier_score", "ece")


class _Values(NamedTuple):
    """The metrics of the scores, of the decisions, and of each label (L,), by name."""

    overall: dict[str, Any]
    decisions: dict[str, Any]
    by_label: dict[str, Any]


def overall_and_decisions(
    scores: Any, labels: Any, where: Any = None, *, limits: Any, inputs: ScoreKind
) -> dict[str, Any]:
    """Returns all metrics but those of each label, by name, under any transformation too.

    Args:
        scores: (N, L).
        labels: (N, L).
        where: (N, L), or None if all labels are known.
        limits: (L,), the thresholds of the decisions.
        inputs: what the scores are.
    """
    found = _values(scores, labels, where, limits, inputs)
    return {**found.overall, **found.decisions}


def _values(scores: Any, labels: Any, where: Any, limits: Any, inputs: ScoreKind) -> _Values:
    given = (scores, labels)
    found: _Values = _compiled(*given, where, limits, inputs=inputs)
    curves = {
        "map": metrics.average_precision(*given, where=where),
        **{
            f"map_{average}": metrics.average_precision(*given, average=average, where=where)
            for average in ("micro", "weighted")
        },
        "roc_auc": metrics.roc_auc(*given, where=where),
        "lrap": metrics.label_ranking_average_precision(*given, where=where),
        "ranking_loss": metrics.label_ranking_loss(*given, where=where),
    }
    return found._replace(overall={**curves, **found.overall})


@functools.partial(jax.jit, static_argnames="inputs")
def _compiled(scores: Any, labels: Any, where: Any, limits: Any, inputs: Any) -> _Values:
    """Returns the metrics that are fastest as one program; the others sort on the host."""
    sizes = [k for k in TOP if k <= scores.shape[1]]
    mask = {"where": where}
    overall: dict[str, Any] = {
        "coverage_error": metrics.coverage_error(scores, labels, **mask),
        "one_error": metrics.one_error(scores, labels, **mask),
    }
    for name, metric, first in (
        ("precision", metrics.precision_at_k, 1),
        ("ndcg", metrics.ndcg_at_k, 3),
        ("r_precision", metrics.r_precision_at_k, 3),
    ):
        for k in sizes:
            if k >= first:
                overall[f"{name}_at_{k}"] = metric(scores, labels, k, **mask)
    overall |= probability_metrics(scores, labels, inputs=inputs, where=where)
    sets = decisions.apply_thresholds(scores, limits)
    by_label = {
        "brier_score": metrics.brier_score(scores, labels, inputs=inputs, average=None, **mask),
        "ece": metrics.expected_calibration_error(
            scores, labels, inputs=inputs, average=None, **mask
        ),
    }
    decided = {}
    for name, metric in SET_METRICS.items():
        by_label[name] = metric(sets, labels, average=None, **mask)
        for average in AVERAGES:
            decided[f"{name}_{average}"] = metric(sets, labels, average=average, **mask)
    decided["hamming_loss"] = metrics.hamming_loss(sets, labels, **mask)
    decided["subset_accuracy"] = metrics.subset_accuracy(sets, labels, **mask)
    coco = metrics.overall_and_per_class(scores, labels, threshold=limits, **mask)
    decided |= {name: value for name, value in coco._asdict().items() if name != "mAP"}
    return _Values(overall, decided, by_label)


@functools.partial(jax.jit, static_argnames="inputs")
def probability_metrics(scores: Any, labels: Any, *, inputs: Any, where: Any) -> dict[str, Any]:
    """Returns metrics of scores as probabilities; lower is better in each of them."""
    options = {"inputs": inputs, "where": where}
    error = metrics.expected_calibration_error
    return {
        "log_loss": metrics.binary_log_loss(scores, labels, **options),
        "brier_score": metrics.brier_score(scores, labels, **options),
        "ece_uniform": error(scores, labels, **options),
        "ece_quantile": error(scores, labels, binning="quantile", **options),
        "ece_relative": error(scores, labels, binning="quantile", relative=True, **options),
    }


def in_order(report: decisions.ThresholdReport, table: ScoreTable) -> NDArray[Any]:
    """Returns the thresholds of a report in the order of a table's labels.

    Raises:
        UsageError: the report is for other labels, or for another kind of scores.
    """
    tuned_on = report.settings.get("inputs")
    if tuned_on != table.inputs:
        raise UsageError(
            f"the thresholds were tuned on {tuned_on}, but these scores are {table.inputs}; "
            f"evaluate the {tuned_on} they were made from, or tune on held-out {table.inputs}"
        )
    try:
        return report.thresholds_for(table.label_names)
    except ValueError as error:
        remedy = "tune them again for these labels" if table.named else NAMELESS
        raise UsageError(f"{error}; {remedy}") from None


def _counts(table: ScoreTable, known: NDArray[np.bool_]) -> dict[str, int]:
    rows, labels = table.labels.shape
    negatives = known & ~table.labels
    observed = known.any(0)
    return {
        "rows": rows,
        "labels": labels,
        "positives": int(table.labels.sum()),
        "unknown_entries": int((~known).sum()),
        "labels_unknown": int((~observed).sum()),
        "labels_without_positives": int((observed & ~table.labels.any(0)).sum()),
        "labels_without_negatives": int((observed & ~negatives.any(0)).sum()),
        "rows_unknown": int((~known.any(1)).sum()),
        "rows_without_positives": int((known.any(1) & ~table.labels.any(1)).sum()),
    }
