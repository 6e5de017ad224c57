"""Asymmetric losses: focal losses that treat positives and negatives differently.

A negative counts with p_m = max(p - clip, 0) in the place of its probability p, so that the
easiest negatives count nothing.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    AxisName,
    finite_product,
    log1p_unit,
    log_share,
    log_sigmoid_pair,
    power,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import Reduction, reduce_elements

Array = jax.Array
Loss = Array | tuple[Array, Array]
Exponent = Array | int
_INF = float("inf")
_TINY = 1e-18  # the square of what is smaller underflows in float32


def _shift(x: Array, clip: Exponent) -> tuple[Array, Array, Array]:
    """Returns p_m, whether it is above 0, and the slope of −log(1 − p_m)."""
    p, q = sigmoid_pair(x)
    if isinstance(clip, int) and clip == 0:
        return p, p > 0, p
    above = p > clip
    # q / (q + clip), scaled so that no square of a denominator underflows; 1 where both are 0
    scale = jax.lax.stop_gradient(jnp.maximum(q, clip))
    some = scale > 0
    scale = jnp.where(some, scale, 1)
    share = jnp.where(some, q / scale, 1) / jnp.where(some, (q + clip) / scale, 1)
    odds = p * share
    return jnp.where(above, p - clip, 0), above, jnp.where(above, odds, 0)


def _asymmetric_entropy_slope(x: Array, y: Array, clip: Exponent) -> Array:
    _, q = sigmoid_pair(x)
    _, _, slope = _shift(x, clip)
    return (1 - y) * slope - y * q if y.dtype == x.dtype else jnp.where(y, -q, slope)


@with_slope(_asymmetric_entropy_slope)
def _asymmetric_entropy(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns −y·log p − (1 − y)·log(1 − p_m)."""
    log_p, log_q = log_sigmoid_pair(x)
    positive, negative = -log_p, -log_q
    if not (isinstance(clip, int) and clip == 0):
        q, (p_m, _, _) = sigmoid_pair(x)[1], _shift(x, clip)
        # 1 - p_m = q + clip: for small p_m the left side is accurate, for large ones the right,
        # log(q + clip) = log(higher) + log(1 + lower / higher).
        small = p_m <= 0.5
        q_is_higher = q >= clip
        by_q = clip / jnp.where(q_is_higher & (q > 0), q, 1)
        by_clip = q / jnp.where(q_is_higher, 1, clip)
        ratio = jnp.where(q_is_higher, by_q, by_clip)
        log_clip = jnp.log(jnp.where(clip > 0, clip, 1))
        higher = jnp.where(small, 0, jnp.where(q_is_higher, log_q, log_clip))
        negative = -higher - log1p_unit(jnp.where(small, -p_m, ratio))
    if y.dtype == x.dtype:
        return finite_product(y, positive) + finite_product(1 - y, negative)
    return jnp.where(y, positive, negative)


def _hard_focus(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    """Returns q^γ₊ for positives and p_m^γ₋ for negatives."""
    q, log_q = sigmoid_pair(x)[1], log_sigmoid_pair(x)[1]
    p_m, above, _ = _shift(x, clip)
    log_p_m = log_share(jnp.where(above, p_m, 1), jnp.where(above, q + clip, 0))
    negative = jnp.where(above, power(p_m, log_p_m, gamma_neg), 0)
    return jnp.where(y, power(q, log_q, gamma_pos), negative)


def _soft_focus(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> tuple[Array, Array, Array]:
    """Returns u^γ with u = y·q + (1 − y)·p_m and γ = y·γ₊ + (1 − y)·γ₋, then γ, then u'/u."""
    p, q = sigmoid_pair(x)
    p_m, above, _ = _shift(x, clip)
    u = y * q + (1 - y) * p_m
    # Where u is tiny, the label is hard: u is q = exp(-x), p = exp(x), or a clipped p_m.
    sound = u > _TINY
    safe = jnp.where(sound, u, jnp.ones_like(u))
    positive = y > 0.5
    tiny = jnp.where(positive, -x, jnp.where(above, x, -jnp.inf))
    rest = y * p + (1 - y) * jnp.where(above, q + clip, 1)
    log_u = jnp.where(sound, log_share(safe, jnp.where(sound, rest, 0)), tiny)
    change = (1 - y) * above.astype(x.dtype) - y
    growth = change * jnp.where(sound, p * q / safe, 1)
    gamma = gamma_pos * y + gamma_neg * (1 - y)
    return power(u, log_u, gamma), gamma, growth


def _hard_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *,
    detach_focus: bool,
) -> Array:
    focus = _hard_focus(x, y, gamma_neg, gamma_pos, clip)
    entropy_slope = _asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return focus * entropy_slope
    p, q = sigmoid_pair(x)
    p_m, above, _ = _shift(x, clip)
    entropy = _asymmetric_entropy(x, y, clip)
    # entropy / p_m -> 1 as p_m -> 0, so the growth of p_m ** gamma is never 0 / 0.
    sound = p_m > _TINY
    per_p_m = jnp.where(sound, entropy / jnp.where(sound, p_m, 1), above.astype(x.dtype))
    by_weight = jnp.where(y, -gamma_pos * finite_product(p, entropy), gamma_neg * p * q * per_p_m)
    return focus * (entropy_slope + by_weight)


def _hard_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    return _hard_focus(x, y, gamma_neg, gamma_pos, clip) * _asymmetric_entropy(x, y, clip)


def _soft_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *,
    detach_focus: bool,
) -> Array:
    focus, gamma, growth = _soft_focus(x, y, gamma_neg, gamma_pos, clip)
    entropy_slope = _asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return focus * entropy_slope
    entropy = _asymmetric_entropy(x, y, clip)
    return focus * (entropy_slope + gamma * finite_product(growth, entropy))


