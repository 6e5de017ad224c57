"""Intervals of all metrics of given scores, and of their differences to those of a baseline."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from mllosses_jax import metrics
from mllosses_jax._core.intervals import Interval
from mllosses_jax._core.probabilities import ScoreKind
from mllosses_jax.cli.console import grid, number, paragraph
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.score_metrics import (
    AVERAGES,
    METRICS,
    OVERALL,
    SET_METRICS,
    Evaluation,
    in_precision_of,
    overall_and_decisions,
)
from mllosses_jax.data.scores import ScoreTable, read_scores_and_labels

RESAMPLES = 200
LEVEL = 0.95
LOWER_IS_BETTER = {
    *("ranking_loss", "coverage_error", "one_error", "log_loss", "brier_score", "ece_uniform"),
    *("ece_quantile", "ece_relative", "hamming_loss"),
}
DECISIONS = {
    **{
        f"{name}_{average}": f"{heading}, {average}"
        for name, heading in zip(SET_METRICS, ("F1", "precision", "recall"), strict=True)
        for average in AVERAGES
    },
    "hamming_loss": "Hamming loss",
    "subset_accuracy": "subset accuracy",
}
_BOUNDS = {
    **dict.fromkeys(OVERALL, (0.0, 100.0)),
    **dict.fromkeys(("coverage_error", "log_loss", "ece_relative"), (-math.inf, math.inf)),
}

Intervals = Mapping[str, Interval]


def intervals(
    table: ScoreTable,
    thresholds: float | NDArray[Any],
    *,
    num_resamples: int,
    baseline: NDArray[np.floating] | None = None,
) -> dict[str, Interval]:
    """Returns the 95 % interval of each metric, or of its difference to that of a baseline.

    Args:
        table: scores and labels.
        thresholds: those of the decisions, (L,) or one for all labels.
        num_resamples: the number of resamples of the rows, which are always the same.
        baseline: (N, L), the scores to compare with.
    """
    with in_precision_of(table.scores):
        limits = np.broadcast_to(np.asarray(thresholds, table.scores.dtype), table.labels.shape[1:])
        metric = functools.partial(overall_and_decisions, limits=limits, inputs=table.inputs)
        named = jax.eval_shape(metric, table.scores, table.labels, table.where)
        found = metrics.bootstrap(
            metric,
            table.scores,
            table.labels,
            baseline=None if baseline is None else baseline.astype(table.scores.dtype),
            where=table.where,
            key=jax.random.key(0),
            num_resamples=num_resamples,
            level=LEVEL,
            bounds={name: _BOUNDS.get(name, (0.0, 1.0)) for name in named},
        )
    return {
        name: Interval(float(mean), float(found.low[name]), float(found.high[name]), decided=True)
        for name, mean in found.estimate.items()
    }


def read_baseline(
    path: Path, table: ScoreTable, labels: Path, inputs: ScoreKind | None
) -> ScoreTable:
    """Reads the scores of a baseline for the rows of a table.

    Args:
        path: the file.
        table: the scores to compare with it.
        labels: the file of their labels.
        inputs: what the scores are, or None if the file says so.

    Returns:
        The scores, with labels in the order that those of the table have.

    Raises:
        UsageError: the file is for other labels, or holds another kind of scores.
        DataError: the file is broken or does not match the labels.
    """
    found = read_scores_and_labels(path, labels, inputs=inputs)
    if found.inputs != table.inputs:
        raise UsageError(
            f"{path}: holds {found.inputs}, but the scores to compare are {table.inputs}; give "
            "both as the same"
        )
    if set(found.label_names) != set(table.label_names):
        raise UsageError(f"{path}: names other labels than the scores to compare")
    place = {name: column for column, name in enumerate(found.label_names)}
    order = [place[name] for name in table.label_names]
    if not np.array_equal(found.known()[:, order], table.known()):
        raise UsageError(
            f"{path}: leaves other labels unknown than the scores to compare; mark the same "
            "entries in both"
        )
    return ScoreTable(
        scores=found.scores[:, order],
        labels=table.labels,
        where=table.where,
        label_names=table.label_names,
        inputs=table.inputs,
        named=table.named,
    )


def mark(name: str, difference: Interval) -> str:
    """Returns the mark of a difference of a metric, by the rule of `mllosses compare`."""
    return difference.mark(higher_is_better=name not in LOWER_IS_BETTER)


def intervals_text(found: Intervals, at: str, *, num_resamples: int) -> str:
    """Returns each metric with its interval as text."""
    tables = []
    for heading, names in (("without a threshold", METRICS), (f"at {at}", DECISIONS)):
        rows = [
            [text, number(found[name].mean), _ends(found[name])]
            for name, text in names.items()
            if name in found
        ]
        tables += [*grid([heading, "", "95 % interval"], rows), ""]
    return "\n".join([*tables, *paragraph(_how(num_resamples))])


def comparison_text(
    pair: tuple[Evaluation, Evaluation], found: Intervals, at: str, *, num_resamples: int
) -> str:
    """Returns each metric beside that of the baseline as text, with the interval and the mark.

    Args:
        pair: the metrics of the scores, and those of the baseline.
        found: the differences.
        at: what the thresholds of the decisions are called.
        num_resamples: the number of resamples.
    """
    tables = []
    for heading, names in (("without a threshold", METRICS), (f"at {at}", DECISIONS)):
        rows = []
        for name, text in names.items():
            if name not in found:
                continue
            values = [{**each.metrics, **each.decisions}[name] for each in pair]
            rows.append([text, *map(number, values), _ends(found[name]), mark(name, found[name])])
        columns = [heading, "scores", "baseline", "95 % of difference", "mark"]
        tables += [*grid(columns, rows), ""]
    how = (
        f"{_how(num_resamples)} Both are judged on the same resamples and decided by the same "
        "thresholds. + is better than the baseline, - is worse; without a mark, the difference may "
        "be chance. Marks allow for one metric, not for all of them together."
    )
    return "\n".join([*tables, *paragraph(how)])


def _ends(found: Interval) -> str:
    return f"{number(found.low)} to {number(found.high)}"


def _how(num_resamples: int) -> str:
    return f"Intervals are from {num_resamples} resamples of the rows."
