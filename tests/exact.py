"""Numbers and their derivatives in the logit to 50 digits, for the formulas in `references`.

The end of the file defines the logits at which losses are compared, and the unit of comparison.
"""

import functools
from typing import Any, NamedTuple

import mpmath
import numpy as np

mp = mpmath.MPContext()
mp.dps = 100  # 1 - p loses 48 of them to exp(-110)


class Jet(NamedTuple):
    """A number and its first two derivatives with respect to the logit."""

    v: Any
    d: Any = mp.zero
    dd: Any = mp.zero

    def __add__(self, other):
        return Jet(self.v + other.v, self.d + other.d, self.dd + other.dd)

    def __mul__(self, other):
        return Jet(
            self.v * other.v,
            self.d * other.v + self.v * other.d,
            self.dd * other.v + 2 * self.d * other.d + self.v * other.dd,
        )

    def times(self, scale):
        return Jet(scale * self.v, scale * self.d, scale * self.dd)

    def log(self):
        return Jet(mp.log(self.v), self.d / self.v, self.dd / self.v - (self.d / self.v) ** 2)

    def power(self, g):
        if g == 0:
            return Jet(mp.one)
        lowest = self.v ** (g - 2)  # the others are products, because powers take most of the time
        first, second = g * self.v * lowest, g * (g - 1) * lowest
        return Jet(self.v**2 * lowest, first * self.d, second * self.d**2 + first * self.dd)


NOTHING = Jet(mp.zero)


@functools.cache
def sigmoids(x: float) -> tuple[Jet, Jet]:
    """Returns p and 1 - p."""
    x = mp.mpf(x)
    p, q = 1 / (1 + mp.exp(-x)), 1 / (1 + mp.exp(x))
    return Jet(p, p * q, p * q * (q - p)), Jet(q, -p * q, p * q * (p - q))


@functools.cache
def log_sigmoids(x: float) -> tuple[Jet, Jet]:
    """Returns log p and log(1 - p)."""
    p, q = sigmoids(x)
    return p.log(), q.log()


class Terms(NamedTuple):
    """The terms of a loss = weight * entropy, and its derivative in gamma divided by the loss.

    `cancelling` is the size of the terms that cancel in the curvature of the entropy.
    """

    weight: Jet
    entropy: Jet
    by_gamma: Any = mp.zero
    cancelling: Any = mp.zero


def entropy(x: float, positive: Any, negative: Any) -> Jet:
    log_p, log_q = log_sigmoids(x)
    return log_p.times(-positive) + log_q.times(-negative)


class Numbers(NamedTuple):
    """The quantities compared, and the size of a curvature's terms; each a number or an array."""

    value: Any
    slope: Any
    curvature: Any
    detached_slope: Any
    detached_curvature: Any
    by_gamma: Any
    curvature_terms: Any


def numbers(terms: Terms) -> Numbers:
    weight, loss, by_gamma, cancelling = terms
    product = weight * loss
    return Numbers(
        *product,
        weight.v * loss.d,
        weight.d * loss.d + weight.v * loss.dd,
        product.v * by_gamma,
        abs(weight.dd * loss.v)
        + 2 * abs(weight.d * loss.d)
        + abs(weight.v) * (abs(loss.dd) + cancelling),
    )


# The comparison

ZERO = 1e-36  # XLA's CPU backend flushes subnormal numbers to zero


def spread_of_logits() -> np.ndarray:
    rng = np.random.default_rng(0)
    sizes = np.concatenate([[2e-38, 1e-30, 1e-3], np.geomspace(0.1, 110, 40), [1e4, 1e30]])
    logits = np.concatenate([[0], sizes, -sizes, rng.normal(scale=6, size=40)])
    return logits.astype(np.float32)


LOGITS = spread_of_logits()


def excess(found: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Returns how far a number lies outside its interval; anything below ZERO counts as zero."""
    both_zero = (np.abs(found) <= ZERO) & (np.maximum(np.abs(low), np.abs(high)) <= ZERO)
    return np.where(both_zero, 0, np.maximum(np.maximum(low - found, found - high), 0))


def ulps(found, low, high, conditions):
    """Returns errors in float32 units in the last place, divided by 1 + condition number."""
    unit = np.spacing(np.maximum(np.abs(high), np.abs(low)).astype(np.float32))
    return excess(found, low, high) / (unit * (1 + conditions))
