"""Areas under curves over all cut-offs: average precision and the area under the ROC curve.

Both are exact: they sort once per label (or sample) and treat tied scores as one cut-off.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import Ranking
from mllosses_jax._core.sets import sample_weights, scored
from mllosses_jax.metrics import _weighted_rows
from mllosses_jax.metrics._averaging import (
    Average,
    Undefined,
    check_average,
    refuses_undefined,
)
from mllosses_jax.metrics._long_rows import Standing
from mllosses_jax.metrics._ranked_rows import value_per_row
from mllosses_jax.metrics._rows import Facts, averaged
from mllosses_jax.metrics._weighted_rows import value_per_weighted_row


@refuses_undefined
@compiled(host=True)
def average_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    undefined: Undefined = "skip",
    min_positives: int = 1,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Average precision, exact and with tied scores grouped; its macro average is the mAP.

    Formula:
        AP = Σₙ (Rₙ − Rₙ₋₁)·Pₙ over the distinct scores in descending order, where Pₙ and Rₙ are
        precision and recall of predicting every score at least that high (no interpolation)

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "macro", the mean over labels; "weighted", weighted by the number of positives;
            "samples", the mean over rows; "micro", all entries as one; None, per label.
        undefined: how to treat a label (or row) without positives: "skip" leaves it out of the
            mean; "nan" makes the mean NaN; "zero" counts it as 0, as scikit-learn and torchmetrics
            do. With average=None it is NaN, or 0 for "zero". "raise" raises, in eager calls.
        min_positives: the fewest positives of a label (or row), not counting samples of weight 0;
            one with fewer is treated as one without any.
        weights: float array (N,), the weights of the samples, at least 0; None for ones. They
            count a sample so often; with average="samples" they are the weights of the mean.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        Average precision in [0, 1], () or (L,), in float32 or the wider dtype of the scores; NaN
        where a score that counts is NaN, and where nothing is defined. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown or out of range, or with
            undefined="raise" if a value is not defined, or under a transformation.

    Reference:
        "zero" is `sklearn.metrics.average_precision_score(labels, scores, average=...)`, with its
        `sample_weight`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2], [0.6, 0.1], [0.3, 0.7]])
        >>> labels = jnp.array([[1, 0], [0, 0], [1, 1]])
        >>> print(f"{metrics.average_precision(scores, labels):.4f}")
        0.9167
    """
    check_average(average)
    inputs = scored(scores, labels, where)
    checks.integer("min_positives", min_positives, least=1)
    w = sample_weights(weights, len(inputs.scores))
    if w is None:
        ways = average_precisions, _average_precision_of_row
        values, facts = value_per_row(*ways, inputs, average)
        support = facts.num_positives
    else:
        of_cuts = _weighted_rows.average_precisions
        values, facts, support = value_per_weighted_row(of_cuts, inputs, w, average=average)
    defined = facts.num_positives >= min_positives
    facts = facts._replace(num_positives=support)
    return averaged(values, defined, facts, w, average=average, undefined=undefined)


@refuses_undefined
@compiled(host=True, max_fpr=(0, 1))
def roc_auc(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    max_fpr: ArrayLike | None = None,
    undefined: Undefined = "skip",
    min_positives: int = 1,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Area under the ROC curve: how often a positive scores above a negative, counting ties half.

    Formula:
        AUC = (#{s⁺ > s⁻} + ½·#{s⁺ = s⁻}) / (P·N) over all pairs of P positives and N negatives

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "macro", the mean over labels; "weighted", weighted by the number of positives;
            "samples", the mean over rows; "micro", all entries as one; None, per label.
        max_fpr: the highest false positive rate, in (0, 1], up to which the area is taken, a
            scalar; it is then standardised by McClish's formula, so that .5 is chance and 1 the
            best. None is the whole area.
        undefined: how to treat a label (or row) whose entries are all positive or all negative:
            "skip" leaves it out of the mean; "nan" makes the mean NaN, as scikit-learn does;
            "zero" counts it as 0, as torchmetrics does. With average=None it is NaN, or 0 for
            "zero". "raise" raises, in eager calls.
        min_positives: the fewest positives of a label (or row), not counting samples of weight 0;
            one with fewer is treated as one without any.
        weights: float array (N,), the weights of the samples, at least 0; None for ones. They
            count a sample so often; with average="samples" they are the weights of the mean.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The area in [0, 1], () or (L,), in float32 or the wider dtype of the scores; NaN where a
        score that counts is NaN, and where nothing is defined. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown or out of range, or with
            undefined="raise" if a value is not defined, or under a transformation.

    Reference:
        "nan" is `sklearn.metrics.roc_auc_score(labels, scores, average=...)`, with its `max_fpr`
        and `sample_weight`. D. K. McClish, "Analyzing a Portion of the ROC Curve", 1989.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2], [0.6, 0.1], [0.3, 0.7]])
        >>> labels = jnp.array([[1, 0], [0, 0], [1, 1]])
        >>> print(f"{metrics.roc_auc(scores, labels):.4f}")
        0.7500
    """
    check_average(average)
    inputs = scored(scores, labels, where)
    checks.integer("min_positives", min_positives, least=1)
    if isinstance(max_fpr, int | float | np.number) and max_fpr == 0:
        raise ValueError(f"max_fpr must lie in (0, 1], got {max_fpr}")
    w = sample_weights(weights, len(inputs.scores))
    if w is None and max_fpr is None:
        values, facts = value_per_row(_areas, _area_of_row, inputs, average)
        support = facts.num_positives
    else:
        of_cuts = _weighted_rows.areas
        limit = None if max_fpr is None else checks.scalar("max_fpr", max_fpr, inputs.scores.dtype)
        values, facts, support = value_per_weighted_row(of_cuts, inputs, w, limit, average=average)
    defined = facts.num_positives >= min_positives
    defined &= facts.num_positives < facts.num_entries
    facts = facts._replace(num_positives=support)
    return averaged(values, defined, facts, w, average=average, undefined=undefined)


def average_precisions(ranking: Ranking, facts: Facts) -> Array:
    """Returns the average precision of each row, (R,); 0 for a row without positives."""
    count, before = ranking.running_count(ranking.positive)
    dtype = ranking.score_dtype()
    precision = count.astype(dtype) / ranking.rank.astype(dtype)
    new = (count - before).astype(dtype)
    total = jnp.sum(jnp.where(ranking.group_end, new * precision, 0), axis=1)
    return total / jnp.maximum(facts.num_positives, 1).astype(dtype)


def _average_precision_of_row(row: Standing) -> float:
    """Returns the average precision of a row; 0 if it has no positive."""
    tp = row.tp()
    return float(np.sum(tp / (row.negatives("right") + tp))) / max(tp.size, 1)


def _areas(ranking: Ranking, facts: Facts) -> Array:
    """Returns the area of each row, (R,); 1 for a row without a pair."""
    # Among tied entries the negatives are sorted first, so a positive comes after all of them.
    above_or_tied, above = ranking.running_count(1 - ranking.positive)
    dtype = ranking.score_dtype()
    wrong = above_or_tied.astype(dtype) / 2 + above.astype(dtype) / 2
    total = jnp.sum(jnp.where(ranking.positive > 0, wrong, 0), axis=1)
    return 1 - total / jnp.maximum(facts.pairs(dtype), 1)


def _area_of_row(row: Standing) -> float:
    """Returns the area of a row; 1 if it has no pair."""
    wrong = np.sum(row.negatives("right") + row.negatives("left")) / 2
    num_positives = row.positives.size
    return float(1 - wrong / max(num_positives * (row.num_entries - num_positives), 1))
