"""Metrics at k for missing labels, which weight each true label by its inverse propensity."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax.metrics._top_k import TopK, discounted, ideal, top_k_of

_INF = float("inf")


@compiled(inverse_propensity=(1, _INF))
def psp_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    inverse_propensity: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Propensity-scored precision (PSP) at k: rare true labels weigh more, 1 is the best possible.

    Formula:
        Σᵢ Σ_{c ∈ top_k(sᵢ) ∩ Yᵢ} w_c / Σᵢ max_{Z ⊆ Yᵢ, |Z| ≤ k} Σ_{c∈Z} w_c, with w_c = 1/ρ_c: a
        ratio of means over samples, not the mean of their ratios; ties go to the lowest index, and
        a sample without labels adds nothing to either sum

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        inverse_propensity: w ≥ 1, (L,), from the training data: see
            `weighting.inverse_propensity`.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k.

    Returns:
        PSP in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where no label is true. Its gradient with respect to the scores is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or an inverse propensity is below 1.

    Reference:
        H. Jain, Y. Prabhu and M. Varma, "Extreme Multi-label Loss Functions for Recommendation,
        Tagging, Ranking & Other Missing Label Applications", 2016; pyxclib's `psprecision`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 1], [0, 1, 0]])
        >>> metrics.psp_at_k(scores, labels, 1, inverse_propensity=jnp.array([1.0, 2.0, 4.0]))
        Array(0.5, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    reached, possible = _gains(top, inverse_propensity)
    return _ratio_of_sums(top, jnp.sum(reached, axis=1), jnp.sum(possible, axis=1))


@compiled(inverse_propensity=(1, _INF))
def psr_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    inverse_propensity: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Propensity-scored recall (PSR) at k: rare true labels weigh more, 1 is the best possible.

    Formula:
        Σᵢ gᵢ / Σᵢ max gᵢ, with gᵢ = Σ_{c ∈ top_k(sᵢ) ∩ Yᵢ} w_c / |Yᵢ| and max gᵢ that of the best
        k labels: a ratio of means over samples, not the mean of their ratios; ties go to the lowest
        index, and a sample without labels adds nothing to either sum

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        inverse_propensity: w ≥ 1, (L,), from the training data: see
            `weighting.inverse_propensity`.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k.

    Returns:
        PSR in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where no label is true. Its gradient with respect to the scores is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or an inverse propensity is below 1.

    Reference:
        H. Jain, Y. Prabhu and M. Varma, 2016, see `psp_at_k`; pyxclib's `psrecall`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 1], [0, 1, 0]])
        >>> metrics.psr_at_k(scores, labels, 1, inverse_propensity=jnp.array([1.0, 2.0, 4.0]))
        Array(0.625, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    reached, possible = _gains(top, inverse_propensity)
    true = jnp.maximum(jnp.sum(top.inputs.actual, axis=1, dtype=reached.dtype), 1)
    return _ratio_of_sums(top, jnp.sum(reached, axis=1) / true, jnp.sum(possible, axis=1) / true)


@compiled(inverse_propensity=(1, _INF))
def psndcg_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    inverse_propensity: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Propensity-scored nDCG (PSnDCG) at k: rare true labels weigh more, 1 is the best possible.

    Formula:
        Σᵢ gᵢ / Σᵢ max gᵢ, with gᵢ = Σ_{r≤k} w_c·[c ∈ Yᵢ] / log₂(r + 1), c the label at rank r,
        over Σ_{r ≤ min(k, |Yᵢ|)} 1 / log₂(r + 1), and max gᵢ that of the best ranking: a ratio of
        means over samples, not the mean of their ratios; ties go to the lowest index, and a sample
        without labels adds nothing to either sum

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        inverse_propensity: w ≥ 1, (L,), from the training data: see
            `weighting.inverse_propensity`.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k.

    Returns:
        PSnDCG in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where no label is true. Its gradient with respect to the scores is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or an inverse propensity is below 1.

    Reference:
        H. Jain, Y. Prabhu and M. Varma, 2016, see `psp_at_k`; pyxclib's `psndcg`, napkinXC's
        `psndcg_at_k`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 1], [0, 1, 0]])
        >>> metrics.psndcg_at_k(scores, labels, 1, inverse_propensity=jnp.array([1.0, 2.0, 4.0]))
        Array(0.5, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    reached, possible = _gains(top, inverse_propensity)
    scale = ideal(top)
    return _ratio_of_sums(top, discounted(reached) / scale, discounted(possible) / scale)


def _gains(top: TopK, inverse_propensity: ArrayLike) -> tuple[Array, Array]:
    """Returns the weights of the true labels in the top k and in the best k, both (N, k)."""
    k, actual = top.hits.shape[1], top.inputs.actual
    weights = checks.array("inverse_propensity", inverse_propensity)
    if weights.shape != actual.shape[1:]:
        raise ValueError(
            f"inverse_propensity must have one entry per label: expected {actual.shape[1:]}, "
            f"got {weights.shape}"
        )
    weights = weights.astype(top.inputs.scores.dtype)
    of_true = jnp.where(actual, jnp.broadcast_to(weights, actual.shape), 0)
    return jnp.take_along_axis(of_true, top.labels, axis=1), lax.top_k(of_true, k)[0]


def _ratio_of_sums(top: TopK, reached: Array, possible: Array) -> Array:
    return jnp.where(top.broken(), jnp.nan, jnp.sum(reached) / jnp.sum(possible))
