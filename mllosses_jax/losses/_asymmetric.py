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
    log_share,
    log_share_tail,
    log_sigmoid_pair,
    log_sigmoid_tail,
    positive_log_share,
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
        rest: 1 − p_m.
        above: whether p_m is above 0.
        slope: the derivative of −log(1 − p_m) with respect to the logit.
    """

    p_m: Array
    rest: Array
    above: Array
    slope: Array


def shifted(x: Array, clip: Exponent) -> Shifted:
    """Returns p_m = max(σ(x) − clip, 0) and what depends on it."""
    p, q = sigmoid_pair(x)
    if isinstance(clip, int) and clip == 0:
        return Shifted(p, q, p > 0, p)
    above = p > clip
    slope = p * _share(x, jnp.asarray(clip, x.dtype))
    return Shifted(
        jnp.where(above, p - clip, 0),
        jnp.where(p <= clip, 1, q + clip),  # NaN of NaN, so that a loss of it is not 0
        above,
        jnp.where(above, slope, 0),
    )


def shifted_change(x: Array, clip: Exponent) -> Array:
    """Returns the derivative of p_m with respect to the logit."""
    p, q = sigmoid_pair(x)
    return jnp.where(shifted(x, clip).above, p * q, 0)


@jax.custom_jvp
def _share(x: Array, clip: Array) -> Array:
    """Returns q / (q + clip), and 1 where both are 0."""
    q = sigmoid_pair(x)[1]
    return jnp.where(_survives(q + clip), q / (q + clip), 1)


def _survives(u: Array) -> Array:
    """Returns where a likelihood does not underflow. Without a clip it may, being exp(-|x|)."""
    return u > jnp.finfo(u.dtype).tiny


@_share.defjvp
def _share_jvp(primals: Any, tangents: Any) -> Any:
    share, (_, clip) = _share(*primals), primals
    p, _ = sigmoid_pair(primals[0])
    return share, -share * _per_survival(*primals) * (clip * p * tangents[0] + tangents[1])


def _per_survival_slope(x: Array, clip: Array) -> Array:
    return shifted(x, clip).slope * _per_survival(x, clip)


@with_slope(_per_survival_slope)
def _per_survival(x: Array, clip: Array) -> Array:
    """Returns 1/(1 − p_m) for p_m > 0, bounded so that products in a chain rule stay finite."""
    return 1 / jnp.maximum(sigmoid_pair(x)[1] + clip, _LEAST)


class Likelihood(NamedTuple):
    """How likely the label is: u, which is p for a positive and 1 − p_m for a negative.

    Attributes:
        u: the likelihood.
        rest: 1 − u.
        slope: the derivative of −log u with respect to the logit.
    """

    u: Array
    rest: Array
    slope: Array


def likelihood(x: Array, y: Array, clip: Exponent) -> Likelihood:
    p, q = sigmoid_pair(x)
    p_m, rest, _, slope = shifted(x, clip)
    return Likelihood(jnp.where(y, p, rest), jnp.where(y, q, p_m), jnp.where(y, -q, slope))


def _by_clip(x: Array, y: Array, clip: Array) -> Array:
    """Returns the derivative of −log u with respect to the clip."""
    return jnp.where(shifted(x, clip).above & ~y, -_per_survival(x, clip), 0)


@jax.custom_jvp
def _hard_entropy(x: Array, y: Array, clip: Array) -> Array:
    """Returns −log u."""
    u, rest, _ = likelihood(x, y, clip)
    return jnp.where(_survives(u), -positive_log_share(u, rest), jnp.abs(x))


@_hard_entropy.defjvp
def _hard_entropy_jvp(primals: Any, tangents: Any) -> Any:
    by_x, by_clip = likelihood(*primals).slope, _by_clip(*primals)
    return _hard_entropy(*primals), by_x * tangents[0] + by_clip * tangents[2]


@jax.custom_jvp
def _hard_tail(x: Array, y: Array, clip: Array) -> Array:
    u, rest, _ = likelihood(x, y, clip)
    far = jnp.abs(x) - rest - rest * rest / 2
    return jnp.where(_survives(u), log_share_tail(u, rest), far)


@_hard_tail.defjvp
def _hard_tail_jvp(primals: Any, tangents: Any) -> Any:
    _, rest, by_x = likelihood(*primals)
    change = by_x * tangents[0] + _by_clip(*primals) * tangents[2]
    return _hard_tail(*primals), rest * rest * change


def hard_entropy(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns −log u for bool labels y, where u is p for positives and 1 − p_m for negatives."""
    if isinstance(clip, int) and clip == 0:
        log_p, log_q = log_sigmoid_pair(x)
        return -jnp.where(y, log_p, log_q)
    return _hard_entropy(x, y, jnp.asarray(clip, x.dtype))


def negative_entropy(x: Array, clip: Exponent) -> Array:
    """Returns −log(1 − p_m), with fewer operations beside its slope than `hard_entropy` has."""
    if isinstance(clip, int) and clip == 0:
        return -log_sigmoid_pair(x)[1]
    return _negative_entropy(x, jnp.asarray(clip, x.dtype))


