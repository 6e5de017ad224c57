"""Measures of detection: the equal error rate, and d′, the distance of two normal distributions."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.ordering import Ranking
from mllosses_jax._core.sets import scored
from mllosses_jax.metrics._averaging import Average, Undefined, check_average, refuses_undefined
from mllosses_jax.metrics._ranked_rows import of_ranked_rows
from mllosses_jax.metrics._rows import Facts, averaged, facts_of


@refuses_undefined
@compiled(host=True)
def equal_error_rate(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    undefined: Undefined = "skip",
    where: ArrayLike | None = None,
) -> Array:
    """Equal error rate (EER): the rate at which as many positives as negatives are mistaken.

    Formula:
        e with FPR = 1 − TPR = e on the ROC curve, whose points at the distinct scores are joined
        by straight lines

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "macro", the mean over labels; "weighted", weighted by the number of positives;
            "samples", the mean over rows; "micro", all entries as one; None, per label.
        undefined: how to treat a label (or row) without positives or without negatives: "skip"
            leaves it out of the mean; "nan" makes the mean NaN; "zero" counts it as 0. With
            average=None it is NaN, or 0 for "zero". "raise" raises, in eager calls.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The rate in [0, 1], () or (L,), in float32 or the wider dtype of the scores; NaN where a
        score that counts is NaN, and where nothing is defined. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown, or with undefined="raise" if a value
            is not defined, or under a transformation.

    Reference:
        torchmetrics' `multilabel_eer` takes the point nearest to it instead, which is the same up
        to the distance between two points.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9], [0.6], [0.5], [0.3]])
        >>> labels = jnp.array([[1], [0], [1], [0]])
        >>> metrics.equal_error_rate(scores, labels)
        Array(0.5, dtype=float32)
    """
    check_average(average)
    inputs = scored(scores, labels, where)
    facts = facts_of(inputs, average=average)
    values = of_ranked_rows(_equal_error_rates, inputs, facts, average)
    defined = (facts.num_positives > 0) & (facts.num_positives < facts.num_entries)
    return averaged(values, defined, facts, average=average, undefined=undefined)


def _equal_error_rates(ranking: Ranking, facts: Facts) -> Array:
    """Returns the rate of each row, (R,)."""
    dtype = ranking.score_dtype()

    def rates(flags: Array, total: Array) -> tuple[Array, Array]:
        at_cut, before = ranking.running_count(flags)
        return at_cut.astype(dtype) / total, before.astype(dtype) / total

    positives = jnp.maximum(facts.num_positives, 1)[:, None].astype(dtype)
    negatives = jnp.maximum(facts.num_entries - facts.num_positives, 1)[:, None].astype(dtype)
    counted = ranking.keys != jnp.iinfo(ranking.keys.dtype).max
    tpr, tpr_before = rates(ranking.positive, positives)
    fpr, fpr_before = rates(jnp.where(counted, 1 - ranking.positive, 0), negatives)
    # FPR + TPR − 1 ascends along the curve, from −1 to 1; the line from the last point at which it
    # is below 0 to the next one crosses the diagonal of equal errors.
    before, after = fpr_before + tpr_before - 1, fpr + tpr - 1
    crosses = ranking.group_end & (before < 0) & (after >= 0)
    share = -before / jnp.where(crosses, after - before, 1)
    return jnp.sum(jnp.where(crosses, fpr_before + share * (fpr - fpr_before), 0), axis=1)


@compiled(roc_auc=(0, 1))
def d_prime(roc_auc: ArrayLike) -> Array:
    """d′, the distance of two normal distributions of scores with an area under the ROC curve.

    Formula:
        d with Φ(d / √(2)) = AUC, where Φ is the normal distribution function

    Args:
        roc_auc: float array of any shape, areas in [0, 1], such as those of `roc_auc`, averaged or
            not. Papers on AudioSet convert the mean area.

    Returns:
        d′ in standard deviations, of the same shape, in float32 or the wider dtype of the areas:
        0 at chance, infinite for an area of 1.

    Raises:
        ValueError: if a known area is not in [0, 1].

    Reference:
        A. J. Simpson and M. J. Fitter, "What Is the Best Index of Detectability?", 1973.

    Example:
        >>> from mllosses_jax import metrics
        >>> print(f"{metrics.d_prime(0.95):.3f}")
        2.326
    """
    area = checks.array("roc_auc", roc_auc)
    area = area.astype(compute_dtype(area) if jnp.issubdtype(area.dtype, jnp.floating) else float)
    return math.sqrt(2) * ndtri(area)
