"""The loss of generalized cross-entropy: between the logarithm and the absolute error."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.numerics import TINY, log_sigmoid_pair, power, sigmoid_pair
from mllosses_jax._core.polynomials import near_best, polynomial
from mllosses_jax._core.types import Exponent


def power_loss(log_p: Array, order: Exponent) -> Array:
    """Returns (1 − p^order)/order, and its limit −log p at order 0."""
    return _by_series(log_p, order) if isinstance(order, int) else _traced(log_p, order)


@jax.custom_jvp
def _traced(log_p: Array, order: Array) -> Array:
    return _by_series(log_p, order)


@_traced.defjvp
def _traced_jvp(primals: Any, tangents: Any) -> Any:
    def bounded(log_p: Array, order: Array) -> Array:
        return _by_series(jnp.maximum(log_p, -1 / TINY), order)

    # The derivative in the order grows as the square of the logarithm; the bound keeps it finite.
    return _traced(*primals), jax.jvp(bounded, primals, tangents)[1]


def _by_series(log_p: Array, order: Exponent) -> Array:
    t = order * jnp.maximum(log_p, jnp.finfo(log_p.dtype).min)
    near = t > -1
    far = (1 - jnp.exp(jnp.minimum(t, -1))) / jnp.where(near, 1, order)
    return jnp.where(near, -log_p * growth(jnp.where(near, t, 0)), far)


def growth(t: Array) -> Array:
    """Returns (exp(t) − 1)/t for t in [−1, 0]."""
    return polynomial(t, _GROWTH if t.dtype == jnp.float32 else _SERIES_OF_GROWTH)


# Polynomials for (exp(t) − 1)/t with t in [−1, 0]; in float32, the relative error is below 1e-10.
_SERIES_OF_GROWTH = tuple(1 / math.factorial(n + 1) for n in range(18))
_GROWTH = near_best(
    lambda t: sum(c * t**n for n, c in enumerate(_SERIES_OF_GROWTH)), -1, 0, terms=8
)


def power_loss_slope(x: Array, order: Exponent) -> Array:
    """Returns the slope of the power loss of p = σ(x) in x."""
    p, q = sigmoid_pair(x)
    return -power(p, log_sigmoid_pair(x)[0], order) * q
