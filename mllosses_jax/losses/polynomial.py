"""Polynomial losses: cross-entropy with a different coefficient of its first Taylor term.

The series is −log p = Σ_k (1 − p)^k/k. The losses are computed as the terms that they change plus
the tail of the series, so that nothing cancels for p near 1.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import (
    finite_product,
    log_sigmoid_pair,
    log_sigmoid_tail,
    power,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._focal import soft_focus

__all__ = ["poly1_binary_cross_entropy", "poly1_focal_loss"]

_INF = float("inf")


def _poly1(x: Array, scale: Exponent, epsilon: Exponent) -> Array:
    """Returns −scale·log p + ε·q, the loss of a positive label without its focusing weight."""
    _, q = sigmoid_pair(x)
    if isinstance(epsilon, int) and epsilon >= 0:  # nothing cancels, and the tail costs most
        return scale * -log_sigmoid_pair(x)[0] + epsilon * q
    return scale * (log_sigmoid_tail(x) + q * q / 2) + (scale + epsilon) * q


def _poly1_curvature(x: Array, scale: Exponent, epsilon: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    return p * q * ((scale - epsilon) * q + (scale + epsilon) * p)


@with_slope(_poly1_curvature)
def _poly1_slope(x: Array, scale: Exponent, epsilon: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    return -q * (scale * q + (scale + epsilon) * p)


def _hard_poly1_slope(
    x: Array, y: Array, gamma: Exponent, scale: Exponent, epsilon: Exponent
) -> Array:
    z = jnp.where(y, x, -x)
    p, q = sigmoid_pair(z)
    slope = _poly1_slope(z, scale, epsilon)
    if not (isinstance(gamma, int) and gamma == 0):
        slope = slope - gamma * finite_product(p, _poly1(z, scale, epsilon))
    return power(q, log_sigmoid_pair(z)[1], gamma) * jnp.where(y, slope, -slope)


@with_slope(_hard_poly1_slope)
def _hard_poly1(x: Array, y: Array, gamma: Exponent, scale: Exponent, epsilon: Exponent) -> Array:
    z = jnp.where(y, x, -x)
    weight = power(sigmoid_pair(z)[1], log_sigmoid_pair(z)[1], gamma)
    return weight * _poly1(z, scale, epsilon)


def _mixed_poly1(x: Array, y: Array, scale: Exponent, epsilon: Exponent) -> Array:
    positive, negative = _poly1(x, scale, epsilon), _poly1(-x, scale, epsilon)
    return finite_product(y, positive) + finite_product(1 - y, negative)


def _soft_poly1_slope(
    x: Array, y: Array, gamma: Exponent, scale: Exponent, epsilon: Exponent
) -> Array:
    slope = y * _poly1_slope(x, scale, epsilon) - (1 - y) * _poly1_slope(-x, scale, epsilon)
    if isinstance(gamma, int) and gamma == 0:
        return slope
    weight, growth = soft_focus(x, y, gamma)
    by_weight = finite_product(growth, _mixed_poly1(x, y, scale, epsilon))
    return weight * slope + (1 - 2 * y) * by_weight


@with_slope(_soft_poly1_slope)
def _soft_poly1(x: Array, y: Array, gamma: Exponent, scale: Exponent, epsilon: Exponent) -> Array:
    return soft_focus(x, y, gamma).weight * _mixed_poly1(x, y, scale, epsilon)


def _poly1_losses(
    inputs: LossInputs, gamma: Exponent, alpha: ArrayLike | None, epsilon: ArrayLike
) -> Array:
    scale: Exponent = 1
    if alpha is not None:
        a = checks.element_parameter("alpha", alpha, inputs.x)
        scale = a * inputs.soft_y + (1 - a) * (1 - inputs.soft_y)
    kernel = _hard_poly1 if inputs.hard else _soft_poly1
    e = checks.exponent("epsilon", epsilon, inputs.x)
    return kernel(inputs.x, inputs.y, gamma, scale, e)


@compiled_loss()
def poly1_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Poly-1 binary cross-entropy: the first term of its Taylor series has a new coefficient.

    Formula:
        ℓ = −y·log p − (1 − y)·log(1 − p) + ε·(1 − p_t),  p = σ(x)
        p_t = y·p + (1 − y)·(1 − p)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        epsilon: ε, a scalar or (L,); 0 gives binary cross-entropy. The paper uses 2 for images and
            −1 for detection; below −1 the loss of an easy label is negative.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The paper has a softmax loss; timm's
        `PolyBinaryCrossEntropy` with gamma 0 is the loss here, at "mean".

    Reference:
        Z. Leng, M. Tan, C. Liu, E. D. Cubuk, X. Shi, S. Cheng and D. Anguelov, "PolyLoss: A
        Polynomial Expansion Perspective of Classification Loss Functions", 2022,
        arXiv:2204.12511.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import poly1_binary_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(poly1_binary_cross_entropy(logits, labels, reduction="none").round(4))
        [[0.2461 0.5822]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    losses = _poly1_losses(inputs, 0, None, epsilon)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(gamma=(0, _INF), alpha=(0, 1))
def poly1_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    epsilon: ArrayLike = 1.0,
    gamma: ArrayLike = 2.0,
    alpha: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Poly-1 focal loss: the first term of the focal loss's series has a new coefficient.

    Formula:
        ℓ = −α_t·(1 − p_t)^γ·[y·log p + (1 − y)·log(1 − p)] + ε·(1 − p_t)^(γ + 1),  p = σ(x)
        p_t = y·p + (1 − y)·(1 − p),  α_t = α·y + (1 − α)·(1 − y)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        epsilon: ε, a scalar or (L,); 0 gives the focal loss. The paper uses −1 for detection.
        gamma: γ ≥ 0, a scalar or (L,). 0 gives `poly1_binary_cross_entropy`.
        alpha: α in [0, 1], a scalar or (L,); None turns balancing off. It scales the focal term
            alone, as in the common PyTorch port. In timm it scales both terms; to do the same,
            pass α_t as `weights` and leave alpha None.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else ().

    Reference:
        Z. Leng, M. Tan, C. Liu, E. D. Cubuk, X. Shi, S. Cheng and D. Anguelov, "PolyLoss: A
        Polynomial Expansion Perspective of Classification Loss Functions", 2022,
        arXiv:2204.12511.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import poly1_focal_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(poly1_focal_loss(logits, labels, reduction="none").round(4))
        [[0.0035 0.0421]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    losses = _poly1_losses(inputs, checks.exponent("gamma", gamma, inputs.x), alpha, epsilon)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
