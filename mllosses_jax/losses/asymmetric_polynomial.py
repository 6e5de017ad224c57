"""Asymmetric polynomial losses: asymmetric losses with other Taylor coefficients of −log p.

In the kernels `lamb` is None if the Hill factor of the robust loss is absent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    TINY,
    finite_product,
    log_sigmoid_tail,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._asymmetric import hard_entropy, hard_focus, hard_tail, shifted, soft_focus

__all__ = ["asymmetric_polynomial_loss", "robust_asymmetric_loss"]

_INF = float("inf")


def _positive_curvature(x: Array, e1: Exponent, e2: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    return p * q * ((1 + e1 + e2) * (q * q) + (1 - e1) * (p * p) + 2 * (1 - e2) * (p * q))


@with_slope(_positive_curvature)
def _positive_slope(x: Array, e1: Exponent, e2: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    return -q * (q * q + (1 - e1) * p + (1 - e2) * (p * q))


def _negative(
    entropy: Array, x: Array, clip: Exponent, e_neg: Exponent, lamb: Exponent | None
) -> tuple[Array, Array]:
    """Returns −log(1 − p_m) − ε₋·(1 − p_m), times the Hill factor if any, and its slope.

    The entropy is −log(1 − p_m), and the factor is (λ − p)·p²·(λ − (1 − p_m)).
    """
    p, q = sigmoid_pair(x)
    p_m, rest, above, slope = shifted(x, clip)
    change = jnp.where(above, p * q, 0)
    loss = entropy - e_neg * rest
    slope = slope + e_neg * change
    if lamb is None:
        return loss, slope
    base, rise = (lamb - 1) + q, (lamb - 1) + p_m
    factor_slope = q * ((2 * lamb - 3) + 3 * q) * rise + base * change
    square = p * p
    by_loss = finite_product(square * factor_slope, loss)
    return loss * (square * (base * rise)), square * (slope * (base * rise)) + by_loss


def _polynomial_entropy(
    x: Array,
    y: Array,
    clip: Exponent,
    e1: Exponent,
    e2: Exponent,
    e_neg: Exponent,
    lamb: Exponent | None,
) -> tuple[Array, Array]:
    """Returns the loss without its focusing weight, and the slope of this loss."""
    hard = y.dtype != x.dtype
    if hard:  # only one side counts, so one logarithm serves both
        p_m = shifted(x, clip).p_m
        tail = hard_tail(x, y, clip)
        entropy = tail + p_m + p_m * p_m / 2
    else:
        tail, entropy = log_sigmoid_tail(x), hard_entropy(x, jnp.asarray(False), clip)
    q = sigmoid_pair(x)[1]
    positive = tail + (1 - e1) * q + (1 - e2) * (q * q / 2)
    positive_slope = _positive_slope(x, e1, e2)
    negative, negative_slope = _negative(entropy, x, clip, e_neg, lamb)
    if hard:
        return jnp.where(y, positive, negative), jnp.where(y, positive_slope, negative_slope)
    loss = finite_product(y, positive) + finite_product(1 - y, negative)
    return loss, y * positive_slope + (1 - y) * negative_slope


def _asymmetric_polynomial_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *coefficients: Any,
    detach_focus: bool,
) -> Array:
    loss, slope = _polynomial_entropy(x, y, clip, *coefficients)
    if y.dtype == x.dtype:
        focus, gamma, growth = soft_focus(x, y, gamma_neg, gamma_pos, clip)
        by_weight = gamma * finite_product(growth, loss)
    else:
        focus = hard_focus(x, y, gamma_neg, gamma_pos, clip)
        p, q = sigmoid_pair(x)
        p_m, _, above, _ = shifted(x, clip)
        sound = p_m > TINY  # otherwise p_m is p = exp(x), or clipped to 0
        growth = jnp.where(sound, p * q / jnp.where(sound, p_m, 1), above.astype(x.dtype))
        positive, negative = finite_product(p, loss), finite_product(growth, loss)
        by_weight = jnp.where(y, -gamma_pos * positive, gamma_neg * negative)
    return focus * slope if detach_focus else focus * (slope + by_weight)


def _asymmetric_polynomial(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *coefficients: Any,
) -> Array:
    loss, _ = _polynomial_entropy(x, y, clip, *coefficients)
    if y.dtype == x.dtype:
        return soft_focus(x, y, gamma_neg, gamma_pos, clip).weight * loss
    return hard_focus(x, y, gamma_neg, gamma_pos, clip) * loss


def _kernel(detach_focus: bool) -> Callable[..., Array]:
    """Returns the kernel, called as (x, y, gamma_neg, gamma_pos, clip, e1, e2, e_neg, lamb)."""
    slope = functools.partial(_asymmetric_polynomial_slope, detach_focus=detach_focus)
    return with_slope(slope)(_asymmetric_polynomial)


@compiled_loss(gamma_neg=(0, _INF), gamma_pos=(0, _INF), clip=(0, 1))
def asymmetric_polynomial_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma_neg: ArrayLike = 4.0,
    gamma_pos: ArrayLike = 0.0,
    clip: ArrayLike = 0.05,
    epsilon_pos: ArrayLike = 1.0,
    epsilon_pos_pow: ArrayLike = -2.5,
    epsilon_neg: ArrayLike = 0.0,
    detach_focus: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Asymmetric polynomial loss (APL): asymmetric loss with different first Taylor coefficients.

    Formula:
        ℓ = −u^γ·[y·(log p + ε₁·(1 − p) + ε₂·(1 − p)²/2) + (1 − y)·(log r + ε₋·r)]
        p = σ(x),  p_m = max(p − m, 0),  r = 1 − p_m
        u = y·(1 − p) + (1 − y)·p_m,  γ = y·γ₊ + (1 − y)·γ₋

    The sign of ε is the opposite of that in `poly1_binary_cross_entropy`: ε₁ = 1 removes the first
    term of −log p = (1 − p) + (1 − p)²/2 + …, and ε₂ = −2.5 makes the second 3.5 times as large.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integer labels use a cheaper kernel.
        gamma_neg: γ₋ ≥ 0, a scalar or (L,).
        gamma_pos: γ₊ ≥ 0, a scalar or (L,).
        clip: m in [0, 1], a scalar or (L,): negatives with p ≤ m have gradient 0.
        epsilon_pos: ε₁, a scalar or (L,).
        epsilon_pos_pow: ε₂, a scalar or (L,).
        epsilon_neg: ε₋, a scalar or (L,). It multiplies 1 − p_m, as in the authors' code.
        detach_focus: whether u^γ is held constant in the slope with respect to the logits, as in
            the authors' code; see `asymmetric_loss`.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "sum".

    Reference:
        Y. Huang, J. Qi, X. Wang and Z. Lin, "Asymmetric Polynomial Loss For Multi-Label
        Classification", 2023, arXiv:2304.05361.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import asymmetric_polynomial_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, -3.0]]), jnp.array([[1, 0, 0]])
        >>> print(asymmetric_polynomial_loss(logits, labels, reduction="none").round(4))
        [[0.0255 0.0006 0.    ]]
    """
    inputs = loss_inputs(logits, labels, where)
    x = inputs.x
    losses = _kernel(detach_focus)(
        x,
        inputs.y,
        checks.exponent("gamma_neg", gamma_neg, x),
        checks.exponent("gamma_pos", gamma_pos, x),
        checks.exponent("clip", clip, x),
        checks.exponent("epsilon_pos", epsilon_pos, x),
        checks.exponent("epsilon_pos_pow", epsilon_pos_pow, x),
        checks.exponent("epsilon_neg", epsilon_neg, x),
        None,
    )
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(gamma_neg=(0, _INF), gamma_pos=(0, _INF), clip=(0, 1), lamb=(0, _INF))
def robust_asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma_neg: ArrayLike = 4.0,
    gamma_pos: ArrayLike = 0.0,
    clip: ArrayLike = 0.05,
    lamb: ArrayLike = 1.5,
    epsilon_pos: ArrayLike = 1.0,
    epsilon_pos_pow: ArrayLike = -2.5,
    epsilon_neg: ArrayLike = 0.0,
    detach_focus: bool = False,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Robust asymmetric loss (RAL): a polynomial asymmetric loss with a Hill term on negatives.

    Formula:
        ℓ = −u^γ·[y·(log p + ε₁·(1 − p) + ε₂·(1 − p)²/2)
                  + (1 − y)·(log r + ε₋·r)·(λ − p)·p²·(λ − r)]
        p = σ(x),  p_m = max(p − m, 0),  r = 1 − p_m
        u = y·(1 − p) + (1 − y)·p_m,  γ = y·γ₊ + (1 − y)·γ₋

    The factor λ − r follows the authors' code.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integer labels use a cheaper kernel.
        gamma_neg: γ₋ ≥ 0, a scalar or (L,).
        gamma_pos: γ₊ ≥ 0, a scalar or (L,).
        clip: m in [0, 1], a scalar or (L,): negatives with p ≤ m have loss and gradient 0 if
            γ₋ > 0.
        lamb: λ ≥ 0, a scalar or (L,). If it is below 1, the loss of some
            negatives is below 0.
        epsilon_pos: ε₁, a scalar or (L,).
        epsilon_pos_pow: ε₂, a scalar or (L,).
        epsilon_neg: ε₋, a scalar or (L,).
        detach_focus: whether u^γ is held constant in the slope with respect to the logits; see
            `asymmetric_loss`. In the authors' code the gradient flows through u^γ.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "sum".

    Reference:
        W. Park, I. Park, S. Kim and J. Ryu, "Robust Asymmetric Loss for Multi-Label Long-Tailed
        Learning", 2023, arXiv:2308.05542.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import robust_asymmetric_loss
        >>> logits, labels = jnp.array([[2.0, 1.0, -3.0]]), jnp.array([[1, 0, 0]])
        >>> print(robust_asymmetric_loss(logits, labels, reduction="none").round(4))
        [[0.0255 0.1193 0.    ]]
    """
    inputs = loss_inputs(logits, labels, where)
    x = inputs.x
    losses = _kernel(detach_focus)(
        x,
        inputs.y,
        checks.exponent("gamma_neg", gamma_neg, x),
        checks.exponent("gamma_pos", gamma_pos, x),
        checks.exponent("clip", clip, x),
        checks.exponent("epsilon_pos", epsilon_pos, x),
        checks.exponent("epsilon_pos_pow", epsilon_pos_pow, x),
        checks.exponent("epsilon_neg", epsilon_neg, x),
        checks.exponent("lamb", lamb, x),
    )
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
