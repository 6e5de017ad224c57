"""Trace-time checks, whose errors name the argument, what it should be and what it was.

They look only at types, dtypes and shapes, so they cost nothing in a compiled program.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def array(name: str, value: ArrayLike) -> Array:
    """Returns `value` as an array of real numbers; raises TypeError for anything else."""
    if value is None:
        raise TypeError(f"{name} must be an array or a number, got None")
    if isinstance(value, list | tuple | dict | str):
        raise TypeError(
            f"{name} must be an array, got {type(value).__name__}; convert it with jnp.asarray"
        )
    result = jnp.asarray(value)
    if jnp.issubdtype(result.dtype, jnp.complexfloating):
        raise TypeError(f"{name} must hold real numbers, got {result.dtype}")
    return result


def float_array(name: str, value: ArrayLike) -> Array:
    """Returns a floating-point array of at least one axis."""
    result = array(name, value)
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise TypeError(
            f"{name} must be a floating-point array, got {result.dtype}"
            + ("; were the labels passed first?" if name in {"logits", "scores"} else "")
        )
    if result.ndim == 0:
        raise ValueError(f"{name} must have a label axis: shape (..., L), got shape ()")
    return result


def label_array(name: str, value: ArrayLike) -> Array:
    """Returns an array of bool, integer or floating-point dtype with a label axis."""
    result = array(name, value)
    if result.ndim == 0:
        raise ValueError(f"{name} must have a label axis: shape (..., L), got shape ()")
    return result


def same_shape(name: str, value: Array, other_name: str, other: Array) -> None:
    """Raises ValueError unless both arrays have the same shape."""
    if value.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name} (nothing is broadcast): "
            f"expected {other.shape}, got {value.shape}"
        )


def mask(name: str, value: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """Returns a bool mask broadcast to `shape`; each axis of `value` must be equal or 1."""
    if value is None:
        return None
    result = array(name, value)
    if result.dtype != jnp.bool_:
        raise TypeError(f"{name} must be a bool array, got {result.dtype}; write {name} > 0")
    if result.ndim != len(shape):
        hint = ""
        if result.ndim == len(shape) - 1 and result.shape == shape[:-1]:
            hint = f"; to mask whole samples pass {name}[..., None]"
            hint = hint.replace("[..., None]", "[:, None]") if len(shape) == 2 else hint
        elif result.ndim == 1 and result.shape == shape[-1:]:
            hint = f"; to mask whole labels pass {name}[None, :]" if len(shape) == 2 else ""
        raise ValueError(
            f"{name} must have as many axes as the labels, each equal to theirs or 1: "
            f"expected {shape}, got {result.shape}{hint}"
        )
    if any(size not in (1, full) for size, full in zip(result.shape, shape, strict=True)):
        raise ValueError(
            f"{name} must have each axis equal to that of the labels or 1: "
            f"expected {shape}, got {result.shape}"
        )
    return jnp.broadcast_to(result, shape)


def per_label(name: str, value: ArrayLike, num_labels: int, dtype: jnp.dtype) -> Array:
    """Returns a parameter that is a scalar or has one entry per label, in `dtype`."""
    result = array(name, value)
    if not (result.ndim == 0 or result.shape == (num_labels,)):
        raise ValueError(
            f"{name} must be a scalar or have shape ({num_labels},), one entry per label, "
            f"got {result.shape}"
        )
    return result.astype(dtype)


def element_parameter(name: str, value: ArrayLike, like: Array) -> Array:
    """Returns a scalar or per-label parameter, ready to be combined with logits (..., L)."""
    result = per_label(name, value, like.shape[-1], like.dtype)
    return result if result.ndim == 0 else result.reshape((1,) * (like.ndim - 1) + (-1,))


def exponent(name: str, value: ArrayLike, like: Array) -> Array | int:
    """Returns an element parameter, but keeps a Python integer as a constant."""
    return value if isinstance(value, int) else element_parameter(name, value, like)


def scalar(name: str, value: ArrayLike | str | None, dtype: jnp.dtype) -> Array:
    """Returns a scalar parameter in `dtype`."""
    if value is None or isinstance(value, str):
        raise TypeError(f"{name} must be a number, got {value!r}")
    result = array(name, value)
    if result.ndim != 0:
        raise ValueError(f"{name} must be a scalar, got shape {result.shape}")
    return result.astype(dtype)


def per_sample(name: str, value: ArrayLike, like: Array) -> Array:
    """Returns a floating-point array with one entry per sample of logits (..., L)."""
    result = array(name, value)
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise TypeError(f"{name} must be a floating-point array, got {result.dtype}")
    if result.shape != like.shape[:-1]:
        raise ValueError(
            f"{name} must have one entry per sample: expected {like.shape[:-1]}, got {result.shape}"
        )
    return result.astype(like.dtype)


def one_of(name: str, value: object, options: Sequence[object]) -> None:
    """Raises ValueError unless `value` is one of the options."""
    if not any(value is option or (value == option) for option in options):
        listed = ", ".join(repr(option) for option in options)
        raise ValueError(f"{name} must be one of {listed}, got {value!r}")


def integer(name: str, value: object, *, least: int) -> None:
    """Raises unless `value` is a Python integer of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a Python integer, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def label_names(names: Sequence[str] | None, num_labels: int) -> tuple[str, ...]:
    """Returns the label names, or numbers for None; raises unless each label has a unique name."""
    if names is None:
        return tuple(map(str, range(num_labels)))
    found = tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise TypeError(f"label_names must be a sequence of strings, got {names!r}")
    if len(found) != num_labels:
        raise ValueError(f"label_names must name each of the {num_labels} labels, got {len(found)}")
    twice = sorted(name for name, times in collections.Counter(found).items() if times > 1)
    if twice:
        raise ValueError(f"label_names must differ, but these are there twice: {twice}")
    return found


def set_size(k: object, num_labels: int, name: str = "k") -> None:
    """Raises unless `k` is a Python integer from 1 to the number of labels."""
    if not isinstance(k, int) or isinstance(k, bool):
        kind = "an array or a fraction" if isinstance(k, jax.Array) else type(k).__name__
        raise TypeError(f"{name} must be a Python integer (it sets a shape), got {kind}")
    if not 1 <= k <= num_labels:
        raise ValueError(
            f"{name} must be between 1 and the number of labels, {num_labels}, got {k}"
        )
