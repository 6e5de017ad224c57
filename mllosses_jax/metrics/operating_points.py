"""The best point of a precision-recall curve under a constraint, and the threshold that attains it.

Both are exact: one sort per label, tied scores taken as one cut-off.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled, step
from mllosses_jax._core.ordering import Packed, ranking_of, scores_of_keys
from mllosses_jax.metrics._averaging import Average, Undefined, refuses_undefined
from mllosses_jax.metrics._rows import Facts, averaged, prepared, ranked_rows

Array = jax.Array


class OperatingPoint(NamedTuple):
    """What can be attained under a constraint, and where.

    Attributes:
        value: the best value, averaged: (), or (L,) with average=None.
        thresholds: the cut-offs that attain it, for `mll.decisions.apply_thresholds`: (L,); (N,)
            with average="samples", () with "micro". Infinity, which predicts nothing, where the
            constraint cannot be met or nothing is positive; NaN where a score is.
    """

    value: Array
    thresholds: Array


@refuses_undefined
@compiled(host=True, precision=(0, 1))
def recall_at_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    precision: ArrayLike,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> OperatingPoint:
    """Recall at a fixed precision: the highest recall whose precision is at least that.

    Formula:
        max R(t) over the scores t with P(t) ≥ p (up to rounding), where P and R are precision and
        recall of [s ≥ t]; 0 where no t has that precision

    Args:
        scores: float array (N, L), of any monotone scale: logits do.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        precision: p, the least precision in [0, 1], a scalar.
        average: "macro", the mean over labels, each with its own threshold; "weighted", weighted
            by the number of positives; "samples", the mean over rows; "micro", all entries as one
            with one threshold; None, per label.
        undefined: what a label (or row) without positives is: "skip" leaves it out of the mean;
            "nan" makes the mean NaN; "zero" counts it as 0. With average=None it is NaN, or 0 for
            "zero". "raise" refuses it, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it and a row without any are in no mean.

    Returns:
        An `OperatingPoint`, in float32 or the wider dtype of the scores; its value is NaN where a
        score that counts is NaN, and where nothing is defined. Of equally good cut-offs the
        threshold is the highest, which is the most precise.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, precision is not in [0, 1], an option is unknown, or with
            undefined="raise" if a value is not defined, or under a transformation.

    Reference:
        `torchmetrics.functional.classification.multilabel_recall_at_fixed_precision(scores,
        labels, ..., thresholds=None)` is average=None with "zero"; its threshold is NaN where
        ours is infinite.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9], [0.6], [0.5], [0.3]])
        >>> labels = jnp.array([[1], [0], [1], [1]])
        >>> value, thresholds = metrics.recall_at_precision(scores, labels, precision=0.8)
        >>> print(f"{value:.4f} at {thresholds[0]:.1f}")
        0.3333 at 0.9
    """
    inputs, facts = prepared(scores, labels, where, average=average)
    rows = ranked_rows(inputs, average)
    values, thresholds = _best_points(rows, facts, precision, maximised="recall")
    return _point(values, thresholds, facts, average, undefined)


@refuses_undefined
@compiled(host=True, recall=(0, 1))
def precision_at_recall(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    recall: ArrayLike,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> OperatingPoint:
    """Precision at a fixed recall: the highest precision whose recall is at least that.

    Formula:
        max P(t) over the scores t with R(t) ≥ r (up to rounding), where P and R are
        precision and recall of [s ≥ t]

    Args:
        scores: float array (N, L), of any monotone scale: logits do.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        recall: r, the least recall in [0, 1], a scalar.
        average: "macro", the mean over labels, each with its own threshold; "weighted", weighted
            by the number of positives; "samples", the mean over rows; "micro", all entries as one
            with one threshold; None, per label.
        undefined: what a label (or row) without positives is: "skip" leaves it out of the mean;
            "nan" makes the mean NaN; "zero" counts it as 0. With average=None it is NaN, or 0 for
            "zero". "raise" refuses it, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it and a row without any are in no mean.

    Returns:
        An `OperatingPoint`, in float32 or the wider dtype of the scores; its value is NaN where a
        score that counts is NaN, and where nothing is defined. Of equally precise cut-offs the
        threshold is the lowest, which recalls the most.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, recall is not in [0, 1], an option is unknown, or with
            undefined="raise" if a value is not defined, or under a transformation.

    Reference:
        `torchmetrics.functional.classification.multilabel_precision_at_fixed_recall(scores,
        labels, ..., thresholds=None)` is average=None with "zero"; its threshold is NaN where
        ours is infinite. (A label without positives has recall 1 there.)

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9], [0.6], [0.5], [0.3]])
        >>> labels = jnp.array([[1], [0], [1], [0]])
        >>> value, thresholds = metrics.precision_at_recall(scores, labels, recall=0.8)
        >>> print(f"{value:.4f} at {thresholds[0]:.1f}")
        0.6667 at 0.5
    """
    inputs, facts = prepared(scores, labels, where, average=average)
    rows = ranked_rows(inputs, average)
    values, thresholds = _best_points(rows, facts, recall, maximised="precision")
    return _point(values, thresholds, facts, average, undefined)


@step("maximised")
def _best_points(
    rows: Packed,
    facts: Facts,
    floor: ArrayLike,
    *,
    maximised: Literal["precision", "recall"],
) -> tuple[Array, Array]:
    """Returns the highest precision or recall of each row and its score, with a floor on the other.

    Of equally high recalls the first cut-off is the most precise; of equally high precisions the
    last one recalls the most.
    """
    ranking = ranking_of(rows)
    dtype = ranking.score_dtype()
    hits = ranking.running_count(ranking.positive)[0].astype(dtype)
    predicted = ranking.rank.astype(dtype)
    positives = jnp.maximum(facts.positives, 1)[:, None].astype(dtype)
    # A fraction that is the floor must pass, however both were rounded.
    least = checks.scalar("precision" if maximised == "recall" else "recall", floor, dtype)
    least = least * (1 - 4 * jnp.finfo(dtype).eps)
    is_cut = ranking.group_end & (ranking.keys != jnp.iinfo(ranking.keys.dtype).max)
    if maximised == "recall":
        values, allowed = hits / positives, is_cut & (hits >= least * predicted)
        best = jnp.argmax(jnp.where(allowed, values, -1), axis=1, keepdims=True)
    else:
        values, allowed = hits / predicted, is_cut & (hits >= least * positives)
        last = jnp.argmax(jnp.where(allowed, values, -1)[:, ::-1], axis=1, keepdims=True)
        best = allowed.shape[1] - 1 - last

    highest = jnp.take_along_axis(jnp.where(allowed, values, 0), best, axis=1)[:, 0]
    keys = jnp.take_along_axis(ranking.keys, best, axis=1)[:, 0]
    return highest, jnp.where(highest > 0, scores_of_keys(keys, dtype), jnp.inf)


def _point(
    values: Array, thresholds: Array, facts: Facts, average: Average, undefined: Undefined
) -> OperatingPoint:
    value = averaged(values, facts.positives > 0, facts, average=average, undefined=undefined)
    thresholds = jnp.where(facts.broken, jnp.nan, thresholds)
    return OperatingPoint(value, thresholds[0] if average == "micro" else thresholds)
