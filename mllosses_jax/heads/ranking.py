"""Metrics of the top k, straight from ids: `linear_head_top_k` gives those of the predictions.

Each equals the function of the same name in `mllosses_jax.metrics`, which takes all scores and the
label matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.reduction import masked_mean, masked_sum, safe_divide
from mllosses_jax.heads.sparse_labels import distinct
from mllosses_jax.metrics import expected_calibration_error

__all__ = ["ece_at_k", "ndcg_at_k", "precision_at_k", "psp_at_k", "recall_at_k"]

_INF = float("inf")


@compiled()
def precision_at_k(
    ids: ArrayLike, positives: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Precision at k: the fraction of the k top-ranked labels that are true.

    Formula:
        mean over samples of |top_k ∩ Y| / k

    Args:
        ids: integer array (N, k), the labels with the highest scores, in descending order; -1 is
            never true.
        positives: integer array (N, K), the ids of the true labels, padded with -1.
        where: bool (N,): which samples count.

    Returns:
        The precision in [0, 1], (), in float32; NaN if no sample counts.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> heads.precision_at_k(jnp.array([[0, 1], [2, 1]]), jnp.array([[0, -1], [1, 2]]))
        Array(0.75, dtype=float32)
    """
    top = _top(ids, positives, where)
    return _mean(jnp.mean(top.hits, axis=1), top)