def _soft_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    focus, _, _ = _soft_focus(x, y, gamma_neg, gamma_pos, clip)
    return focus * _asymmetric_entropy(x, y, clip)


def _asymmetric(hard: bool, detach_focus: bool) -> Callable[..., Array]:
    """Returns the kernel of (x, y, gamma_neg, gamma_pos, clip) for hard or soft labels."""
    slope, value = (_hard_slope, _hard_asymmetric) if hard else (_soft_slope, _soft_asymmetric)
    # The power of a soft label costs more than the memory in which value and slope share it.
    share = detach_focus and not hard
    return with_slope(functools.partial(slope, detach_focus=detach_focus), share=share)(value)


@compiled(gamma_neg=(0, _INF), gamma_pos=(0, _INF), clip=(0, 1))
def asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma_neg: ArrayLike = 4.0,
    gamma_pos: ArrayLike = 1.0,
    clip: ArrayLike = 0.05,
    detach_focus: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> Loss:
    """Asymmetric loss (ASL): a stronger focus on negatives, the easiest of which count nothing.

    Formula:
        ℓ = −u^γ·[y·log p + (1 − y)·log(1 − p_m)],  p = σ(x),  p_m = max(p − m, 0)
        u = y·(1 − p) + (1 − y)·p_m,  γ = y·γ₊ + (1 − y)·γ₋

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integers take a cheaper kernel.
        gamma_neg: γ₋ ≥ 0, a scalar or (L,).
        gamma_pos: γ₊ ≥ 0, a scalar or (L,). The authors' class has 1, their COCO runs 0.
        clip: m in [0, 1], a scalar or (L,): negatives with p ≤ m have loss and gradient 0.
        detach_focus: hold u^γ constant in the slope with respect to the logits, as the authors'
            training script does. That slope is then differentiated as it stands, and the
            derivatives of the value with respect to the parameters are live, so mixed partial
            derivatives do not commute. False lets the gradient flow, as in timm.
        weights: scale terms: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "sum", timm's
        "batchmean".

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or a parameter is out of its range.

    Reference:
        T. Ridnik, E. Ben-Baruch, N. Zamir, A. Noy, I. Friedman, M. Protter and L. Zelnik-Manor,
        "Asymmetric Loss For Multi-Label Classification", 2021, arXiv:2009.14119.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import asymmetric_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, -3.0]]), jnp.array([[1, 0, 0]])
        >>> print(asymmetric_loss(logits, labels, reduction="none").round(4))
        [[0.0151 0.0006 0.    ]]
    """
    inputs = loss_inputs(logits, labels, where)
    x = inputs.x
    losses = _asymmetric(inputs.hard, detach_focus)(
        x,
        inputs.y,
        checks.exponent("gamma_neg", gamma_neg, x),
        checks.exponent("gamma_pos", gamma_pos, x),
        checks.exponent("clip", clip, x),
    )
    return reduce_elements(
        losses, weights=weights, where=inputs.where, reduction=reduction, axis_name=axis_name
    )
