"""The best point of a curve under a constraint, and the threshold that attains it.

Both are exact: they sort once per label and treat tied scores as one cut-off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import Ranking, scores_of_keys
from mllosses_jax._core.sets import Scored, scored
from mllosses_jax.metrics._averaging import (
    Average,
    Undefined,
    check_average,
    refuses_undefined,
)
from mllosses_jax.metrics._ranked_rows import of_ranked_rows
from mllosses_jax.metrics._rows import Facts, averaged, facts_of


class OperatingPoint(NamedTuple):
    """The best value that can be attained under a constraint, and the thresholds that attain it.

    Attributes:
        value: the best value, averaged: (), or (L,) with average=None.
        thresholds: the cut-offs that attain it, for `mll.decisions.apply_thresholds`: (L,), or
            (N,) with average="samples", or () with "micro". They are infinite, which predicts
            nothing, where the constraint cannot be met or nothing is positive, and NaN where a
            score is NaN.
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
    """Recall at a fixed precision: the highest recall at which precision is at least that.

    Formula:
        max R(t) over the scores t with P(t) ≥ p (up to rounding), where P and R are precision and
        recall of [s ≥ t]; 0 where no t has that precision

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        precision: p, the least precision in [0, 1], a scalar.
        average: "macro", the mean over labels, each with its own threshold; "weighted", weighted
            by the number of positives; "samples", the mean over rows; "micro", all entries as one
            with one threshold; None, per label.
        undefined: how to treat a label (or row) without positives: "skip" leaves it out of the
            mean; "nan" makes the mean NaN; "zero" counts it as 0. With average=None it is NaN, or
            0 for "zero". "raise" raises, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        An `OperatingPoint`, in float32 or the wider dtype of the scores; its value is NaN where a
        score that counts is NaN, and where nothing is defined. The threshold is the highest of
        equally good cut-offs, which is the most precise.

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
    check_average(average)
    inputs = scored(scores, labels, where)
    return _operating_point(_best_recalls, inputs, precision, average, undefined)


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
    """Precision at a fixed recall: the highest precision at which recall is at least that.

    Formula:
        max P(t) over the scores t with R(t) ≥ r (up to rounding), where P and R are
        precision and recall of [s ≥ t]

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        recall: r, the least recall in [0, 1], a scalar.
        average: "macro", the mean over labels, each with its own threshold; "weighted", weighted
            by the number of positives; "samples", the mean over rows; "micro", all entries as one
            with one threshold; None, per label.
        undefined: how to treat a label (or row) without positives: "skip" leaves it out of the
            mean; "nan" makes the mean NaN; "zero" counts it as 0. With average=None it is NaN, or
            0 for "zero". "raise" raises, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        An `OperatingPoint`, in float32 or the wider dtype of the scores; its value is NaN where a
        score that counts is NaN, and where nothing is defined. The threshold is the lowest of
        equally precise cut-offs, which recalls the most.

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
    check_average(average)
    inputs = scored(scores, labels, where)
    return _operating_point(_best_precisions, inputs, recall, average, undefined)


