"""Asymmetric kernels: cross-entropy of a shifted probability, times a focusing weight."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.numerics import (
    TINY,
    finite_product,
    log1p_unit,
    log_share,
    log_sigmoid_pair,
    power,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.types import Exponent

_LEAST = 1e-30  # bounds the inverse of a probability


class Shifted(NamedTuple):
    """The shifted probability of a negative.

    Attributes:
        p_m: max(p − clip, 0).
        above: whether p_m is above 0.
        slope: the derivative of −log(1 − p_m) with respect to the logit.
    """

    p_m: Array
    above: Array
    slope: Array


def shifted(x: Array, clip: Exponent) -> Shifted:
    """Returns p_m = max(σ(x) − clip, 0), its sign and the slope of −log(1 − p_m)."""
    p, q = sigmoid_pair(x)
    if isinstance(clip, int) and clip == 0:
        return Shifted(p, p > 0, p)
    above = p > clip
    # This is q / (q + clip), and 1 where both are 0. The scaling keeps the square of the
    # denominator from underflowing in derivatives.
    scale = jax.lax.stop_gradient(jnp.maximum(q, clip))
    some = scale > 0
    scale = jnp.where(some, scale, 1)
    share = jnp.where(some, q / scale, 1) / jnp.where(some, (q + clip) / scale, 1)
    odds = p * share
    return Shifted(jnp.where(above, p - clip, 0), above, jnp.where(above, odds, 0))


def _per_survival_slope(x: Array, clip: Array) -> Array:
    return shifted(x, clip).slope * _per_survival(x, clip)


@with_slope(_per_survival_slope)
def _per_survival(x: Array, clip: Array) -> Array:
    """Returns 1/(1 − p_m) for p_m > 0, bounded so that products in a chain rule stay finite."""
    return 1 / jnp.maximum(sigmoid_pair(x)[1] + clip, _LEAST)


@jax.custom_jvp
def _log_survival(x: Array, clip: Array) -> Array:
    """Returns log(1 − p_m)."""
    q, log_q, p_m = sigmoid_pair(x)[1], log_sigmoid_pair(x)[1], shifted(x, clip).p_m
    # In 1 - p_m = q + clip the left side is accurate for small p_m and the right side for large
    # p_m, where log(q + clip) = log(higher) + log(1 + lower / higher).
    small = p_m <= 0.5
    q_is_higher = q >= clip
    by_q = clip / jnp.where(q_is_higher & (q > 0), q, 1)
    by_clip = q / jnp.where(q_is_higher, 1, clip)
    ratio = jnp.where(q_is_higher, by_q, by_clip)
    log_clip = jnp.log(jnp.where(clip > 0, clip, 1))
    higher = jnp.where(small, 0, jnp.where(q_is_higher, log_q, log_clip))
    return higher + log1p_unit(jnp.where(small, -p_m, ratio))


@_log_survival.defjvp
def _log_survival_jvp(primals: Any, tangents: Any) -> Any:
    _, above, slope = shifted(*primals)
    by_clip = jnp.where(above, _per_survival(*primals), 0)
    return _log_survival(*primals), by_clip * tangents[1] - slope * tangents[0]


def asymmetric_entropy_slope(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns the derivative of `asymmetric_entropy` with respect to x."""
    _, q = sigmoid_pair(x)
    slope = shifted(x, clip).slope
    return (1 - y) * slope - y * q if y.dtype == x.dtype else jnp.where(y, -q, slope)


