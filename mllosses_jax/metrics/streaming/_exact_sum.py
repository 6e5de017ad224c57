"""Exact and additive sums of floats: digits in base 256, each summed in an int32.

A float32 total stops counting at 2²⁴ and depends on the order of its terms; these digits do
neither. Numbers below 2³¹ keep all bits down to 2⁻⁴⁰; a float32 above 2⁻¹⁷ has no lower bits.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.sets import result_dtype

WHOLE, FRACTION = 3, 5  # digits before and after the point, the most significant first
DIGITS = WHOLE + FRACTION
LARGEST = 2.0**31  # values stay below this
MOST_VALUES = 2**23  # values in one sum: 255 times this number fits an int32


def sum_digits(values: Array) -> Array:
    """Returns the digits of the sum of finite values (N,) below LARGEST, int32 (DIGITS,)."""
    floor = jnp.floor(values)
    rest = values - floor
    whole = floor.astype(jnp.int32)
    digits = [whole >> 16, (whole >> 8) & 255, whole & 255]
    for _ in range(FRACTION):
        rest = rest * 256
        digit = jnp.floor(rest)
        rest = rest - digit
        digits.append(digit.astype(jnp.int32))
    return carried(jnp.stack([jnp.sum(digit, dtype=jnp.int32) for digit in digits]))


def carried(digits: Array) -> Array:
    """Returns the same numbers, (..., DIGITS), with all digits except the first in 0 to 255."""
    result = [digits[..., i] for i in range(DIGITS)]
    for i in reversed(range(1, DIGITS)):
        result[i - 1] = result[i - 1] + (result[i] >> 8)
        result[i] = result[i] & 255
    return jnp.stack(result, axis=-1)


def total(digits: Array) -> Array:
    """Returns the numbers as floats, (..., DIGITS) to (...)."""
    exact = carried(digits).astype(result_dtype())
    value = jnp.zeros_like(exact[..., 0])
    for i in reversed(range(DIGITS)):  # the least significant digits first
        value = value + exact[..., i] * 256.0 ** (WHOLE - 1 - i)
    return value
