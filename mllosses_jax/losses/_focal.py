"""Focal kernels: cross-entropy times a weight that fades as a label becomes easy."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.numerics import (
    TINY,
    finite_product,
    log_share,
    log_sigmoid_pair,
    power,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.types import Exponent


def faded_entropy_slope(z: Array, gamma: Exponent) -> Array:
    """Returns the derivative of `faded_entropy` with respect to z."""
    p, q = sigmoid_pair(z)
    log_p, log_q = log_sigmoid_pair(z)
    return -power(q, log_q, gamma) * (gamma * finite_product(p, -log_p) + q)


def faded_entropy(z: Array, gamma: Exponent) -> Array:
    """Returns f(z) = −(1 − p)^γ·log p with p = σ(z), the focal loss of a positive label."""
    log_p, log_q = log_sigmoid_pair(z)
    return -power(sigmoid_pair(z)[1], log_q, gamma) * log_p


class SoftFocus(NamedTuple):
    """The focusing weight u^γ, where u = y·q + (1 − y)·p is the chance that a drawn label is wrong.

    Attributes:
        weight: u^γ.
        growth: γ·u^(γ − 1)·p·q, which times 1 − 2·y is the slope of the weight.
    """

    weight: Array
    growth: Array


def soft_focus(x: Array, y: Array, gamma: Exponent) -> SoftFocus:
    """Returns the focusing weight of soft labels and its growth, accurate in both tails."""
    p, q = sigmoid_pair(x)
    u = y * q + (1 - y) * p
    # Where u is tiny, the label is hard, the logit agrees with it, and u is exp(-|x|).
    sound = u > TINY
    safe = jnp.where(sound, u, jnp.ones_like(u))
    log_u = log_share(safe, jnp.where(sound, y * p + (1 - y) * q, 0))
    log_u = jnp.where(sound, log_u, jnp.where(y > 0.5, -x, x))
    weight = power(u, log_u, gamma)
    if isinstance(gamma, int) and gamma > 0:  # no division
        return SoftFocus(weight, gamma * power(u, log_u, gamma - 1) * (p * q))
    return SoftFocus(weight, gamma * weight * jnp.where(sound, p * q / safe, 1))


def hard_focal_slope(x: Array, y: Array, gamma: Exponent) -> Array:
    """Returns the derivative of `hard_focal` with respect to x."""
    slope = faded_entropy_slope(jnp.where(y, x, -x), gamma)
    return jnp.where(y, slope, -slope)


@with_slope(hard_focal_slope)
def hard_focal(x: Array, y: Array, gamma: Exponent) -> Array:
    """Returns the unreduced focal loss of hard labels."""
    return faded_entropy(jnp.where(y, x, -x), gamma)
