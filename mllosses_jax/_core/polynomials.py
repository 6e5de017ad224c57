"""Polynomials that take the place of functions on an interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from numpy.polynomial import Chebyshev, Polynomial


def near_best(
    function: Callable[[Any], Any], low: float, high: float, terms: int
) -> tuple[float, ...]:
    """Returns the coefficients of a polynomial for a function of float64 arrays on [low, high].

    A polynomial through Chebyshev points has nearly the smallest error, so it needs few terms.
    """
    fit = Chebyshev.interpolate(function, terms - 1, domain=[low, high])
    return tuple(fit.convert(kind=Polynomial).coef.tolist())


def polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Returns Σ_n coefficients[n]·xⁿ."""
    result = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result
