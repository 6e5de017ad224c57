"""Means of a metric over labels that are about equally frequent: the head, the middle, the tail."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype


def by_frequency(values: ArrayLike, label_counts: ArrayLike, edges: ArrayLike) -> Array:
    """Means of a metric's values by label over groups of labels, from the rarest to the commonest.

    Formula:
        mean of v_c over the labels of group g, where g is the number of edges e with n_c ≥ e

    Args:
        values: float array (L,), a metric of each label (average=None); NaN leaves a label out.
        label_counts: array (L,), n, the number of positives of each label, usually in the training
            data (`mll.weighting.label_counts`).
        edges: array (G − 1,), ascending: the fewest positives of a label in each group but the
            first. With [20, 100], the tail has fewer than 20 and the head at least 100.

    Returns:
        The mean of each group, (G,), in float32 or the wider dtype of the values; NaN for a group
        without labels.

    Raises:
        TypeError: if values are not floating point.
        ValueError: if shapes differ, edges do not ascend, or counts are negative.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> values, counts = jnp.array([0.2, 0.4, 0.8, 0.9]), jnp.array([5, 12, 30, 500])
        >>> print(metrics.by_frequency(values, counts, [20, 100]))
        [0.3 0.8 0.9]
    """
    limits = np.asarray(edges)
    if limits.ndim != 1 or np.isnan(limits).any() or not np.all(np.diff(limits) > 0):
        raise ValueError(f"edges must be one axis of ascending numbers, got {limits.tolist()}")
    return _by_frequency(values, label_counts, limits)


@compiled()
def _by_frequency(values: ArrayLike, label_counts: ArrayLike, edges: ArrayLike) -> Array:
    v = checks.float_array("values", values)
    v, counts = v.astype(compute_dtype(v)), checks.array("label_counts", label_counts)
    checks.same_shape("label_counts", counts, "values", v)
    if v.ndim != 1:
        raise ValueError(f"values must have one entry per label: expected (L,), got {v.shape}")
    limits = checks.array("edges", edges).astype(v.dtype)
    group = jnp.sum(counts.astype(v.dtype)[:, None] >= limits[None, :], axis=1, dtype=jnp.int32)
    number = jnp.arange(len(limits) + 1, dtype=jnp.int32)
    member = (group[None, :] == number[:, None]) & ~jnp.isnan(v)[None, :]
    total = jnp.sum(jnp.where(member, v[None, :], 0), axis=1)
    return total / jnp.sum(member, axis=1, dtype=v.dtype)