@refuses_undefined
@compiled(host=True, specificity=(0, 1))
def sensitivity_at_specificity(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    specificity: ArrayLike,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> OperatingPoint:
    """Sensitivity at a fixed specificity: the highest recall at which specificity is at least that.

    Formula:
        max TPR(t) over the scores t with 1 − FPR(t) ≥ c (up to rounding), where TPR and FPR are
        the true and false positive rates of [s ≥ t]; 0 where no t has that specificity

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        specificity: c, the least specificity in [0, 1], a scalar.
        average: "macro", the mean over labels, each with its own threshold; "weighted", weighted
            by the number of positives; "samples", the mean over rows; "micro", all entries as one
            with one threshold; None, per label.
        undefined: how to treat a label (or row) without positives or without negatives: "skip"
            leaves it out of the mean; "nan" makes the mean NaN; "zero" counts it as 0. With
            average=None it is NaN, or 0 for "zero". "raise" raises, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        An `OperatingPoint`, in float32 or the wider dtype of the scores; its value is NaN where a
        score that counts is NaN, and where nothing is defined. The threshold is the highest of
        equally sensitive cut-offs, which is the most specific.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, specificity is not in [0, 1], an option is unknown, or with
            undefined="raise" if a value is not defined, or under a transformation.

    Reference:
        `torchmetrics.functional.classification.multilabel_sensitivity_at_specificity(scores,
        labels, ..., thresholds=None)` is average=None with "zero".

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9], [0.6], [0.5], [0.3]])
        >>> labels = jnp.array([[1], [0], [1], [0]])
        >>> value, thresholds = metrics.sensitivity_at_specificity(scores, labels, specificity=0.5)
        >>> print(f"{value:.1f} at {thresholds[0]:.1f}")
        1.0 at 0.5
    """
    check_average(average)
    inputs = scored(scores, labels, where)
    of_rows = _best_sensitivities
    return _operating_point(of_rows, inputs, specificity, average, undefined, both_classes=True)


@refuses_undefined
@compiled(host=True, sensitivity=(0, 1))
def specificity_at_sensitivity(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    sensitivity: ArrayLike,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> OperatingPoint:
    """Specificity at a fixed sensitivity: the highest one at which recall is at least that.

    Formula:
        max 1 − FPR(t) over the scores t with TPR(t) ≥ r (up to rounding), where TPR and FPR are
        the true and false positive rates of [s ≥ t]

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        sensitivity: r, the least sensitivity in [0, 1], a scalar. At 0 nothing need be predicted,
            which has specificity 1.
        average: "macro", the mean over labels, each with its own threshold; "weighted", weighted
            by the number of positives; "samples", the mean over rows; "micro", all entries as one
            with one threshold; None, per label.
        undefined: how to treat a label (or row) without positives or without negatives: "skip"
            leaves it out of the mean; "nan" makes the mean NaN; "zero" counts it as 0. With
            average=None it is NaN, or 0 for "zero". "raise" raises, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        An `OperatingPoint`, in float32 or the wider dtype of the scores; its value is NaN where a
        score that counts is NaN, and where nothing is defined. The threshold is the lowest of
        equally specific cut-offs, which is the most sensitive.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, sensitivity is not in [0, 1], an option is unknown, or with
            undefined="raise" if a value is not defined, or under a transformation.

    Reference:
        `torchmetrics.functional.classification.multilabel_specificity_at_sensitivity(scores,
        labels, ..., thresholds=None)` is average=None with "zero".

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9], [0.6], [0.5], [0.3]])
        >>> labels = jnp.array([[1], [0], [1], [0]])
        >>> value, thresholds = metrics.specificity_at_sensitivity(scores, labels, sensitivity=0.8)
        >>> print(f"{value:.1f} at {thresholds[0]:.1f}")
        0.5 at 0.5
    """
    check_average(average)
    inputs = scored(scores, labels, where)
    of_rows = _best_specificities
    return _operating_point(of_rows, inputs, sensitivity, average, undefined, both_classes=True)


def _operating_point(
    best_points: Callable[[Ranking, Facts, ArrayLike], tuple[Array, Array]],
    inputs: Scored,
    floor: ArrayLike,
    average: Average,
    undefined: Undefined,
    *,
    both_classes: bool = False,
) -> OperatingPoint:
    facts = facts_of(inputs, average=average)
    values, thresholds = of_ranked_rows(best_points, inputs, facts, average, floor)
    defined = facts.num_positives > 0
    if both_classes:
        defined &= facts.num_positives < facts.num_entries
    value = averaged(values, defined, facts, average=average, undefined=undefined)
    thresholds = jnp.where(facts.broken, jnp.nan, thresholds)
    return OperatingPoint(value, thresholds[0] if average == "micro" else thresholds)


def _best_recalls(ranking: Ranking, facts: Facts, precision: ArrayLike) -> tuple[Array, Array]:
    """Returns the highest recall of each row under a floor on precision, and its threshold."""
    tp, predicted, num_positives = _counts_at_cuts(ranking, facts)
    allowed = tp >= _floor("precision", precision, tp.dtype) * predicted
    # Among equally high recalls the first cut-off is the most precise.
    return _best_point(ranking, tp / num_positives, allowed, last=False)


def _best_precisions(ranking: Ranking, facts: Facts, recall: ArrayLike) -> tuple[Array, Array]:
    """Returns the highest precision of each row under a floor on recall, and its threshold."""
    tp, predicted, num_positives = _counts_at_cuts(ranking, facts)
    allowed = tp >= _floor("recall", recall, tp.dtype) * num_positives
    # Among equally high precisions the last cut-off recalls the most.
    return _best_point(ranking, tp / predicted, allowed, last=True)


def _best_sensitivities(
    ranking: Ranking, facts: Facts, specificity: ArrayLike
) -> tuple[Array, Array]:
    """Returns the highest sensitivity of each row under a floor on specificity, and where."""
    tp, predicted, num_positives = _counts_at_cuts(ranking, facts)
    negatives = _negatives(facts, tp.dtype)
    tn = negatives - (predicted - tp)
    allowed = tn >= _floor("specificity", specificity, tp.dtype) * negatives
    # Among equally high sensitivities the first cut-off is the most specific.
    return _best_point(ranking, tp / num_positives, allowed, last=False)


def _best_specificities(
    ranking: Ranking, facts: Facts, sensitivity: ArrayLike
) -> tuple[Array, Array]:
    """Returns the highest specificity of each row under a floor on sensitivity, and where."""
    tp, predicted, num_positives = _counts_at_cuts(ranking, facts)
    negatives = _negatives(facts, tp.dtype)
    least = _floor("sensitivity", sensitivity, tp.dtype)
    allowed = tp >= least * num_positives
    # Among equally high specificities the last cut-off is the most sensitive.
    tn = negatives - (predicted - tp)
    value, threshold = _best_point(ranking, tn / negatives, allowed, last=True, attains_zero=True)
    nothing = (least <= 0) & (value < 1)
    return jnp.where(nothing, 1, value), jnp.where(nothing, jnp.inf, threshold)


def _negatives(facts: Facts, dtype: jnp.dtype) -> Array:
    """Returns the number of negatives of each row, at least 1, (R, 1)."""
    return jnp.maximum(facts.num_entries - facts.num_positives, 1)[:, None].astype(dtype)


class _Counts(NamedTuple):
    """Counts at each cut-off and in each row, as floats."""

    tp: Array  # (R, n)
    predicted: Array  # (R, n)
    num_positives: Array  # (R, 1), at least 1


def _counts_at_cuts(ranking: Ranking, facts: Facts) -> _Counts:
    dtype = ranking.score_dtype()
    tp = ranking.running_count(ranking.positive)[0].astype(dtype)
    num_positives = jnp.maximum(facts.num_positives, 1)[:, None].astype(dtype)
    return _Counts(tp, ranking.rank.astype(dtype), num_positives)


def _floor(name: str, value: ArrayLike, dtype: jnp.dtype) -> Array:
    # A fraction equal to the floor must pass, however the two were rounded.
    return checks.scalar(name, value, dtype) * (1 - 4 * jnp.finfo(dtype).eps)


def _best_point(
    ranking: Ranking, values: Array, allowed: Array, *, last: bool, attains_zero: bool = False
) -> tuple[Array, Array]:
    """Returns the highest allowed value at a cut-off of each row, and the score there.

    The score is infinite where no value is allowed, and, unless `attains_zero`, where the value is
    zero, which predicting nothing attains as well.
    """
    allowed = allowed & ranking.group_end & (ranking.keys != jnp.iinfo(ranking.keys.dtype).max)
    candidates = jnp.where(allowed, values, -1)
    if last:
        from_end = jnp.argmax(candidates[:, ::-1], axis=1, keepdims=True)
        best = allowed.shape[1] - 1 - from_end
    else:
        best = jnp.argmax(candidates, axis=1, keepdims=True)
    highest = jnp.take_along_axis(jnp.where(allowed, values, 0), best, axis=1)[:, 0]
    keys = jnp.take_along_axis(ranking.keys, best, axis=1)[:, 0]
    scores = scores_of_keys(keys, ranking.score_dtype())
    found = jnp.any(allowed, axis=1) if attains_zero else highest > 0
    return highest, jnp.where(found, scores, jnp.inf)
