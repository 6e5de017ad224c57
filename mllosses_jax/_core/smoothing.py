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
    if convention == "uniform":
        return y * (1 - s) + s / size
    if convention == "classy_vision":
        return (y + s / size) / (1 + s)
    off = counted & (y <= 0)
    others = jnp.sum(off, axis=-1, keepdims=True, dtype=y.dtype)
    smoothed = jnp.where(off, s / jnp.maximum(others, 1), y * (1 - s))
    return jnp.where(others > 0, smoothed, y)
