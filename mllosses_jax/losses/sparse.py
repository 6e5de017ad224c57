"""Fenchel-Young losses of sparse projections: softmax cross-entropy with exact zeros."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import finite_product, with_slope
from mllosses_jax._core.reduction import reduce_samples
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax._core.softmax import inside
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["entmax15_loss", "sparsemax_loss"]


def _below_top(x: Array) -> Array:
    """Returns x minus its largest entry, which changes no projection onto the simplex."""
    return x - jnp.max(x, axis=-1, keepdims=True, initial=-jnp.inf)


def _descending(z: Array) -> tuple[Array, Array]:
    """Returns z in descending order along the last axis, and the numbers 1, 2, ..., L."""
    sizes = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype)
    ordered = jnp.sort(whole_rows(z), axis=-1, descending=True)
    return ordered, sizes.reshape((1,) * (z.ndim - 1) + (-1,))


def _sparsemax_threshold(z: Array) -> Array:
    """Returns the τ of Σ max(z − τ, 0) = 1, (..., 1), for z with largest entry 0."""
    z = jnp.maximum(z, -1)  # τ ≥ −1, so lower entries make no difference
    ordered, k = _descending(z)
    # The threshold of the first k entries alone is (sum − 1)/k; τ is the highest of these.
    candidates = (jnp.cumsum(ordered, axis=-1) - 1) / k
    tau = jnp.max(candidates, axis=-1, keepdims=True, initial=-1)
    # A Newton step restores the digits lost in long sums.
    excess = jnp.sum(jnp.maximum(z - tau, 0), axis=-1, keepdims=True) - 1
    return tau + excess / jnp.maximum(jnp.sum(z > tau, axis=-1, keepdims=True), 1).astype(z.dtype)


def _entmax_threshold(z: Array) -> Array:
    """Returns the τ of Σ max(z − τ, 0)² = 1, (..., 1), for z with largest entry 0."""
    z = jnp.maximum(z, -1)
    ordered, k = _descending(z)
    mean = jnp.cumsum(ordered, axis=-1) / k
    variance = jnp.cumsum(ordered * ordered, axis=-1) / k - mean * mean
    # These are the thresholds of the first k entries alone; τ is the highest of those that do not
    # exceed the k-th entry.
    candidates = mean - jnp.sqrt(jnp.maximum(1 / k - variance, 0))
    candidates = jnp.where(candidates <= ordered, candidates, -1)
    tau = jnp.max(candidates, axis=-1, keepdims=True, initial=-1)
    # Newton steps on the norm, which is nearly linear in τ, so a few suffice.
    for _ in range(4):
        root = jnp.maximum(z - tau, 0)
        norm = jnp.sqrt(jnp.sum(root * root, axis=-1, keepdims=True))
        total = jnp.sum(root, axis=-1, keepdims=True)
        tau = tau + norm * (norm - 1) / jnp.where(total == 0, 1, total)
    return tau


def _centered(weights: Array, dx: Array) -> Array:
    """Returns weights * (dx - the weighted mean of dx)."""
    total = jnp.sum(weights, axis=-1, keepdims=True)
    mean = jnp.sum(weights * dx, axis=-1, keepdims=True) / jnp.where(total == 0, 1, total)
    return weights * (dx - mean)


@jax.custom_jvp
def _sparsemax(x: Array) -> Array:
    z = _below_top(x)
    return jnp.maximum(z - _sparsemax_threshold(z), 0)


@_sparsemax.defjvp
def _sparsemax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    p = _sparsemax(*primals)
    return p, _centered((p > 0).astype(p.dtype), tangents[0])


@jax.custom_jvp
def _entmax15(x: Array) -> Array:
    z = _below_top(x) / 2
    return jnp.maximum(z - _entmax_threshold(z), 0) ** 2


@_entmax15.defjvp
def _entmax15_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    p = _entmax15(*primals)
    return p, _centered(jnp.sqrt(p), tangents[0])


# The Fenchel-Young losses Ω*(x) + Ω(q) − q·x are computed without cancellation, as a Bregman
# divergence of q and the projection plus a term for what q has outside the projection's support.


def _sparsemax_slope(x: Array, q: Array) -> Array:
    return _sparsemax(x) - q


@with_slope(_sparsemax_slope, over_labels=True)
def _sparsemax_loss(x: Array, q: Array) -> Array:
    z = _below_top(x)
    tau = _sparsemax_threshold(z)
    p = jnp.maximum(z - tau, 0)
    outside = finite_product(q, jnp.maximum(tau - z, 0))
    return jnp.sum((p - q) ** 2 / 2 + outside, axis=-1)


def _entmax15_slope(x: Array, q: Array) -> Array:
    return _entmax15(x) - q


@with_slope(_entmax15_slope, over_labels=True)
def _entmax15_loss(x: Array, q: Array) -> Array:
    z = _below_top(x) / 2
    tau = _entmax_threshold(z)
    a, b = jnp.sqrt(q), jnp.maximum(z - tau, 0)
    outside = finite_product(q, jnp.maximum(tau - z, 0))
    return jnp.sum((a - b) ** 2 * (2 * a + b) * (2 / 3) + 2 * outside, axis=-1)


def _of_label_sets(inputs: LossInputs, losses: Array) -> Array:
    """Returns the losses with 0 for empty label sets."""
    return jnp.where(jnp.any(inputs.soft_y != 0, axis=-1), losses, 0)


@compiled_loss()
def sparsemax_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Sparsemax loss: the label distribution against a sparse projection of the logits.

    Formula:
        ℓ = (p − q)·x + ½‖q‖² − ½‖p‖²,  q = y/Σy,  p = sparsemax(x) = max(x − τ, 0), Σp = 1
        ∂ℓ/∂x = p − q

    The projection has exact zeros, and the loss is 0 if the logits equal q up to a constant:
    unlike with a softmax, they need not grow without bound. The cost is a sort of the labels.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): label sets or distributions.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are projected.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample: (...) with "none", else (). With one-hot labels it is `sparsemax_loss`
        of the package entmax. An empty set has loss and gradient 0.

    Reference:
        A. F. T. Martins and R. F. Astudillo, "From Softmax to Sparsemax: A Sparse Model of
        Attention and Multi-Label Classification", 2016, arXiv:1602.02068.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import sparsemax_loss
        >>> logits, labels = jnp.array([[0.8, -1.0, 0.6]]), jnp.array([[1, 0, 0]])
        >>> print(f"{sparsemax_loss(logits, labels):.4f}")
        0.1600
    """
    inputs = loss_inputs(logits, labels, where)
    losses = _sparsemax_loss(inside(inputs.x, inputs.where), inputs.distribution())
    losses = _of_label_sets(inputs, losses)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def entmax15_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """1.5-entmax loss: halfway between softmax cross-entropy and the sparsemax loss.

    Formula:
        ℓ = (p − q)·x + 4/3·Σ_c (q_c^1.5 − p_c^1.5),  q = y/Σy
        p = 1.5-entmax(x) = max(x/2 − τ, 0)², Σp = 1
        ∂ℓ/∂x = p − q

    Its projection has exact zeros, and unlike that of sparsemax its gradient has no kinks. The
    cost is a sort of the labels.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): label sets or distributions.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are projected.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample: (...) with "none", else (). With one-hot labels it is `entmax15_loss`
        of the package entmax. An empty set has loss and gradient 0.

    Reference:
        B. Peters, V. Niculae and A. F. T. Martins, "Sparse Sequence-to-Sequence Models", 2019,
        arXiv:1905.05702.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import entmax15_loss
        >>> logits, labels = jnp.array([[0.8, -1.0, 0.6]]), jnp.array([[1, 0, 0]])
        >>> print(f"{entmax15_loss(logits, labels):.4f}")
        0.2976
    """
    inputs = loss_inputs(logits, labels, where)
    losses = _entmax15_loss(inside(inputs.x, inputs.where), inputs.distribution())
    losses = _of_label_sets(inputs, losses)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
