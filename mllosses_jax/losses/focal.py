"""Focal losses: cross-entropy times a weight that fades as a label becomes easy."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    TINY,
    finite_product,
    power,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import soft_cross_entropy
from mllosses_jax.losses._focal import hard_focal, soft_focus

__all__ = ["quality_focal_loss", "sigmoid_focal_loss"]

_INF = float("inf")
_SATURATED = 40.0  # exp(-40) is about TINY


def _soft_focal_slope(x: Array, y: Array, gamma: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    weight, growth = soft_focus(x, y, gamma)
    by_weight = finite_product(growth, soft_cross_entropy(x, y, 1 - y))
    by_entropy = (1 - y) * p - y * q
    return weight * by_entropy + (1 - 2 * y) * by_weight


@with_slope(_soft_focal_slope)
def _soft_focal(x: Array, y: Array, gamma: Exponent) -> Array:
    return soft_focus(x, y, gamma).weight * soft_cross_entropy(x, y, 1 - y)


@compiled_loss(gamma=(0, _INF), alpha=(0, 1))
def sigmoid_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike = 2.0,
    alpha: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Focal loss: binary cross-entropy that fades for labels already predicted well.

    Formula:
        ℓ = −α_t·(1 − p_t)^γ·[y·log p + (1 − y)·log(1 − p)],  p = σ(x)
        p_t = y·p + (1 − y)·(1 − p),  α_t = α·y + (1 − α)·(1 − y)

    With soft labels, only `quality_focal_loss` among the focal losses has its minimum at p = y.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integer labels use a cheaper kernel.
        gamma: γ ≥ 0, a scalar or (L,). 0 gives binary cross-entropy. Derivatives of every order
            are right at γ = 0 too, whether γ is a Python number or an array.
        alpha: α in [0, 1], a scalar or (L,); None turns balancing off. torchvision's default is
            0.25.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The paper divides "sum" by the number of
        assigned anchors; torchvision and optax are "none".

    Reference:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object
        Detection", 2017, arXiv:1708.02002.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import sigmoid_focal_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(sigmoid_focal_loss(logits, labels, gamma=2.0, reduction="none").round(4))
        [[0.0018 0.0227]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x, y = inputs.x, inputs.y
    exponent = checks.exponent("gamma", gamma, x)
    losses = hard_focal(x, y, exponent) if inputs.hard else _soft_focal(x, y, exponent)
    if alpha is not None:
        a = checks.element_parameter("alpha", alpha, x)
        losses = (jnp.where(y, a, 1 - a) if inputs.hard else a * y + (1 - a) * (1 - y)) * losses
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


class _Distance(NamedTuple):
    d: Array  # p − y
    weight: Array  # |d|^β
    growth: Array  # the slope of the weight, which is 0 if d is 0


def _distance(x: Array, y: Array, beta: Exponent) -> _Distance:
    p, q = sigmoid_pair(x)
    d = (1 - y) * p - y * q
    # Where d is tiny, either p is y, or the label is hard and |d| is exp(-|x|).
    sound = jnp.abs(d) > TINY
    safe = jnp.where(sound, d, jnp.ones_like(d))
    tail = jnp.abs(x) > _SATURATED
    log_d = jnp.where(sound, jnp.log(jnp.abs(safe)), jnp.where(tail, -jnp.abs(x), -jnp.inf))
    weight = power(jnp.abs(d), log_d, beta)
    if isinstance(beta, int) and beta > 0:  # no division
        # For β > 1 without a sign, whose derivative would be lost at d = 0.
        signed = jnp.sign(d) if beta == 1 else d * power(jnp.abs(d), log_d, beta - 2)
        growth = signed * (p * q)
    else:
        growth = weight * jnp.where(sound, p * q / safe, jnp.where(tail, -jnp.sign(x), 0))
    return _Distance(d, weight, beta * growth)


def _soft_quality_slope(x: Array, y: Array, beta: Exponent) -> Array:
    d, weight, growth = _distance(x, y, beta)
    return weight * d + finite_product(growth, soft_cross_entropy(x, y, 1 - y))


@with_slope(_soft_quality_slope)
def _soft_quality_focal(x: Array, y: Array, beta: Exponent) -> Array:
    return _distance(x, y, beta).weight * soft_cross_entropy(x, y, 1 - y)


@compiled_loss(beta=(0, _INF))
def quality_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Quality focal loss (QFL): a focal loss for soft labels with its minimum at p = y.

    Formula:
        ℓ = −|y − p|^β·[y·log p + (1 − y)·log(1 − p)],  p = σ(x)

    With hard labels this is `sigmoid_focal_loss` with γ = β.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integer labels use a cheaper kernel.
        beta: β ≥ 0, a scalar or (L,). 0 gives binary cross-entropy. For β < 1 and soft labels the
            slope is unbounded around p = y; at p = y itself it is 0 for every β.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The paper divides "sum" by the number of
        positive anchors.

    Reference:
        X. Li, W. Wang, L. Wu, S. Chen, X. Hu, J. Li, J. Tang and J. Yang, "Generalized Focal
        Loss: Learning Qualified and Distributed Bounding Boxes for Dense Object Detection", 2020,
        arXiv:2006.04388.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import quality_focal_loss
        >>> logits, labels = jnp.array([[2.0, 0.0]]), jnp.array([[0.7, 0.5]])
        >>> print(quality_focal_loss(logits, labels, reduction="none").round(4))
        [[0.0238 0.    ]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    kernel = hard_focal if inputs.hard else _soft_quality_focal
    losses = kernel(inputs.x, inputs.y, checks.exponent("beta", beta, inputs.x))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
