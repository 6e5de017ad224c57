"""Fenchel-Young losses of sparse projections: softmax cross-entropy with exact zeros."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.nn import relu
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import finite_product, with_slope
from mllosses_jax._core.reduction import reduce_samples
from mllosses_jax._core.softmax import inside
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["entmax15_loss", "sparsemax_loss"]


# Both thresholds τ solve an equation f(τ) = 1 with a convex and falling f, so the steps of Newton's
# method from below rise to it. Each step is one pass over (..., L): two to seven for 100 labels, up
# to fourteen for a million.

# Rounding could keep Newton's method from ending. After so many steps the bracket that it has left
# is halved, which ends in as many steps as the dtype has bits.
_NEWTON_STEPS = 32


def _below_top(x: Array) -> Array:
    """Returns x minus its largest entry, which changes no projection onto the simplex."""
    top = jnp.max(jax.lax.stop_gradient(x), axis=-1, keepdims=True, initial=-jnp.inf)
    return x - top


def _row_sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)


def _weighted_mean(x: Array, weights: Array) -> Array:
    total = _row_sum(weights)
    return _row_sum(weights * x) / jnp.where(total == 0, 1, total)


@jax.custom_jvp
def _sparsemax_threshold(z: Array) -> Array:
    """Returns the τ of Σ max(z − τ, 0) = 1, (..., 1), for z with largest entry 0."""
    Carry = tuple[Array, Array, Array]

    def step(carry: Carry) -> Carry:
        tau, size, fewest = carry
        p = relu(z - tau)
        fewest = jnp.minimum(size, fewest)
        size = _row_sum(jnp.sign(p))
        return tau + (_row_sum(p) - 1) / jnp.maximum(size, 1), size, fewest

    def shrinks(carry: Carry) -> Array:
        _, size, fewest = carry
        return jnp.any(size < fewest)

    # The sum is linear in τ until an entry leaves the support, so τ is exact once none does.
    zero = _row_sum(z[..., :0])
    start = zero - 1, zero + jnp.finfo(z.dtype).max, zero + jnp.inf
    return lax.while_loop(shrinks, step, start)[0]


@_sparsemax_threshold.defjvp
def _sparsemax_threshold_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    tau = _sparsemax_threshold(z)
    return tau, _weighted_mean(dz, (z > tau).astype(z.dtype))


@jax.custom_jvp
def _entmax_threshold(z: Array) -> Array:
    """Returns the τ of √(Σ max(z − τ, 0)²) = 1, (..., 1), for z with largest entry 0."""
    Carry = tuple[Array, Array, Array, Array, Array]

    def step(carry: Carry) -> Carry:
        tau, _, low, high, steps = carry
        root = relu(z - tau)
        norm, total = jnp.sqrt(_row_sum(root * root)), _row_sum(root)
        low, high = jnp.where(norm < 1, low, tau), jnp.where(norm < 1, tau, high)
        rise = norm * (norm - 1) / jnp.where(total == 0, 1, total)
        halving = steps >= _NEWTON_STEPS
        tau = jnp.where(halving, (low + high) / 2, tau + rise)
        return tau, jnp.where(halving, (high - low) / 2, rise), low, high, steps + 1

    def moves(carry: Carry) -> Array:
        tau, change, _, _, steps = carry
        most = _NEWTON_STEPS + jnp.finfo(z.dtype).bits
        return jnp.any(change > -2 * jnp.finfo(z.dtype).eps * tau) & (steps < most)

    zero = _row_sum(z[..., :0])
    return lax.while_loop(moves, step, (zero - 1, zero + 1, zero - 1, zero, jnp.int32(0)))[0]


@_entmax_threshold.defjvp
def _entmax_threshold_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (z,), (dz,) = primals, tangents
    tau = _entmax_threshold(z)
    return tau, _weighted_mean(dz, relu(z - tau))


# The Fenchel-Young losses Ω*(x) + Ω(q) − q·x are computed without cancellation, as a Bregman
# divergence of q and the projection plus a term for what q has outside the projection's support.


def _sparsemax_slope(x: Array, q: Array) -> Array:
    z = _below_top(x)
    return relu(z - _sparsemax_threshold(z)) - q


@with_slope(_sparsemax_slope, share=True, over_labels=True)
def _sparsemax_loss(x: Array, q: Array) -> Array:
    z = _below_top(x)
    tau = _sparsemax_threshold(z)
    p = relu(z - tau)
    outside = finite_product(q, relu(tau - z))
    return jnp.sum((p - q) ** 2 / 2 + outside, axis=-1)


def _entmax15_slope(x: Array, q: Array) -> Array:
    z = _below_top(x) / 2
    return relu(z - _entmax_threshold(z)) ** 2 - q


def _root(q: Array) -> Array:
    """Returns √q, whose derivative at 0 is 0 instead of infinite."""
    return jnp.sqrt(jnp.maximum(q, jnp.finfo(q.dtype).tiny))


@with_slope(lambda q, b: 2 * (_root(q) - b))
def _divergence(q: Array, b: Array) -> Array:
    """Returns the Bregman divergence of q and b². Its derivative in q is finite even at 0."""
    a = _root(q)
    return (a - b) ** 2 * (2 * a + b) * (2 / 3)


@with_slope(_entmax15_slope, share=True, over_labels=True)
def _entmax15_loss(x: Array, q: Array) -> Array:
    z = _below_top(x) / 2
    tau = _entmax_threshold(z)
    outside = finite_product(q, relu(tau - z))
    return jnp.sum(_divergence(q, relu(z - tau)) + 2 * outside, axis=-1)


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
    unlike with a softmax, they need not grow without bound. The cost is a few passes over the
    labels.

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
    cost is a few passes over the labels.

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
