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


class WrongProbability(NamedTuple):
    """The probability u = y·q + (1 − y)·p that a label drawn from the model is wrong.

    Attributes:
        u: the probability.
        log_u: its logarithm.
        ratio: p·q/u.
    """

    u: Array
    log_u: Array
    ratio: Array


def wrong_probability(x: Array, y: Array) -> WrongProbability:
    """Returns u = y·q + (1 − y)·p with its logarithm, accurate in both tails."""
    p, q = sigmoid_pair(x)
    u = y * q + (1 - y) * p
    # Where u is tiny, the label is hard, the logit agrees with it, and u is exp(-|x|).
    sound = u > TINY
    safe = jnp.where(sound, u, jnp.ones_like(u))
    log_u = log_share(safe, jnp.where(sound, y * p + (1 - y) * q, 0))
    log_u = jnp.where(sound, log_u, jnp.where(y > 0.5, -x, x))
    ratio = jnp.where(sound, p * q / safe, 1)
    return WrongProbability(u, log_u, ratio)


def hard_focal_slope(x: Array, y: Array, gamma: Exponent) -> Array:
    """Returns the derivative of `hard_focal` with respect to x."""
    slope = faded_entropy_slope(jnp.where(y, x, -x), gamma)
    return jnp.where(y, slope, -slope)


@with_slope(hard_focal_slope)
def hard_focal(x: Array, y: Array, gamma: Exponent) -> Array:
    """Returns the unreduced focal loss of hard labels."""
    return faded_entropy(jnp.where(y, x, -x), gamma)
