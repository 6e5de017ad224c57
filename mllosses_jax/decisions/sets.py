"""Label sets of a given size, or of the size that the scores suggest."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.ordering import ranking_keys, scores_of_keys, smallest
from mllosses_jax._core.sharding import whole


@compiled()
def top_k(scores: ArrayLike, k: int, *, where: ArrayLike | None = None) -> Array:
    """Label sets: the k labels with the highest scores.

    Formula:
        ŷ = [rank of s ≤ k]; of tied scores the lowest index comes first

    Args:
        scores: float array (..., L).
        k: size of every set, 1 to L.
        where: bool, the rank of scores with axes equal or 1: labels that may be in the sets.

    Returns:
        bool (..., L) with k true in each row, or fewer where fewer labels may be in the set; a NaN
        score is in no set.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if k is not in 1 to L, or where has another shape.

    Reference:
        RCut of Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> decisions.top_k(jnp.array([[0.7, 0.2, 0.5]]), 2)
        Array([[ True, False,  True]], dtype=bool)
    """
    s, eligible = _candidates(scores, where)
    checks.set_size(k, s.shape[-1])
    top = smallest(ranking_keys(s, eligible), k)
    none = jnp.zeros(s.shape, bool)
    return eligible & jnp.put_along_axis(none, top, True, axis=-1, inplace=False)


@compiled()
def sets_from_counts(
    scores: ArrayLike, counts: ArrayLike, *, where: ArrayLike | None = None
) -> Array:
    """Label sets of predicted sizes: for each sample the labels with the highest scores.

    Formula:
        ŷ = [rank of s ≤ round(k)]; of tied scores the lowest index comes first

    Args:
        scores: float array (..., L), on any monotone scale, such as logits.
        counts: k, a float or integer array (...), the size of each set, such as the output of a
            count head; rounded to the nearest integer (halves to even) and clipped to [0, L].
        where: bool, the rank of scores with axes equal or 1: labels that may be in the sets.

    Returns:
        bool (..., L). A set is smaller than its size where fewer labels may be in it; a NaN score
        is in no set, and a NaN size gives an empty one.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if counts do not have one entry per sample.

    Reference:
        MetaLabeler of L. Tang, S. Rajan and V. K. Narayanan, "Large Scale Multi-Label
        Classification via MetaLabeler", WWW 2009.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.7, 0.2, 0.5], [0.7, 0.2, 0.5]])
        >>> decisions.sets_from_counts(scores, jnp.array([1.8, 0.6]))
        Array([[ True, False,  True],
               [ True, False, False]], dtype=bool)
    """
    s, eligible = _candidates(scores, where)
    k = whole(checks.array("counts", counts).astype(s.dtype))
    if k.shape != s.shape[:-1]:
        raise ValueError(
            f"counts must have one entry per sample: expected {s.shape[:-1]}, got {k.shape}"
        )
    order = jnp.argsort(ranking_keys(s, eligible), axis=-1, stable=True)
    rank = jnp.argsort(order, axis=-1).astype(s.dtype)  # from 0
    return eligible & (rank < jnp.round(k)[..., None])


@compiled()
def largest_gap_sets(scores: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """MCut: for each sample the labels above the largest gap between neighbouring scores.

    Formula:
        ŷ = [s ≥ (s₍ₖ₎ + s₍ₖ₊₁₎) / 2], k = argmax_k (s₍ₖ₎ − s₍ₖ₊₁₎) over the descending scores of
        the sample; of equal gaps the first, which gives the smallest set

    Args:
        scores: float array (..., L). Gaps depend on the scale: logits and probabilities give
            different sets.
        where: bool, the rank of scores with axes equal or 1: labels that may be in the sets.

    Returns:
        bool (..., L). Every set holds a label and, if two scores differ, lacks one; if all scores
        are equal, all labels are in the set. A NaN score is in no set.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if the shape of where does not fit.

    Reference:
        C. Largeron, C. Moulin and M. Géry, "MCut: A Thresholding Strategy for Multi-label
        Classification", IDA 2012.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> decisions.largest_gap_sets(jnp.array([[0.9, 0.2, 0.7, 0.1]]))
        Array([[ True, False,  True, False]], dtype=bool)
    """
    s, eligible = _candidates(scores, where)
    ordered = scores_of_keys(jnp.sort(ranking_keys(s, eligible), axis=-1), s.dtype)
    # Ineligible scores come last, as NaN. Halves are subtracted because a difference may overflow.
    # Equal infinite scores have no gap either.
    above, below = ordered[..., :-1], ordered[..., 1:]
    gap = above / 2 - below / 2
    gap = jnp.where(gap > 0, gap, 0)
    lowest = jnp.min(jnp.where(eligible, s, jnp.inf), axis=-1, keepdims=True)
    if s.shape[-1] == 1:
        return eligible
    place = jnp.argmax(gap, axis=-1, keepdims=True)
    last = jnp.take_along_axis(above, place, axis=-1)
    return eligible & (s >= jnp.where(jnp.max(gap, axis=-1, keepdims=True) > 0, last, lowest))


def _candidates(scores: ArrayLike, where: ArrayLike | None) -> tuple[Array, Array]:
    """Returns scores, whole on each device, and a bool mask of the labels that may be in a set."""
    s = checks.float_array("scores", scores)
    s = whole(s.astype(compute_dtype(s)))
    known = ~jnp.isnan(s)
    mask = checks.mask("where", where, s.shape)
    return s, known if mask is None else known & whole(mask)
