"""The conventions of label smoothing, which `mllosses_jax.labels.smooth_labels` documents."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array

Convention = Literal["half", "full", "uniform", "others", "classy_vision"]
CONVENTIONS = ("half", "full", "uniform", "others", "classy_vision")


def smoothed(y: Array, s: Array, convention: Convention, counted: Array) -> Array:
    """Returns float labels (..., L) smoothed by s; L and k are numbers of entries that count."""
    size = jnp.maximum(jnp.sum(counted, axis=-1, keepdims=True), 1).astype(y.dtype)
    if convention == "half":
        return y * (1 - s) + s / 2
    if convention == "full":
        return y * (1 - s) + (1 - y) * s
    if convention == "classy_vision":
        return (y + s / size) / (1 + s)
    off = counted & (y <= 0)
    others = jnp.sum(off, axis=-1, keepdims=True, dtype=y.dtype)
    on, rest = smoothed_values(y, s, convention, size, others)
    return on if convention == "uniform" else jnp.where(off, rest, on)


def smoothed_values(
    y: Array, s: Array, convention: Literal["uniform", "others"], size: Array, others: Array
) -> tuple[Array, Array]:
    """Returns the smoothed label of positives and that of other labels.

    Args:
        y: the label of positives: one per sample if labels are hard, else one per entry.
        s: the smoothing.
        convention: one of those that depend on the sample.
        size: how many labels of a sample count, of a shape that broadcasts against y.
        others: how many of them are not positive, in the shape of the size.
    """
    if convention == "uniform":
        off = s / jnp.maximum(size, 1)
        return y * (1 - s) + off, off
    return jnp.where(others > 0, y * (1 - s), y), s / jnp.maximum(others, 1)
