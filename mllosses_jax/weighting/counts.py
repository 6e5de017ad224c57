"""How often each label is positive, from dense labels or from the indices of the positives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype, counted_entries
from mllosses_jax._core.reduction import safe_divide
from mllosses_jax.weighting._label_counts import counted_labels


@compiled()
def label_counts(labels: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Number of positives of each label.

    Args:
        labels: bool, integer or float array (..., L), hard or soft; all leading axes are samples.
        where: bool, the rank of labels with axes equal or 1: which entries count.

    Returns:
        Counts (L,): int32 for bool and integer labels; for floats, their sums in the wider of
        float32 and their dtype.

    Raises:
        TypeError: if where is not bool.
        ValueError: if where does not fit the labels.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> print(weighting.label_counts(jnp.array([[1, 0, 1], [1, 0, 0]])))
        [2 0 1]
    """
    y = counted_labels(labels, where)
    dtype = jnp.int32 if y.dtype == jnp.bool_ else compute_dtype(y)
    return jnp.sum(y, axis=tuple(range(y.ndim - 1)), dtype=dtype)


def label_counts_from_indices(
    indices: ArrayLike | Sequence[Sequence[int]], num_labels: int
) -> Array:
    """Number of positives of each label, from the indices of the positives alone.

    Args:
        indices: the labels of all samples: the `indices` of a CSR matrix without explicit zeros;
            an integer array of any shape, negative where padded; or for each sample a list.
        num_labels: the number of labels, L.

    Returns:
        Counts (L,), int32. An index repeated in a sample is counted every time.

    Raises:
        TypeError: if the indices are not integers.
        ValueError: if an index in a list is not in [0, L). In an array, whose values are not
            known at trace time, an index of L or more is ignored like padding.

    Example:
        >>> from mllosses_jax import weighting
        >>> print(weighting.label_counts_from_indices([[0, 2], [0], []], num_labels=3))
        [2 0 1]
    """
    if isinstance(indices, list | tuple):
        if not all(isinstance(row, Iterable) for row in indices):
            raise TypeError("indices must be an array, or hold a list of indices for each sample")
        chosen = np.asarray([index for row in indices for index in row] or np.zeros(0, int))
        if not np.issubdtype(chosen.dtype, np.integer):
            raise TypeError(f"indices must hold integers, got {chosen.dtype}")
        outside = chosen[(chosen < 0) | (chosen >= num_labels)]
        if outside.size:
            raise ValueError(f"indices must lie in [0, {num_labels}), got {outside[0]}")
        indices = chosen
    flat = checks.array("indices", indices).ravel()  # type: ignore[arg-type]
    if not jnp.issubdtype(flat.dtype, jnp.integer):
        raise TypeError(f"indices must be lists or an integer array, got {flat.dtype}")
    flat = flat.astype(jnp.int32)
    known = jnp.where(flat < 0, num_labels, flat)  # a negative index would count from the end
    return jnp.zeros(num_labels, jnp.int32).at[known].add(1, mode="drop")


@compiled()
def label_priors(labels: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Share of positives of each label, among the samples for which it is known.

    Args:
        labels: bool, integer or float array (..., L), hard or soft; all leading axes are samples.
        where: bool, the rank of labels with axes equal or 1: which entries count.

    Returns:
        Shares (L,) in [0, 1]; 0 for a label that is never known.

    Raises:
        TypeError: if where is not bool.
        ValueError: if where does not fit the labels.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> labels = jnp.array([[1, 0], [1, 1]])
        >>> print(weighting.label_priors(labels, where=jnp.array([[True, True], [False, True]])))
        [1.  0.5]
    """
    y = counted_labels(labels, where)
    axes = tuple(range(y.ndim - 1))
    mask = checks.mask("where", where, y.shape)
    known = counted_entries(mask, y)
    dtype = compute_dtype(y)
    positives = jnp.sum(y, axis=axes, dtype=jnp.int32 if y.dtype == jnp.bool_ else dtype)
    return safe_divide(
        positives.astype(dtype), jnp.sum(known, axis=axes, dtype=jnp.int32).astype(dtype)
    )
