"""A kernel of 8-bit floats, stored as their bits."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array, lax

__all__ = ["Float8Kernel"]

FLOAT8 = jnp.dtype(jnp.float8_e4m3fn)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["bits"], meta_fields=["scale"])
@dataclass(frozen=True)
class Float8Kernel:
    """A kernel in float8 (e4m3), with one byte per weight and one scale for all.

    The bits are stored as integers: XLA's CPU backend would convert a whole array of 8-bit floats
    to float32 before it reads a chunk. `linear_head_sgd_step` trains such a kernel; derivatives
    in it are not defined.

    Attributes:
        bits: uint8, of the shape of the kernel.
        scale: a power of 2. Weights are multiples of it times float8 numbers, which reach from
            2^-9 to 448.
    """

    bits: Array
    scale: float = 2.0**-4

    def __post_init__(self) -> None:
        """Raises ValueError unless the scale is a power of 2, by which nothing is rounded."""
        if not isinstance(self.scale, float) or math.frexp(self.scale)[0] != 0.5:
            raise ValueError(f"scale must be a power of 2 as a float, got {self.scale!r}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the kernel."""
        return self.bits.shape

    @staticmethod
    def from_array(kernel: Array, scale: float = 2.0**-4) -> Float8Kernel:
        """Returns a kernel rounded to the nearest float8 numbers.

        Args:
            kernel: float array.
            scale: a power of 2.

        Returns:
            The kernel; weights beyond 448 · scale become the largest.

        Example:
            >>> import jax.numpy as jnp
            >>> from mllosses_jax.heads import Float8Kernel
            >>> Float8Kernel.from_array(jnp.array([[0.03, -1.0]])).to_array()
            Array([[ 0.02929688, -1.        ]], dtype=float32)
        """
        limit = float(jnp.finfo(FLOAT8).max)
        narrow = jnp.clip(jnp.asarray(kernel, jnp.float32) / scale, -limit, limit).astype(FLOAT8)
        return Float8Kernel(lax.bitcast_convert_type(narrow, jnp.uint8), scale)

    def to_array(self) -> Array:
        """Returns the weights in float32.

        Returns:
            The kernel, float32, which takes four times the memory.
        """
        return lax.bitcast_convert_type(self.bits, FLOAT8).astype(jnp.float32) * self.scale
