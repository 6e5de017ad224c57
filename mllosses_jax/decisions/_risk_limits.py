"""How much n rows may lose in total, each between 0 and 1, if a bound on the risk is promised.

Totals and limits are float64 inside `jax.enable_x64`, because float32 has no room for the fractions
of a sum over a million rows. Every function is called there.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import Array, lax

# A level and a share of a row's labels are rounded to float32, which must cost no row: 4 rows
# promise a level of 0.8, by 5·(1 − 0.8) ≥ 1. Levels are kept up to this rounding.
ROUNDING = 2.0**-22
_NEGLIGIBLE = 35.0  # nats: a tail of e⁻³⁵ times what counts is left out


def wide(x: Array) -> Array:
    """Returns an array in float64."""
    result: Array = lax.convert_element_type(x, jnp.float64)
    return result


def within(total: Array, limit: Array, n: Array) -> Array:
    """Returns whether the total loss of n rows is at most a limit, up to rounding."""
    return total <= limit + ROUNDING * (n + 1)


def expected_limit(n: Array, level: Array) -> Array:
    """Conformal risk control: the largest T with (T + 1) / (n + 1) ≤ 1 − level."""
    return (1 - level) * (n + 1) - 1


def confident_limit(n: Array, level: Array, confidence: Array, *, binary: bool) -> Array:
    """Returns the largest total loss that rejects a risk above α = 1 − level, or -∞ if none does.

    Of independent rows, the p-value of the total T under a risk of α is P(Bin(n, α) ≤ T) for binary
    losses, and min{exp(−n·kl(T/n, α)), e·P(Bin(n, α) ≤ ⌈T⌉)} for others (Hoeffding and Bentkus). It
    must be at most 1 − confidence.

    Args:
        n: whole numbers.
        level: the shape of n, or ().
        confidence: ().
        binary: whether losses are 0 or 1.
    """
    alpha = jnp.clip(1 - level, 1e-9, 1 - 1e-9)
    nats = -jnp.log1p(-confidence)
    most = jnp.exp(-nats) / (1 if binary else math.e)
    count = _largest_count(n, alpha, most, first=_chernoff_total(n, alpha, nats + _NEGLIGIBLE))
    total = count if binary else jnp.maximum(count, _chernoff_total(n, alpha, nats))
    total = jnp.where((total >= 0) & (level < 1) & (confidence < 1), total, -jnp.inf)
    return jnp.where(level > 0, total, jnp.inf)


def _chernoff_total(n: Array, alpha: Array, nats: Array) -> Array:
    """Returns the largest total T with n·kl(T/n, α) ≥ nats, or -1 if there is none."""

    def fits(share: Array) -> Array:
        log_ratio = jnp.log(jnp.maximum(share, 1e-300) / alpha)
        kl = share * log_ratio + (1 - share) * (jnp.log1p(-share) - jnp.log1p(-alpha))
        return n * kl >= nats

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        return jnp.where(fits(middle), middle, low), jnp.where(fits(middle), high, middle)

    zero = jnp.zeros_like(n * alpha)
    share, _ = lax.fori_loop(0, 60, halve, (zero, alpha + zero))
    return jnp.where(fits(zero), n * share, -1)


def _largest_count(n: Array, alpha: Array, most: Array, *, first: Array) -> Array:
    """Returns the largest k with P(Bin(n, α) ≤ k) ≤ most, or -1 if there is none.

    Args:
        n: whole numbers.
        alpha: the shape of n, or ().
        most: ().
        first: a total up to which the probability is negligible, or -1.
    """
    State = tuple[Array, Array, Array]  # a count, its probability, and that of all counts below it

    def goes_on(state: State) -> Array:
        count, probability, below = state
        return (below + probability <= most) & (count <= n)

    def step(state: State) -> State:
        count, probability, below = state
        after = probability * (n - count) / (count + 1) * alpha / (1 - alpha)
        following = (count + 1, after, below + probability)
        return tuple(  # type: ignore[return-value]
            jnp.where(goes_on(state), new, old) for new, old in zip(following, state, strict=True)
        )

    count = jnp.floor(first) + 1
    ways = lax.lgamma(n + 1) - lax.lgamma(count + 1) - lax.lgamma(n - count + 1)
    probability = jnp.exp(ways + count * jnp.log(alpha) + (n - count) * jnp.log1p(-alpha))
    start = (count, probability, jnp.zeros_like(count))
    count, _, _ = lax.while_loop(lambda state: jnp.any(goes_on(state)), step, start)
    return count - 1