@with_slope(asymmetric_entropy_slope)
def asymmetric_entropy(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns −y·log p − (1 − y)·log(1 − p_m)."""
    log_p, log_q = log_sigmoid_pair(x)
    positive, negative = -log_p, -log_q
    if not (isinstance(clip, int) and clip == 0):
        negative = 0 - _log_survival(x, jnp.asarray(clip, x.dtype))  # gives 0, not -0, at p_m = 0
    if y.dtype == x.dtype:
        return finite_product(y, positive) + finite_product(1 - y, negative)
    return jnp.where(y, positive, negative)


def hard_focus(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    """Returns q^γ₊ for positives and p_m^γ₋ for negatives; 0⁰ is 1."""
    q, log_q = sigmoid_pair(x)[1], log_sigmoid_pair(x)[1]
    p_m, above, _ = shifted(x, clip)
    log_p_m = log_share(jnp.where(above, p_m, 1), jnp.where(above, q + clip, 0))
    log_p_m = jnp.where(above, log_p_m, -jnp.inf)
    return jnp.where(y, power(q, log_q, gamma_pos), power(p_m, log_p_m, gamma_neg))


class SoftFocus(NamedTuple):
    """The focusing weight u^γ of soft labels, with u = y·q + (1 − y)·p_m.

    Attributes:
        weight: u^γ.
        gamma: γ = y·γ₊ + (1 − y)·γ₋.
        growth: u'/u, where u' is the derivative with respect to the logit.
    """

    weight: Array
    gamma: Array
    growth: Array


def soft_focus(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> SoftFocus:
    """Returns the focusing weight of soft labels and what its derivative needs."""
    p, q = sigmoid_pair(x)
    p_m, above, _ = shifted(x, clip)
    u = y * q + (1 - y) * p_m
    # Where u is tiny, the label is hard: u is q = exp(-x), p = exp(x), or a clipped p_m.
    sound = u > TINY
    safe = jnp.where(sound, u, jnp.ones_like(u))
    positive = y > 0.5
    tiny = jnp.where(positive, -x, jnp.where(above, x, -jnp.inf))
    rest = y * p + (1 - y) * jnp.where(above, q + clip, 1)
    log_u = jnp.where(sound, log_share(safe, jnp.where(sound, rest, 0)), tiny)
    change = (1 - y) * above.astype(x.dtype) - y
    growth = change * jnp.where(sound, p * q / safe, 1)
    gamma = gamma_pos * y + gamma_neg * (1 - y)
    return SoftFocus(power(u, log_u, gamma), gamma, growth)


def _hard_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *,
    detach_focus: bool,
) -> Array:
    focus = hard_focus(x, y, gamma_neg, gamma_pos, clip)
    entropy_slope = asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return focus * entropy_slope
    p, q = sigmoid_pair(x)
    p_m, above, _ = shifted(x, clip)
    entropy = asymmetric_entropy(x, y, clip)
    # entropy / p_m -> 1 as p_m -> 0, so the growth of p_m ** gamma is never 0 / 0.
    sound = p_m > TINY
    per_p_m = jnp.where(sound, entropy / jnp.where(sound, p_m, 1), above.astype(x.dtype))
    by_weight = jnp.where(y, -gamma_pos * finite_product(p, entropy), gamma_neg * p * q * per_p_m)
    return focus * (entropy_slope + by_weight)


def _hard_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    return hard_focus(x, y, gamma_neg, gamma_pos, clip) * asymmetric_entropy(x, y, clip)


def _soft_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *,
    detach_focus: bool,
) -> Array:
    focus, gamma, growth = soft_focus(x, y, gamma_neg, gamma_pos, clip)
    entropy_slope = asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return focus * entropy_slope
    entropy = asymmetric_entropy(x, y, clip)
    return focus * (entropy_slope + gamma * finite_product(growth, entropy))


def _soft_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    focus = soft_focus(x, y, gamma_neg, gamma_pos, clip).weight
    return focus * asymmetric_entropy(x, y, clip)


def asymmetric_kernel(hard: bool, detach_focus: bool) -> Callable[..., Array]:
    """Returns the kernel of (x, y, gamma_neg, gamma_pos, clip) for hard or soft labels."""
    slope, value = (_hard_slope, _hard_asymmetric) if hard else (_soft_slope, _soft_asymmetric)
    # For soft labels, computing the power twice costs more than keeping it in memory.
    share = detach_focus and not hard
    return with_slope(functools.partial(slope, detach_focus=detach_focus), share=share)(value)
