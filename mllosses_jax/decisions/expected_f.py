"""The label set of each sample whose expected F-beta is highest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.ordering import ranking_keys
from mllosses_jax._core.sets import fbeta_denominator
from mllosses_jax.decisions._probabilities import probabilities_or_zero

_INF = float("inf")
_CELLS_AT_A_TIME = 2**20  # cells of an array (rows, L, L)


@compiled(probabilities="probabilities", beta=(0, _INF), zero_division=(0, 1))
def expected_f_sets(
    probabilities: ArrayLike,
    beta: ArrayLike = 1.0,
    *,
    zero_division: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """Label sets with the highest expected F-beta of each sample, exact for independent labels.

    Formula:
        ŷ = argmax_h E[F_β(h, Y)], Y₁, ..., Y_L independent with P(Yᵢ = 1) = pᵢ. The best set of
        size k holds the k highest probabilities, and there
        E[F_β] = (1 + β²)·Σᵢ≤ₖ Σₛ P(Yᵢ = 1, |Y| = s) / (β²·s + k)

    Args:
        probabilities: float array (..., L), calibrated probabilities.
        beta: β ≥ 0 of F-beta.
        zero_division: F-beta where no label is predicted and none is true: with 1 the empty set is
            worth P(|Y| = 0), with 0 nothing, as in
            `metrics.fbeta(..., average="samples", zero_division=...)`.
        where: bool, the rank of probabilities with axes equal or 1: labels that may be in the
            sets; the others are taken to be false.

    Returns:
        bool (..., L). Ties between probabilities go to the lowest index, ties between sets to the
        smallest. Invalid probabilities (NaN and, under a transformation, those outside [0, 1]) are
        in no set. Time and memory are O(L²) per sample for every β.

    Raises:
        TypeError: if probabilities are not floating point, or where is not bool.
        ValueError: if they lie outside [0, 1] (if concrete).

    Reference:
        N. Ye, K. M. A. Chai, W. S. Lee and H. L. Chieu, "Optimizing F-measures: A Tale of Two
        Approaches", ICML 2012, arXiv:1206.4625; that the best sets hold the highest
        probabilities is due to D. D. Lewis, "Evaluating and Optimizing Autonomous Text
        Classification Systems", SIGIR 1995.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> p = jnp.array([[0.9, 0.6, 0.1], [0.1, 0.1, 0.1]])
        >>> decisions.expected_f_sets(p)
        Array([[ True,  True, False],
               [False, False, False]], dtype=bool)
    """
    p, eligible = probabilities_or_zero(probabilities, where)
    gain = _gain(beta, p)
    empty = checks.scalar("zero_division", zero_division, p.dtype)

    def best_size(row: Array) -> Array:
        joint, nothing = _independent(jnp.sort(row, descending=True))
        values = jnp.sum(jnp.cumsum(joint, axis=0) * gain.T, axis=1)  # for sizes 1 to L
        best = jnp.argmax(values)
        return jnp.where(values[best] > empty * nothing, best + 1, 0)

    size: Array = _row_by_row(best_size, p)
    order = jnp.argsort(ranking_keys(p, eligible), axis=-1, stable=True)
    return eligible & (jnp.argsort(order, axis=-1) < size[..., None])


@compiled(beta=(0, _INF), zero_division=(0, 1))
def gfm_sets(
    joint: ArrayLike,
    empty: ArrayLike,
    *,
    beta: ArrayLike = 1.0,
    zero_division: ArrayLike = 1.0,
) -> Array:
    """Label sets with the highest expected F-beta of each sample, for dependent labels.

    Formula:
        ŷ = argmax_h E[F_β(h, Y)]. With Δᵢₖ = (1 + β²)·Σₛ P(Yᵢ = 1, |Y| = s) / (β²·s + k), a set
        of size k has E[F_β] = Σᵢ∈ₕ Δᵢₖ: the best one holds the k labels of the highest Δᵢₖ

    Args:
        joint: float array (..., L, L): P(Yᵢ = 1, |Y| = s) with the label i first and the number
            of true labels s = 1, ..., L last; from a model of the sets, from samples, or, for
            independent labels, from `gfm_matrix`.
        empty: float array (...), P(|Y| = 0).
        beta: β ≥ 0 of F-beta.
        zero_division: F-beta where no label is predicted and none is true: with 1 the empty set is
            worth P(|Y| = 0), with 0 nothing.

    Returns:
        bool (..., L). Ties between labels go to the lowest index, ties between sets to the
        smallest. A label with a NaN in its row is in no set; a NaN in `empty` counts as 0.

    Raises:
        TypeError: if an array is not floating point.
        ValueError: if joint is not square in its last two axes, or empty does not fit.

    Reference:
        The general F-measure maximizer of K. Dembczyński, W. Waegeman, W. Cheng and E. Hüllermeier,
        "An Exact Algorithm for F-Measure Maximization", NIPS 2011.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> # One of the labels 0 and 1 is true, each as likely as not; label 2 never is.
        >>> joint = jnp.array([[[0.5, 0, 0], [0.5, 0, 0], [0, 0, 0]]])
        >>> decisions.gfm_sets(joint, jnp.array([0.0]))
        Array([[ True,  True, False]], dtype=bool)
    """
    joint = checks.float_array("joint", joint)
    joint = joint.astype(compute_dtype(joint))
    if joint.ndim < 2 or joint.shape[-1] != joint.shape[-2]:
        raise ValueError(f"joint must have the shape (..., L, L), got {joint.shape}")
    nothing = checks.per_sample("empty", empty, joint[..., 0])
    eligible = ~jnp.any(jnp.isnan(joint), axis=-1)
    joint = jnp.where(eligible[..., None], joint, 0)
    delta = jnp.matmul(joint, _gain(beta, joint), precision=lax.Precision.HIGHEST)
    delta = jnp.where(eligible[..., None], delta, -jnp.inf)
    sums = jnp.cumsum(jnp.sort(delta, axis=-2, descending=True), axis=-2)
    values = jnp.diagonal(sums, axis1=-2, axis2=-1)  # for the best sets of sizes 1 to L
    best = jnp.argmax(values, axis=-1)[..., None]
    worth = checks.scalar("zero_division", zero_division, joint.dtype)
    threshold = jnp.nan_to_num(nothing)[..., None] * worth
    size = jnp.where(jnp.take_along_axis(values, best, axis=-1) > threshold, best + 1, 0)
    column = jnp.take_along_axis(delta, best[..., None], axis=-1)[..., 0]
    order = jnp.argsort(ranking_keys(column), axis=-1, stable=True)
    return eligible & (jnp.argsort(order, axis=-1) < size)


@compiled(probabilities="probabilities")
def gfm_matrix(probabilities: ArrayLike, *, where: ArrayLike | None = None) -> tuple[Array, Array]:
    """Joint distribution of each label and the number of true labels, for independent labels.

    This is the input of `gfm_sets`.

    Formula:
        P(Yᵢ = 1, |Y| = s) = pᵢ·P(Σⱼ≠ᵢ Yⱼ = s − 1), the latter a Poisson binomial distribution

    Args:
        probabilities: float array (..., L).
        where: bool, the rank of probabilities with axes equal or 1: labels that may be true.

    Returns:
        The pair of P(Yᵢ = 1, |Y| = s), (..., L, L), for s = 1, ..., L, and P(|Y| = 0), (...), in
        float32 or the wider dtype of the probabilities. Masked labels and invalid
        probabilities enter as if the label were false. Absolute errors are at worst L times a few
        rounding errors; time is O(L²) per sample.

    Raises:
        TypeError: if probabilities are not floating point, or where is not bool.
        ValueError: if they lie outside [0, 1] (if concrete).

    Reference:
        W. Waegeman, K. Dembczyński, A. Jachnik, W. Cheng and E. Hüllermeier, "On the
        Bayes-Optimality of F-Measure Maximizers", JMLR 2014, arXiv:1310.4849.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> joint, empty = decisions.gfm_matrix(jnp.array([[0.5, 0.25]]))
        >>> print(joint, empty)
        [[[0.375 0.125]
          [0.125 0.125]]] [0.375]
    """
    p, _ = probabilities_or_zero(probabilities, where)
    pair: tuple[Array, Array] = _row_by_row(_independent, p)
    return pair


def _gain(beta: ArrayLike, like: Array) -> Array:
    """Returns F-beta per hit, (1 + β²) / (β²·s + k), for s true and k predicted labels, (L, L)."""
    sizes = jnp.arange(1, like.shape[-1] + 1, dtype=like.dtype)
    return 1 / fbeta_denominator(beta, sizes[:, None], sizes[None], like.dtype)


def _row_by_row(function: Callable[[Array], Any], p: Array) -> Any:
    """Applies a function of one row to (..., L), a few rows at a time, since each takes (L, L)."""
    size = p.shape[-1]
    rows = p.reshape(math.prod(p.shape[:-1]), size)
    results = lax.map(function, rows, batch_size=max(_CELLS_AT_A_TIME // size**2, 1))
    return jax.tree.map(lambda a: a.reshape(p.shape[:-1] + a.shape[1:]), results)


def _independent(p: Array) -> tuple[Array, Array]:
    """Returns P(Yᵢ = 1, |Y| = s), (L, L), for s from 1, and P(|Y| = 0), (), of one row (L,)."""
    totals = _total_distribution(p)
    # The distribution q without label i solves D = q·(1 − p) + shifted q·p. Solving it from the end
    # at which the larger of p and 1 − p stands alone does not amplify errors.
    upper = p > 0.5
    larger = jnp.where(upper, p, 1 - p)
    smaller = jnp.where(upper, 1 - p, p)

    def step(last: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        from_below, from_above = ends
        total = jnp.where(upper, from_above, from_below)
        others = jnp.maximum(total - smaller * last, 0) / larger
        return others, others

    ends = totals[:-1], totals[:0:-1]
    _, others = lax.scan(step, jnp.zeros_like(p), ends)
    others = jnp.where(upper, others[::-1], others)
    return p[:, None] * others.T, totals[0]


def _total_distribution(p: Array) -> Array:
    """Returns P(|Y| = s) for s = 0, ..., L, (L + 1,)."""

    def add(distribution: Array, probability: Array) -> tuple[Array, None]:
        shifted = jnp.roll(distribution, 1).at[0].set(0)
        return distribution * (1 - probability) + shifted * probability, None

    start = jnp.zeros(p.shape[0] + 1, p.dtype).at[0].set(1)
    return lax.scan(add, start, p)[0]
