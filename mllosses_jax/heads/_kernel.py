"""Chunks of a kernel (L, D) or (D, L): read, multiplied and written.

XLA's CPU backend computes with narrow floats in float32. Where it may, it converts a whole kernel:
before a loop that only reads it, and in every step of a loop that writes a part of it. Barriers and
integers keep it from that; of a kernel of 8-bit floats it converts the whole even so.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike

from mllosses_jax.heads._rounding import rounded
from mllosses_jax.heads.float8 import FLOAT8, Float8Kernel

Kernel = Array | Float8Kernel


def in_loop(kernel: Kernel) -> Kernel:
    """Returns a kernel that a loop only reads, to be carried to the next step.

    The barrier hides that it stays the same. So no conversion moves before the loop, and the labels
    that are left over are not computed, and held, beside it.
    """
    if isinstance(kernel, Float8Kernel):
        return kernel
    result: Array = lax.optimization_barrier(kernel)
    return result


def read(kernel: Kernel, start: Array | int, size: int, label_axis: int) -> Array:
    """Returns the rows of some labels (C, D), in `chunk_dtype`."""
    stored = kernel.bits if isinstance(kernel, Float8Kernel) else kernel
    chunk = lax.dynamic_slice_in_dim(stored, start, size, label_axis)
    if stored.dtype.itemsize < 4:  # the conversion stays behind the slice
        chunk = lax.optimization_barrier(chunk)
    chunk = chunk if label_axis == 0 else chunk.T
    if isinstance(kernel, Float8Kernel):
        chunk = lax.bitcast_convert_type(chunk, FLOAT8)
        chunk = chunk.astype(chunk_dtype(kernel)) * jnp.asarray(kernel.scale, chunk_dtype(kernel))
        # Else XLA scales the product instead, and computes the rows again for the update.
        chunk = lax.optimization_barrier(chunk)
    return chunk


def write(
    kernel: Kernel, rows: Array, start: Array | int, label_axis: int, key: Array | None = None
) -> Kernel:
    """Returns the kernel with the rows of some labels (C, D) replaced; a key rounds at random."""
    rows = rows if label_axis == 0 else rows.T
    if isinstance(kernel, Float8Kernel):
        narrow = rounded(rows / kernel.scale, FLOAT8, key)
        bits = lax.bitcast_convert_type(narrow, jnp.uint8)
        return Float8Kernel(
            lax.dynamic_update_slice_in_dim(kernel.bits, bits, start, label_axis), kernel.scale
        )
    chunk = rounded(rows, kernel.dtype, key)
    if kernel.dtype.itemsize >= 4:
        return lax.dynamic_update_slice_in_dim(kernel, chunk, start, label_axis)
    stored, bits = (lax.bitcast_convert_type(x, jnp.uint16) for x in (kernel, chunk))
    written = lax.dynamic_update_slice_in_dim(stored, bits, start, label_axis)
    return lax.bitcast_convert_type(written, kernel.dtype)


def chunk_dtype(kernel: Kernel) -> jnp.dtype:
    """Returns the dtype in which the rows of a chunk are multiplied: bfloat16 holds any float8."""
    return jnp.dtype(jnp.bfloat16) if isinstance(kernel, Float8Kernel) else kernel.dtype


def wide_dtype(*dtypes: DTypeLike) -> jnp.dtype:
    """Returns the dtype in which products are added up: float64 if one of them is, else float32."""
    wide: jnp.dtype = jnp.dtype(jnp.float64 if jnp.float64 in dtypes else jnp.float32)
    return wide


def product(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Returns a matrix product that is added up in float32 at least.

    Matrices of one narrow dtype stay narrow, so that accelerators multiply them at full speed.
    """
    wide = wide_dtype(a.dtype, b.dtype)
    dtype = a.dtype if a.dtype == b.dtype else wide
    dimensions = (((contract[0],), (contract[1],)), ((), ()))
    return lax.dot_general(
        a.astype(dtype), b.astype(dtype), dimensions, preferred_element_type=wide
    )