@compiled()
def recall_at_k(
    ids: ArrayLike,
    positives: ArrayLike,
    *,
    zero_division: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Recall at k: the fraction of the true labels that are among the k top-ranked.

    Formula:
        mean over samples of |top_k ∩ Y| / |Y|

    Args:
        ids: integer array (N, k), the labels with the highest scores, in descending order; -1 is
            never true.
        positives: integer array (N, K), the ids of the true labels, padded with -1.
        zero_division: the value of a sample without true labels; nan leaves it out of the mean.
        where: bool (N,): which samples count.

    Returns:
        The recall in [0, 1], (), in float32; NaN if no sample counts.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> heads.recall_at_k(jnp.array([[0], [2]]), jnp.array([[0, -1], [1, 2]]))
        Array(0.75, dtype=float32)
    """
    top = _top(ids, positives, where)
    size = jnp.sum(top.true, axis=1).astype(jnp.float32)
    hits = jnp.sum(top.hits, axis=1).astype(size.dtype)
    empty = checks.scalar("zero_division", zero_division, size.dtype)
    value = jnp.where(size > 0, safe_divide(hits, size), empty)
    defined = ~jnp.isnan(value) if top.where is None else top.where & ~jnp.isnan(value)
    return _mean(jnp.where(defined, value, 0), top._replace(where=defined))


@compiled()
def ndcg_at_k(ids: ArrayLike, positives: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Normalised discounted cumulative gain (nDCG) at k, with gains of 0 and 1.

    Formula:
        mean over samples of Σ_{r≤k} [label at rank r ∈ Y] / log₂(r + 1), over the same sum of ones
        up to r = min(k, |Y|); a sample without labels counts as 0

    Args:
        ids: integer array (N, k), the labels with the highest scores, in descending order; -1 is
            never true.
        positives: integer array (N, K), the ids of the true labels, padded with -1.
        where: bool (N,): which samples count.

    Returns:
        nDCG in [0, 1], (), in float32; NaN if no sample counts. Ties are as `ids` has them, which
        is `ties="first"` of the metric that takes scores.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> ids, positives = jnp.array([[0, 1], [1, 2]]), jnp.array([[0], [2]])
        >>> print(f"{heads.ndcg_at_k(ids, positives):.4f}")
        0.8155
    """
    top = _top(ids, positives, where)
    ranks = jnp.arange(top.hits.shape[1])[None]
    discount = 1 / jnp.log2(ranks.astype(jnp.float32) + 2)
    size = jnp.sum(top.true, axis=1, keepdims=True)
    best = jnp.sum(jnp.where(ranks < size, discount, 0), axis=1)
    return _mean(safe_divide(jnp.sum(jnp.where(top.hits, discount, 0), axis=1), best), top)


@compiled(inverse_propensity=(1, _INF))
def psp_at_k(
    ids: ArrayLike,
    positives: ArrayLike,
    *,
    inverse_propensity: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """Propensity-scored precision (PSP) at k: rare true labels weigh more, 1 is the best possible.

    Formula:
        Σᵢ Σ_{c ∈ top_k ∩ Yᵢ} w_c / Σᵢ max_{Z ⊆ Yᵢ, |Z| ≤ k} Σ_{c∈Z} w_c, with w_c = 1/ρ_c

    Args:
        ids: integer array (N, k), the labels with the highest scores, in descending order; -1 is
            never true.
        positives: integer array (N, K), the ids of the true labels, padded with -1.
        inverse_propensity: w ≥ 1, (L,), from the training data: see
            `weighting.inverse_propensity`.
        where: bool (N,): which samples count.

    Returns:
        PSP in [0, 1], (), in float32; NaN if no label is true, or one has no propensity.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape is wrong, or an inverse propensity below 1.

    Reference:
        H. Jain, Y. Prabhu and M. Varma, "Extreme Multi-label Loss Functions for Recommendation,
        Tagging, Ranking & Other Missing Label Applications", 2016.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> weights = jnp.array([1.0, 2.0, 4.0])
        >>> heads.psp_at_k(
        ...     jnp.array([[0], [1]]), jnp.array([[0, 2], [1, -1]]), inverse_propensity=weights)
        Array(0.5, dtype=float32)
    """
    top = _top(ids, positives, where)
    w = checks.array("inverse_propensity", inverse_propensity).astype(jnp.float32)
    if w.ndim != 1:
        raise ValueError(f"inverse_propensity must have shape (L,), got {w.shape}")
    reached = jnp.sum(jnp.where(top.hits, w[top.ids], 0), axis=1)
    gains = -jnp.sort(-jnp.where(top.true, w[top.positives], 0), axis=1)
    possible = jnp.sum(gains[:, : top.ids.shape[1]], axis=1)
    total = masked_sum(possible, top.where, None)
    known = jnp.all(top.positives < len(w)) & (total > 0)
    return jnp.where(known, masked_sum(reached, top.where, None) / total, jnp.nan)


def ece_at_k(
    ids: ArrayLike,
    probabilities: ArrayLike,
    positives: ArrayLike,
    *,
    bins: int = 15,
    where: ArrayLike | None = None,
) -> Array:
    """Expected calibration error of the k top-ranked labels.

    Nearly all labels of a large set have probabilities next to 0, where anything looks calibrated;
    the ones that are predicted are at the top.

    Formula:
        Σ_b n_b·|p̄_b − ȳ_b| / n over the uniform bins of the n = N·k probabilities

    Args:
        ids: integer array (N, k), the labels with the highest scores.
        probabilities: float array (N, k) in [0, 1].
        positives: integer array (N, K), the ids of the true labels, padded with -1.
        bins: number of bins.
        where: bool (N,): which samples count.

    Returns:
        The error in [0, 1], (), in float32; NaN if nothing counts. Ids of -1 do not count.

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape is wrong, or a probability outside [0, 1].

    Reference:
        N. Ullah, E. Schultheis, J. Zhang and R. Babbar, "Labels in Extremes: How Well Calibrated
        are Extreme Multi-label Classifiers?", 2024, arXiv:2411.04276.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> ids, probabilities = jnp.array([[0], [1]]), jnp.array([[0.9], [0.9]])
        >>> print(f"{heads.ece_at_k(ids, probabilities, jnp.array([[0], [2]])):.4f}")
        0.4000
    """
    top = _top(ids, positives, where)
    counted = top.ids >= 0 if top.where is None else (top.ids >= 0) & top.where[:, None]
    return expected_calibration_error(
        probabilities,
        top.hits,
        inputs="probabilities",
        bins=bins,
        average="micro",
        where=counted,
    )


class _Top(NamedTuple):
    """The top k of each sample, and what is true.

    Attributes:
        ids: int32 (N, k).
        hits: bool (N, k), which of them are true.
        positives: int32 (N, K).
        true: bool (N, K), which of the positives are not padding and there for the first time.
        where: bool (N,), or None if all samples count.
    """

    ids: Array
    hits: Array
    positives: Array
    true: Array
    where: Array | None


def _top(ids: ArrayLike, positives: ArrayLike, where: ArrayLike | None) -> _Top:
    top, y = checks.array("ids", ids), checks.array("positives", positives)
    for name, array in (("ids", top), ("positives", y)):
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise TypeError(f"{name} must hold integer ids, got {array.dtype}")
        if array.ndim != 2 or len(array) != len(top):
            raise ValueError(f"{name} must have shape ({len(top)}, ...), got {array.shape}")
    counted = None if where is None else checks.mask("where", where, (len(top),))
    hits = jnp.any(top[:, :, None] == y[:, None, :], axis=2) & (top >= 0)
    return _Top(top, hits, y, distinct(y), counted)


def _mean(values: Array, top: _Top) -> Array:
    mean = masked_mean(values, top.where, None)
    return mean if top.where is None else jnp.where(jnp.any(top.where), mean, jnp.nan)
