"""Areas under curves over all cut-offs: average precision and the area under the ROC curve.

Both are exact: one sort per label (or per sample), tied scores taken as one cut-off.
"""

import functools
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled, host_kernel
from mllosses_jax._core.long_rows import Standing, of_long_rows
from mllosses_jax._core.ordering import ranked, ranking_keys
from mllosses_jax._core.sets import Scored, scored
from mllosses_jax.metrics._averaging import Average, check_average, mean_over

Array = jax.Array
Undefined = Literal["skip", "nan", "zero"]

_LONG_ROW = 1024  # from here on numpy's sort is faster than XLA's


@compiled(host=True)
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
    inputs, facts = _prepared(scores, labels, where, average=average)
    values = _average_precisions(inputs, average)
    return _averaged(values, facts.positives > 0, facts, average=average, undefined=undefined)


@compiled(host=True)
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
    inputs, facts = _prepared(scores, labels, where, average=average)
    defined = (facts.positives > 0) & (facts.positives < facts.cells)
    return _averaged(
        _roc_aucs(inputs, average), defined, facts, average=average, undefined=undefined
    )


class _Facts(NamedTuple):
    """What counts in each row, (R,)."""

    cells: Array  # int32, its entries
    positives: Array  # int32
    broken: Array  # bool: has a NaN score


@functools.partial(jax.jit, static_argnames="average", inline=True)
def _prepared(
    scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None, *, average: Average
) -> tuple[Scored, _Facts]:
    check_average(average)
    inputs = scored(scores, labels, where)
    rows = _rows(inputs, average)
    positives = jnp.sum(rows.actual, axis=1, dtype=jnp.int32)
    return inputs, _Facts(rows.cells(), positives, rows.has_nan())


def _rows(inputs: Scored, average: Average) -> Scored:
    """Returns what is ranked as a whole as rows."""
    if average == "micro":
        return inputs.flattened()
    return inputs if average == "samples" else inputs.transposed()


def average_precision_of_rows(rows: Scored) -> Array:
    """Returns the average precision of each row, (R,); 0 where it has no positive."""
    ranking = ranked(ranking_keys(rows.scores, rows.where), rows.actual)
    count, before = ranking.running_count(ranking.positive)
    dtype = rows.scores.dtype
    precision = count.astype(dtype) / ranking.rank.astype(dtype)
    new = (count - before).astype(dtype)
    positives = count[:, -1]
    total = jnp.sum(jnp.where(ranking.group_end, new * precision, 0), axis=1)
    return total / jnp.maximum(positives, 1).astype(dtype)


def _average_precision_of_standing(row: Standing) -> float:
    entries, positives = row.at_or_above()
    return float(np.mean(positives / entries)) if positives.size else 0.0


def _roc_auc_of_rows(rows: Scored) -> Array:
    """Returns the area of each row, (R,); 1 where it has no pair."""
    ranking = ranked(ranking_keys(rows.scores, rows.where), rows.actual)
    # Of tied entries the negatives are sorted first, so that a positive comes after all of them.
    above_or_tied, above = ranking.running_count(1 - ranking.positive)
    dtype = rows.scores.dtype
    wrong = above_or_tied.astype(dtype) / 2 + above.astype(dtype) / 2
    total = jnp.sum(jnp.where(ranking.positive > 0, wrong, 0), axis=1)
    return 1 - total / jnp.maximum(count_pairs(rows), 1)


def _roc_auc_of_standing(row: Standing) -> float:
    (entries, positives), (entries_above, positives_above) = row.at_or_above(), row.above()
    wrong = np.sum((entries - positives) + (entries_above - positives_above)) / 2
    count = row.positives.size
    return float(1 - wrong / max(count * (row.entries.size - count), 1))


def count_pairs(rows: Scored) -> Array:
    """Returns the number of pairs of a positive and a negative in each row, (R,)."""
    positives = jnp.sum(rows.actual, axis=1, dtype=jnp.int32)
    negatives = rows.cells() - positives
    return positives.astype(rows.scores.dtype) * negatives.astype(rows.scores.dtype)


def _kernel(
    of_rows: Callable[[Scored], Array], of_standing: Callable[[Standing], float]
) -> Callable[[Scored, Average], Array]:
    compiled_of_rows = jax.jit(of_rows)

    def traced(inputs: Scored, average: Average) -> Array:
        return of_rows(_rows(inputs, average))

    def host(inputs: Scored, average: Average) -> Array:
        rows = _rows(inputs, average)
        if rows.scores.shape[1] < _LONG_ROW:
            return compiled_of_rows(rows)
        return of_long_rows(of_standing, rows)

    return host_kernel(traced, host)


_average_precisions = _kernel(average_precision_of_rows, _average_precision_of_standing)
_roc_aucs = _kernel(_roc_auc_of_rows, _roc_auc_of_standing)


@functools.partial(jax.jit, static_argnames=("average", "undefined"), inline=True)
def _averaged(
    values: Array, defined: Array, facts: _Facts, *, average: Average, undefined: Undefined
) -> Array:
    checks.one_of("undefined", undefined, ("skip", "nan", "zero"))
    exists, broken = facts.cells > 0, facts.broken
    values = jnp.where(defined, values, 0 if undefined == "zero" else jnp.nan)
    values = jnp.where(broken, jnp.nan, values)
    if average in {"micro", None}:
        values = jnp.where(exists, values, jnp.nan)
        return values[0] if average == "micro" else values
    counted = exists & (defined | broken) if undefined == "skip" else exists
    return mean_over(values, counted, facts.positives if average == "weighted" else None)
