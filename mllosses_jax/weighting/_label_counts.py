"""Checked label counts, checked labels to be counted, and the effective number of samples."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import compute_dtype, is_positive


def checked_counts(label_counts: ArrayLike) -> Array:
    """Returns label counts (L,) as floats."""
    counts = checks.array("label_counts", label_counts)
    if counts.ndim != 1:
        raise ValueError(f"label_counts must have shape (L,), got {counts.shape}")
    return counts.astype(compute_dtype(counts))


def counted_labels(labels: ArrayLike, where: ArrayLike | None) -> Array:
    """Returns labels with 0 where they do not count, bool unless they were floats."""
    y = checks.label_array("labels", labels)
    y = y if jnp.issubdtype(y.dtype, jnp.floating) else is_positive(y)
    mask = checks.mask("where", where, y.shape)
    return y if mask is None else jnp.where(mask, y, jnp.zeros_like(y))


def counts_beside(label_counts: ArrayLike, y: Array) -> Array:
    """Returns counts in a shape that broadcasts with labels (..., L)."""
    counts = checked_counts(label_counts)
    if counts.shape != y.shape[-1:]:
        raise ValueError(
            f"label_counts must have one entry per label: expected {y.shape[-1:]}, "
            f"got {counts.shape}"
        )
    return counts.reshape((1,) * (y.ndim - 1) + (-1,))


def per_effective_number(counts: Array, b: Array) -> Array:
    """Returns (1 − β) / (1 − β^n) for counts of at least 1."""
    inside = jnp.where((b > 0) & (b < 1), b, 0.5)
    # expm1 keeps 1 - beta ** n accurate for beta close to 1.
    effective = -jnp.expm1(counts * jnp.log1p(inside - 1)) / (1 - inside)
    return 1 / jnp.where(b == 1, counts, jnp.where(b == 0, 1, effective))