@jax.custom_jvp
def _negative_entropy(x: Array, clip: Array) -> Array:
    p_m, _, above, _ = shifted(x, clip)
    u = sigmoid_pair(x)[1] + clip
    return jnp.where(above, jnp.where(_survives(u), -positive_log_share(u, p_m), x), 0)


@_negative_entropy.defjvp
def _negative_entropy_jvp(primals: Any, tangents: Any) -> Any:
    by_x, by_clip = shifted(*primals).slope, _by_clip(primals[0], jnp.asarray(False), primals[1])
    return _negative_entropy(*primals), by_x * tangents[0] + by_clip * tangents[1]


def hard_tail(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns −log u − r − r²/2 for r = 1 − u, with u as in `hard_entropy`."""
    if isinstance(clip, int) and clip == 0:
        return log_sigmoid_tail(jnp.where(y, x, -x))
    return _hard_tail(x, y, jnp.asarray(clip, x.dtype))


def asymmetric_entropy_slope(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns the derivative of `asymmetric_entropy` with respect to x."""
    if y.dtype != x.dtype:
        return likelihood(x, y, clip).slope
    return (1 - y) * shifted(x, clip).slope - y * sigmoid_pair(x)[1]


@with_slope(asymmetric_entropy_slope)
def asymmetric_entropy(x: Array, y: Array, clip: Exponent) -> Array:
    """Returns −y·log p − (1 − y)·log(1 − p_m)."""
    if y.dtype != x.dtype:
        return hard_entropy(x, y, clip)
    positive, negative = -log_sigmoid_pair(x)[0], hard_entropy(x, jnp.asarray(False), clip)
    return finite_product(y, positive) + finite_product(1 - y, negative)


class HardFocus(NamedTuple):
    """The focusing weight of hard labels of one class; 0⁰ is 1.

    Attributes:
        weight: the weight.
        slope: its derivative with respect to the logit.
    """

    weight: Array
    slope: Array


def positive_focus(x: Array, gamma: Exponent) -> HardFocus:
    """Returns the focusing weight q^γ₊ of positives and its slope."""
    p, q = sigmoid_pair(x)
    weight = power(q, log_sigmoid_pair(x)[1], gamma)
    return HardFocus(weight, -gamma * (p * weight))


def negative_weight(x: Array, gamma: Exponent, clip: Exponent) -> Array:
    """Returns the focusing weight p_m^γ₋ of negatives."""
    p_m, rest, above, _ = shifted(x, clip)
    log_p_m = log_share(jnp.where(above, p_m, 1), jnp.where(above, rest, 0))
    return power(p_m, jnp.where(above, log_p_m, -jnp.inf), gamma)


class NegativeFocus(NamedTuple):
    """The focusing weight of negatives, whose slope has a factor in common with it.

    Attributes:
        common: the factor.
        weight: the weight divided by the factor.
        slope: the derivative of the weight with respect to the logit, divided by the factor.
    """

    common: Array
    weight: Array
    slope: Array


def negative_focus(x: Array, gamma: Exponent, clip: Exponent) -> NegativeFocus:
    """Returns the focusing weight p_m^γ₋ of negatives and its slope."""
    p_m, _, above, _ = shifted(x, clip)
    if isinstance(gamma, int) and gamma > 0:  # no division
        return NegativeFocus(p_m ** (gamma - 1), p_m, gamma * shifted_change(x, clip))
    p, q = sigmoid_pair(x)
    sound = p_m > TINY  # otherwise p_m is p = exp(x), or clipped to 0
    growth = jnp.where(sound, p * q / jnp.where(sound, p_m, 1), above.astype(x.dtype))
    weight = negative_weight(x, gamma, clip)
    return NegativeFocus(jnp.ones_like(x), weight, gamma * (weight * growth))


def hard_focus(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> HardFocus:
    """Returns the focusing weight of hard labels and its slope."""
    positive = positive_focus(x, gamma_pos)
    common, weight, slope = negative_focus(x, gamma_neg, clip)
    negative = common * weight, common * slope
    return HardFocus(*(jnp.where(y, *pair) for pair in zip(positive, negative, strict=True)))


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
    p_m, rest_m, above, _ = shifted(x, clip)
    u = y * q + (1 - y) * p_m
    # Where u is tiny, the label is hard: u is q = exp(-x), p = exp(x), or a clipped p_m.
    sound = u > TINY
    safe = jnp.where(sound, u, jnp.ones_like(u))
    positive = y > 0.5
    tiny = jnp.where(positive, -x, jnp.where(above, x, -jnp.inf))
    rest = y * p + (1 - y) * rest_m
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
    slope = focus.weight * asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return slope
    return slope + finite_product(focus.slope, asymmetric_entropy(x, y, clip))


def _hard_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    return hard_focus(x, y, gamma_neg, gamma_pos, clip).weight * asymmetric_entropy(x, y, clip)


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


@functools.cache
def asymmetric_kernel(hard: bool, detach_focus: bool) -> Callable[..., Array]:
    """Returns the kernel of (x, y, gamma_neg, gamma_pos, clip) for hard or soft labels."""
    slope, value = (_hard_slope, _hard_asymmetric) if hard else (_soft_slope, _soft_asymmetric)
    # For soft labels, computing the power twice costs more than keeping it in memory.
    share = detach_focus and not hard
    return with_slope(functools.partial(slope, detach_focus=detach_focus), share=share)(value)
