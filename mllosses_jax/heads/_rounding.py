"""Rounding of float32 to narrow floats at random, so that the mean of many roundings is exact.

A step of gradient descent is often smaller than half the distance between two bfloat16 numbers.
Rounded to the nearest, it would always be lost; rounded at random, it is made now and then.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

_EXPONENT = 0x7F800000  # the bits of a float32 that hold the power of two
_TINY = float(jnp.finfo(jnp.float32).tiny)  # smaller numbers may be flushed to zero


def rounded(values: Array, dtype: jnp.dtype, key: Array | None) -> Array:
    """Returns values in a float dtype; values beyond the range of a narrow one become its limits.

    Args:
        values: float array; taken in float32 if the dtype is narrower.
        dtype: the dtype of the result.
        key: a JAX random key; None rounds to the nearest.
    """
    if dtype.itemsize >= 4:
        return values.astype(dtype)
    limits = jnp.finfo(dtype)
    values = values.astype(jnp.float32)
    if key is not None:
        power = lax.bitcast_convert_type(_bits(values) & _EXPONENT, jnp.float32)
        smallest = max(float(limits.smallest_subnormal), _TINY)
        distance = jnp.maximum(power * float(limits.eps), smallest)
        chance = jax.random.bits(key, values.shape, jnp.uint16).astype(jnp.float32) / 2**16
        values = jnp.floor(values / distance + chance) * distance
    return jnp.clip(values, float(limits.min), float(limits.max)).astype(dtype)


def _bits(values: Array) -> Array:
    return lax.bitcast_convert_type(values, jnp.uint32)
