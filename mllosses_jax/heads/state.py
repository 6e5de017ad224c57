"""What a head that updates itself carries from step to step, and how it begins."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from mllosses_jax._core import checks
from mllosses_jax.heads._chunks import over_chunks
from mllosses_jax.heads._kernel import Kernel, wide_dtype, write
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.memory import choose_chunk_size

__all__ = ["HeadState", "init_linear_head"]


class HeadState(NamedTuple):
    """Everything that a head which updates itself carries from step to step.

    It is a pytree of arrays: saved and loaded as one, a run goes on to the bit.

    Attributes:
        kernel: (L, D), or (D, L) with `label_axis=1`.
        bias: float (L,), or None.
        kernel_momentum: of the shape of the kernel, or None without momentum.
        bias_momentum: (L,), or None.
        key: the random key of stochastic rounding, or None to round to the nearest.
    """

    kernel: Kernel
    bias: Array | None = None
    kernel_momentum: Kernel | None = None
    bias_momentum: Array | None = None
    key: Array | None = None


def init_linear_head(
    key: Array,
    num_labels: int,
    num_features: int,
    *,
    dtype: DTypeLike | Literal["float8"] = jnp.float32,
    bias: bool = True,
    momentum: bool = False,
    stochastic_rounding: bool | None = None,
    stddev: float | None = None,
    label_axis: int = 0,
) -> HeadState:
    """Returns the state of a new head, made chunk by chunk.

    Args:
        key: a JAX random key.
        num_labels: L.
        num_features: D.
        dtype: of the kernel: a float dtype, or "float8" for `Float8Kernel`.
        bias: whether there is a bias, which starts at 0.
        momentum: whether there is momentum, in bfloat16 for narrow kernels, else in the dtype of
            the kernel.
        stochastic_rounding: whether updates are rounded at random; None: if the kernel is narrow.
        stddev: the standard deviation of the weights; 1/√D by default.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.

    Returns:
        The state.

    Raises:
        ValueError: if a size is below 1.

    Example:
        >>> import jax
        >>> from mllosses_jax.heads import init_linear_head
        >>> state = init_linear_head(jax.random.key(0), 1000, 8, dtype="bfloat16")
        >>> state.kernel.shape, state.kernel.dtype.name, state.bias.shape
        ((1000, 8), 'bfloat16', (1000,))
    """
    checks.integer("num_labels", num_labels, least=1)
    checks.integer("num_features", num_features, least=1)
    checks.one_of("label_axis", label_axis, (0, 1))
    deviation = num_features**-0.5 if stddev is None else stddev
    is_float8 = isinstance(dtype, str) and dtype == "float8"
    stored = jnp.dtype(jnp.uint8) if is_float8 else jnp.dtype(dtype)
    shape = (num_labels, num_features) if label_axis == 0 else (num_features, num_labels)
    weights_key, state_key = jax.random.split(key)
    kernel = _random_kernel(weights_key, shape, stored, is_float8, label_axis, deviation)
    narrow = stored.itemsize < 4
    wide = wide_dtype(stored)
    moving = jnp.bfloat16 if narrow else wide
    return HeadState(
        kernel,
        jnp.zeros(num_labels, wide) if bias else None,
        jnp.zeros(shape, moving) if momentum else None,
        jnp.zeros(num_labels, wide) if bias and momentum else None,
        state_key if (narrow if stochastic_rounding is None else stochastic_rounding) else None,
    )


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _random_kernel(
    key: Array,
    shape: tuple[int, int],
    stored: jnp.dtype,
    is_float8: bool,
    label_axis: int,
    deviation: Array,
) -> Kernel:
    empty = jnp.zeros(shape, stored)
    kernel: Kernel = Float8Kernel(empty) if is_float8 else empty
    num_labels, num_features = shape[label_axis], shape[1 - label_axis]

    def fill(start: Array | int, size: int, kernel: Kernel) -> Kernel:
        own_key = jax.random.fold_in(key, start)
        normal = jax.random.normal(own_key, (size, num_features), wide_dtype(stored))
        return write(kernel, deviation * normal, start, label_axis)

    return over_chunks(num_labels, choose_chunk_size(num_features, num_labels), fill, kernel)


def check_state(state: HeadState) -> None:
    """Raises unless it is a state whose momentum, if any, has the shapes of what it moves."""
    if not isinstance(state, HeadState):
        raise TypeError(f"state must be a HeadState, got {type(state).__name__}")
    for name, moved in (("kernel", state.kernel), ("bias", state.bias)):
        momentum = getattr(state, f"{name}_momentum")
        shape = None if moved is None else moved.shape
        if momentum is not None and momentum.shape != shape:
            raise ValueError(
                f"state.{name}_momentum must have the shape of state.{name}, {shape}, got "
                f"{momentum.shape}"
            )
