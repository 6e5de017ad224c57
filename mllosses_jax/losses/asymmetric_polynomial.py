"""Asymmetric polynomial losses: asymmetric losses with other Taylor coefficients of −log p.

In the kernels `lamb` is None if the Hill factor of the robust loss is absent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    bounded,
    finite_product,
    log_sigmoid_tail,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._asymmetric import (
    hard_entropy,
    hard_tail,
    likelihood,
    negative_entropy,
    negative_focus,
    negative_weight,
    positive_focus,
    shifted,
    shifted_change,
    soft_focus,
)

__all__ = ["asymmetric_polynomial_loss", "robust_asymmetric_loss"]

_INF = float("inf")


def _times(coefficient: Exponent, values: Array) -> Array | int:
    """Returns a product. XLA would multiply by a constant 0 too, because 0·∞ is not 0."""
    return 0 if isinstance(coefficient, int) and coefficient == 0 else coefficient * values


def _positive_curvature(x: Array, e1: Exponent, e2: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    return p * q * ((1 + e1 + e2) * (q * q) + (1 - e1) * (p * p) + 2 * (1 - e2) * (p * q))


@with_slope(_positive_curvature)
def _positive_slope(x: Array, e1: Exponent, e2: Exponent) -> Array:
    p, q = sigmoid_pair(x)
    return q * (_times(e1 - 1, p) + q * (_times(e2 - 1, p) - q))


def _positive(x: Array, tail: Array, e1: Exponent, e2: Exponent) -> Array:
    """Returns −log p − ε₁·q − ε₂·q²/2 for tail = −log p − q − q²/2."""
    q = sigmoid_pair(x)[1]
    return tail + _times(1 - e1, q) + _times(1 - e2, q * q / 2)


def _negative(entropy: Array, x: Array, clip: Exponent, e_neg: Exponent) -> tuple[Array, Array]:
    """Returns −log(1 − p_m) − ε₋·(1 − p_m) and its slope; the entropy is −log(1 − p_m)."""
    _, rest, _, slope = shifted(x, clip)
    return entropy - _times(e_neg, rest), slope + _times(e_neg, shifted_change(x, clip))


def _hill(x: Array, clip: Exponent, lamb: Exponent) -> tuple[Array, Array, Array]:
    """Returns p², and the Hill factor (λ − p)·p²·(λ − (1 − p_m)) and its slope divided by p²."""
    p, q = sigmoid_pair(x)
    base, rise = (lamb - 1) + q, (lamb - 1) + shifted(x, clip).p_m
    slope = q * ((2 * lamb - 3) + 3 * q) * rise + base * shifted_change(x, clip)
    return p * p, base * rise, slope


def _hard(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    e1: Exponent,
    e2: Exponent,
    e_neg: Exponent,
    lamb: Exponent | None,
) -> Array:
    """Returns the loss of hard labels, of which one logarithm serves both classes."""
    # With r = 1 − u, −log u is the tail and r + r²/2, for positives and for negatives.
    tail, r = hard_tail(x, y, clip), likelihood(x, y, clip).rest
    half = r * r / 2
    positive = tail + _times(1 - e1, r) + _times(1 - e2, half)
    negative = tail + r + half - _times(e_neg, shifted(x, clip).rest)
    weight = negative_weight(x, gamma_neg, clip)
    if lamb is not None:
        square, factor, _ = _hill(x, clip, lamb)
        weight = weight * (square * factor)
    return jnp.where(y, positive_focus(x, gamma_pos).weight * positive, weight * negative)


def _hard_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    e1: Exponent,
    e2: Exponent,
    e_neg: Exponent,
    lamb: Exponent | None,
    *,
    detach_focus: bool,
) -> Array:
    """Returns the slope of the loss of hard labels.

    Value and slope are two loops over (B, L), which share nothing in memory. In that of the slope a
    logarithm is needed only where a weight has a slope, so mostly for negatives alone.
    """
    no_slope = (isinstance(gamma_pos, int) and gamma_pos == 0) or detach_focus
    focus = positive_focus(x, gamma_pos)
    positive = focus.weight * _positive_slope(x, e1, e2)
    if not no_slope:
        loss = _positive(x, hard_tail(x, jnp.asarray(True), clip), e1, e2)
        positive = positive + finite_product(focus.slope, loss)
    loss, slope = _negative(negative_entropy(x, clip), x, clip, e_neg)
    common, weight, growth = negative_focus(x, gamma_neg, clip)
    growth = jnp.zeros_like(growth) if detach_focus else growth
    if lamb is not None:  # the factor is a part of the weight
        square, factor, factor_slope = _hill(x, clip, lamb)
        common = common * square
        weight, growth = weight * factor, growth * factor + weight * factor_slope
    negative = weight * slope
    if not detach_focus or lamb is not None:  # where the loss is very large, nothing grows
        negative = negative + growth * bounded(loss)
    return jnp.where(y, positive, common * negative)


def _soft(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    e1: Exponent,
    e2: Exponent,
    e_neg: Exponent,
    lamb: Exponent | None,
    *,
    detach_focus: bool,
) -> tuple[Array, Array]:
    """Returns value and slope of soft labels."""
    entropy = hard_entropy(x, jnp.asarray(False), clip)
    negative, negative_slope = _negative(entropy, x, clip, e_neg)
    if lamb is not None:
        square, factor, factor_slope = _hill(x, clip, lamb)
        factor, factor_slope = square * factor, square * factor_slope
        negative_slope = factor * negative_slope + finite_product(factor_slope, negative)
        negative = factor * negative
    positive = _positive(x, log_sigmoid_tail(x), e1, e2)
    loss = finite_product(y, positive) + finite_product(1 - y, negative)
    slope = y * _positive_slope(x, e1, e2) + (1 - y) * negative_slope
    focus, gamma, growth = soft_focus(x, y, gamma_neg, gamma_pos, clip)
    if not detach_focus:
        slope = slope + gamma * finite_product(growth, loss)
    return focus * loss, focus * slope


@functools.cache
def _kernel(hard: bool, detach_focus: bool) -> Callable[..., Array]:
    """Returns the kernel, called as (x, y, gamma_neg, gamma_pos, clip, e1, e2, e_neg, lamb)."""
    if hard:
        return with_slope(functools.partial(_hard_slope, detach_focus=detach_focus))(_hard)
    both = functools.partial(_soft, detach_focus=detach_focus)
    return with_slope(lambda *arguments: both(*arguments)[1])(
        lambda *arguments: both(*arguments)[0]
    )


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
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x = inputs.x
    losses = _kernel(inputs.hard, detach_focus)(
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
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x = inputs.x
    losses = _kernel(inputs.hard, detach_focus)(
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
