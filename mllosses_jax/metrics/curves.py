"""Areas under curves over all cut-offs: average precision and the area under the ROC curve.

Both are exact: one sort per label (or per sample), tied scores taken as one cut-off.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import ranked, ranking_keys
from mllosses_jax._core.sets import Scored, scored
from mllosses_jax.metrics._averaging import Average, check_average, mean_over

Array = jax.Array
Undefined = Literal["skip", "nan", "zero"]


@compiled()
def average_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> Array:
    """Average precision, exact and with ties grouped; its macro average is the mAP.

    Formula:
        AP = Σₙ (Rₙ − Rₙ₋₁)·Pₙ over the distinct scores in descending order, where Pₙ and Rₙ are
        precision and recall of predicting every score at least that high (no interpolation)

    Args:
        scores: float array (N, L), of any monotone scale: logits do.
        labels: bool, integer or float array (N, L); positive where > 0.
        average: "macro", the mean over labels; "weighted", weighted by the number of positives;
            "samples", the mean over rows; "micro", all entries as one; None, per label.
        undefined: what a label (or row) without positives is: "skip" leaves it out of the mean;
            "nan" makes the mean NaN; "zero" counts it as 0, as scikit-learn and torchmetrics do.
            With average=None it is NaN, or 0 for "zero".
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it and a row without any are in no mean.

    Returns:
        Average precision in [0, 1], () or (L,), in float32 or the wider dtype of the scores; NaN
        where a score that counts is NaN, and where nothing is defined. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, or an option is unknown.

    Reference:
        `sklearn.metrics.average_precision_score(labels, scores, average=...)` is "zero".

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2], [0.6, 0.1], [0.3, 0.7]])
        >>> labels = jnp.array([[1, 0], [0, 0], [1, 1]])
        >>> print(f"{metrics.average_precision(scores, labels):.4f}")
        0.9167
    """
    return _averaged(average_precision_of_rows, scored(scores, labels, where), average, undefined)


@compiled()
def roc_auc(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> Array:
    """Area under the ROC curve: how often a positive scores above a negative, ties half.

    Formula:
        AUC = (#{s⁺ > s⁻} + ½·#{s⁺ = s⁻}) / (P·N) over all pairs of P positives and N negatives

    Args:
        scores: float array (N, L), of any monotone scale: logits do.
        labels: bool, integer or float array (N, L); positive where > 0.
        average: "macro", the mean over labels; "weighted", weighted by the number of positives;
            "samples", the mean over rows; "micro", all entries as one; None, per label.
        undefined: what a label (or row) is whose labels are all equal: "skip" leaves it out of
            the mean; "nan" makes the mean NaN, as scikit-learn does; "zero" counts it as 0, as
            torchmetrics does. With average=None it is NaN, or 0 for "zero".
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it and a row without any are in no mean.

    Returns:
        The area in [0, 1], () or (L,), in float32 or the wider dtype of the scores; NaN where a
        score that counts is NaN, and where nothing is defined. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, or an option is unknown.

    Reference:
        `sklearn.metrics.roc_auc_score(labels, scores, average=...)` is "nan".

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2], [0.6, 0.1], [0.3, 0.7]])
        >>> labels = jnp.array([[1, 0], [0, 0], [1, 1]])
        >>> print(f"{metrics.roc_auc(scores, labels):.4f}")
        0.7500
    """
    return _averaged(_roc_auc_of_rows, scored(scores, labels, where), average, undefined)


def average_precision_of_rows(rows: Scored) -> tuple[Array, Array]:
    """Returns the average precision of each row, (R,), and whether it has a positive."""
    ranking = ranked(ranking_keys(rows.scores, rows.where), rows.actual)
    count, before = ranking.running_count(ranking.positive)
    dtype = rows.scores.dtype
    precision = count.astype(dtype) / ranking.rank.astype(dtype)
    new = (count - before).astype(dtype)
    positives = count[:, -1]
    total = jnp.sum(jnp.where(ranking.group_end, new * precision, 0), axis=1)
    return total / jnp.maximum(positives, 1).astype(dtype), positives > 0


def _roc_auc_of_rows(rows: Scored) -> tuple[Array, Array]:
    """Returns the area of each row, (R,), and whether it has a positive and a negative."""
    ranking = ranked(ranking_keys(rows.scores, rows.where), rows.actual)
    # Of tied entries the negatives are sorted first, so that a positive comes after all of them.
    above_or_tied, above = ranking.running_count(1 - ranking.positive)
    dtype = rows.scores.dtype
    wrong = above_or_tied.astype(dtype) / 2 + above.astype(dtype) / 2
    pairs = count_pairs(rows)
    total = jnp.sum(jnp.where(ranking.positive > 0, wrong, 0), axis=1)
    return 1 - total / jnp.maximum(pairs, 1), pairs > 0


def count_pairs(rows: Scored) -> Array:
    """Returns the number of pairs of a positive and a negative in each row, (R,)."""
    positives = jnp.sum(rows.actual, axis=1, dtype=jnp.int32)
    negatives = rows.cells() - positives
    return positives.astype(rows.scores.dtype) * negatives.astype(rows.scores.dtype)


def _averaged(
    of_rows: Callable[[Scored], tuple[Array, Array]],
    inputs: Scored,
    average: Average,
    undefined: Undefined,
) -> Array:
    check_average(average)
    checks.one_of("undefined", undefined, ("skip", "nan", "zero"))
    if average == "micro":
        rows = inputs.flattened()
    elif average == "samples":
        rows = inputs
    else:
        rows = inputs.transposed()
    values, defined = of_rows(rows)
    exists, broken = rows.cells() > 0, rows.has_nan()
    values = jnp.where(defined, values, 0 if undefined == "zero" else jnp.nan)
    values = jnp.where(broken, jnp.nan, values)
    if average in {"micro", None}:
        values = jnp.where(exists, values, jnp.nan)
        return values[0] if average == "micro" else values
    counted = exists & (defined | broken) if undefined == "skip" else exists
    support = jnp.sum(rows.actual, axis=1, dtype=jnp.int32) if average == "weighted" else None
    return mean_over(values, counted, support)
