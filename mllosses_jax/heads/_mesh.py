"""The part of the labels that a device holds, inside `shard_map`."""

from __future__ import annotations

from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.types import AxisName

Tree = TypeVar("Tree")


def label_range(
    rows: int, num_labels: int | None, label_axis_name: AxisName
) -> tuple[Array | int, int]:
    """Returns the id of the first label of this device's kernel, and the number of all labels.

    Args:
        rows: the number of labels of the kernel of each device.
        num_labels: the number of all labels, if the last kernels have rows beyond the last label.
        label_axis_name: the mesh axis over which the labels are split, or None.

    Raises:
        ValueError: if there are fewer rows than labels.
    """
    devices = 1 if label_axis_name is None else lax.axis_size(label_axis_name)
    if num_labels is None:
        num_labels = rows * devices
    checks.integer("num_labels", num_labels, least=1)
    if num_labels > rows * devices:
        raise ValueError(
            f"num_labels must be at most the {rows * devices} rows of the kernel, got {num_labels}"
        )
    if label_axis_name is None:
        return 0, num_labels
    return lax.axis_index(label_axis_name) * rows, num_labels


def varying(tree: Tree, *axis_names: AxisName) -> Tree:
    """Returns arrays that JAX takes to differ between the devices of the mesh axes.

    Inside `shard_map` a loop's carry must not change its type, which says over which axes an array
    differs. The derivative of this change of type is the sum over the axes, so that gradients of
    arrays that were equal on all devices add up by themselves.
    """
    names = axes(*axis_names) or ()

    def cast(x: Array) -> Array:
        missing = tuple(name for name in names if name not in _axes(x))
        return lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(cast, tree) if names else tree


def gathered(x: Array, axis_name: AxisName) -> Array:
    """Returns the columns of all devices, (B, n · K) for x (B, K), which JAX knows to be equal.

    The result of `all_gather` may differ between devices as far as JAX knows; a sum may not.
    """
    parts = jnp.zeros((lax.axis_size(axis_name), *x.shape), x.dtype)
    parts = all_sum(parts.at[lax.axis_index(axis_name)].set(x), axis_name)
    return jnp.moveaxis(parts, 0, 1).reshape(len(x), -1)


def axes(*axis_names: AxisName) -> tuple[str, ...] | None:
    """Returns the names of mesh axes as one tuple, or None if there are none."""
    named = [(name,) if isinstance(name, str) else name or () for name in axis_names]
    return tuple(name for names in named for name in names) or None


def zeros_like(x: Array, dtype: jnp.dtype) -> Array:
    """Returns zeros of the shape of x, which differ between devices where x does."""
    return varying(jnp.zeros(x.shape, dtype), tuple(_axes(x)))


def _axes(x: Array) -> frozenset[str]:
    """Returns the mesh axes over which an array differs."""
    kind = jax.typeof(x)
    return frozenset(kind.vma if hasattr(kind, "vma") else kind.mat.varying)
