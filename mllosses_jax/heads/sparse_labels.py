"""Sparse labels: the ids of the positive labels of each sample, int32 (B, K), padded with -1.

A label matrix of 128 samples and a million labels holds 128 MB, nearly all of it zeros; its ids
are a few kilobytes. The order of the ids does not matter, padding may stand anywhere, and an id
that is there twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.platforms import on_host

__all__ = [
    "check_positives",
    "positives_from_bcoo",
    "positives_from_csr",
    "positives_from_dense",
    "positives_from_lists",
    "positives_to_bcoo",
    "positives_to_csr",
    "positives_to_dense",
    "positives_to_lists",
]

PADDING = -1


def check_positives(
    positives: ArrayLike, num_labels: int, *, name: str = "positives", batch: int | None = None
) -> Array:
    """Returns ids of labels as int32 (B, K), or raises an error that says what is wrong.

    The ids of an array that is on the host are looked at; those of a traced array or one on an
    accelerator are not, since that would wait for the device. Ids outside [-1, num_labels) that
    were not looked at are ignored, as padding is.

    Args:
        positives: integer array (B, K): ids in [0, num_labels), or -1 for padding.
        num_labels: L, the number of labels.
        name: what messages call the array.
        batch: B, if it is known.

    Returns:
        The ids, int32 (B, K).

    Raises:
        TypeError: if the array is not of integers.
        ValueError: if the shape is not (B, K) or an id is out of range.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.heads import check_positives
        >>> check_positives(np.array([[0, 7]]), num_labels=5)
        Traceback (most recent call last):
        ...
        ValueError: positives must hold ids in [0, 5) or -1 for padding, got 7 at [0, 1]
    """
    if not isinstance(positives, jax.Array):
        try:
            positives = np.asarray(positives)
        except ValueError:  # lists of different lengths
            hint = "convert lists with positives_from_lists"
            raise ValueError(f"{name} must be an array (B, K); {hint}") from None
    if not jnp.issubdtype(positives.dtype, jnp.integer):
        hint = "; convert a label matrix with positives_from_dense"
        raise TypeError(f"{name} must hold integer ids, got {positives.dtype}{hint}")
    rows = "B" if batch is None else batch
    if positives.ndim != 2 or (batch is not None and positives.shape[0] != batch):
        raise ValueError(f"{name} must have shape ({rows}, K), got {positives.shape}")
    if isinstance(positives, np.ndarray) or on_host(positives):
        values = np.asarray(positives)
        wrong = np.argwhere((values < PADDING) | (values >= num_labels))
        if len(wrong):
            row, column = map(int, wrong[0])
            raise ValueError(
                f"{name} must hold ids in [0, {num_labels}) or -1 for padding, "
                f"got {values[row, column]} at [{row}, {column}]"
            )
        return jnp.asarray(positives).astype(jnp.int32)
    ids = jnp.asarray(positives)
    ids = ids.astype(jnp.int64 if ids.dtype.itemsize > 4 else jnp.int32)
    return jnp.where((ids >= 0) & (ids < num_labels), ids, PADDING).astype(jnp.int32)


def positives_from_lists(
    lists: Iterable[Iterable[int]], *, max_positives: int | None = None
) -> np.ndarray:
    """Returns ids (B, K) from one list of ids per sample.

    Args:
        lists: for each sample, the ids of its positive labels, each at least 0.
        max_positives: K; the length of the longest list by default, and at least 1.

    Returns:
        The ids, int32 (B, K), padded with -1 on the right.

    Raises:
        TypeError: if an id is not an integer.
        ValueError: if an id is negative, or a list is longer than max_positives.

    Example:
        >>> from mllosses_jax.heads import positives_from_lists
        >>> positives_from_lists([[3, 1], [], [2]])
        array([[ 3,  1],
               [-1, -1],
               [ 2, -1]], dtype=int32)
    """
    rows = [_ids(f"lists[{number}]", row) for number, row in enumerate(lists)]
    lengths = np.array([len(row) for row in rows], np.int64)
    ids = np.concatenate([np.zeros(0, np.int64), *rows])
    return _padded(ids, lengths, max_positives)


def positives_to_lists(positives: ArrayLike) -> list[list[int]]:
    """Returns the sorted ids of each sample, each id once, without padding.

    Args:
        positives: integer array (B, K), padded with -1.

    Returns:
        One list of ids per sample.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.heads import positives_to_lists
        >>> positives_to_lists(np.array([[3, 1], [-1, -1], [2, 2]]))
        [[1, 3], [], [2]]
    """
    return [sorted(set(row[row >= 0].tolist())) for row in np.asarray(positives)]


def positives_from_dense(labels: ArrayLike, *, max_positives: int | None = None) -> np.ndarray:
    """Returns ids (B, K) from a label matrix.

    Args:
        labels: bool, integer or float array (B, L) of 0 and 1.
        max_positives: K; the largest number of positives by default, and at least 1.

    Returns:
        The ids in ascending order, int32 (B, K), padded with -1.

    Raises:
        ValueError: if the array has not two axes, holds anything but 0 and 1, or a sample has more
            than max_positives labels.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.heads import positives_from_dense
        >>> positives_from_dense(np.array([[0, 1, 1], [1, 0, 0]]))
        array([[ 1,  2],
               [ 0, -1]], dtype=int32)
    """
    matrix = np.asarray(labels)
    if matrix.ndim != 2:
        raise ValueError(f"labels must have shape (B, L), got {matrix.shape}")
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError("labels must be 0 or 1; ids of positives cannot hold soft labels")
    rows, ids = np.nonzero(matrix)
    return _padded(ids, np.bincount(rows, minlength=len(matrix)), max_positives)


def positives_to_dense(positives: ArrayLike, num_labels: int) -> Array:
    """Returns the label matrix, bool (B, L).

    Args:
        positives: integer array (B, K): ids in [0, num_labels), or -1 for padding.
        num_labels: L.

    Returns:
        The labels, bool (B, L). It may be called inside `jit`.

    Raises:
        ValueError: if an id is out of range.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.heads import positives_to_dense
        >>> positives_to_dense(np.array([[2, -1]]), num_labels=4).astype(int)
        Array([[0, 0, 1, 0]], dtype=int32)
    """
    checks.integer("num_labels", num_labels, least=1)
    return ids_to_tile(check_positives(positives, num_labels), 0, num_labels)


def positives_from_csr(matrix: Any, *, max_positives: int | None = None) -> np.ndarray:
    """Returns ids (B, K) from a SciPy sparse matrix of labels.

    Args:
        matrix: SciPy sparse matrix or array (B, L) of 0 and 1 in any format; entries that are there
            twice are added up, as SciPy does.
        max_positives: K; the largest number of positives by default, and at least 1.

    Returns:
        The ids, int32 (B, K), padded with -1.

    Raises:
        ValueError: if a value is not 0 or 1, or a sample has more than max_positives labels.

    Example:
        >>> import scipy.sparse
        >>> from mllosses_jax.heads import positives_from_csr
        >>> positives_from_csr(scipy.sparse.csr_matrix([[0, 1, 1], [1, 0, 0]]))
        array([[ 1,  2],
               [ 0, -1]], dtype=int32)
    """
    rows = matrix.tocsr().copy()
    rows.sum_duplicates()
    rows.eliminate_zeros()
    if not (rows.data == 1).all():
        raise ValueError("the matrix must hold 0 and 1; ids of positives cannot hold soft labels")
    return _padded(rows.indices, np.diff(rows.indptr), max_positives)


def positives_to_csr(positives: ArrayLike, num_labels: int) -> Any:
    """Returns the label matrix as a SciPy sparse array in CSR format.

    Args:
        positives: integer array (B, K): ids in [0, num_labels), or -1 for padding.
        num_labels: L.

    Returns:
        A bool `scipy.sparse.csr_array` (B, L).

    Raises:
        ValueError: if an id is out of range.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.heads import positives_to_csr
        >>> positives_to_csr(np.array([[2, -1]]), num_labels=4).toarray().astype(int)
        array([[0, 0, 1, 0]])
    """
    import scipy.sparse

    lists = positives_to_lists(check_positives(positives, num_labels))
    ends = np.cumsum([0, *map(len, lists)])
    ids = np.concatenate([np.zeros(0, np.int64), *map(np.asarray, lists)]).astype(np.int64)
    ones = np.ones(len(ids), bool)
    return scipy.sparse.csr_array((ones, ids, ends), shape=(len(lists), num_labels))


def positives_from_bcoo(matrix: Any, *, max_positives: int | None = None) -> np.ndarray:
    """Returns ids (B, K) from a `jax.experimental.sparse.BCOO` matrix of labels.

    Args:
        matrix: BCOO array (B, L) of 0 and 1 without batch or dense axes.
        max_positives: K; the largest number of positives by default, and at least 1.

    Returns:
        The ids, int32 (B, K), padded with -1.

    Raises:
        ValueError: if a value is not 0 or 1, or a sample has more than max_positives labels.

    Example:
        >>> import jax.numpy as jnp
        >>> from jax.experimental.sparse import BCOO
        >>> from mllosses_jax.heads import positives_from_bcoo
        >>> positives_from_bcoo(BCOO.fromdense(jnp.array([[0, 1, 1], [1, 0, 0]])))
        array([[ 1,  2],
               [ 0, -1]], dtype=int32)
    """
    import scipy.sparse

    if matrix.ndim != 2 or matrix.n_batch or matrix.n_dense:
        raise ValueError("the BCOO matrix must have shape (B, L), n_batch=0 and n_dense=0")
    indices, data = np.asarray(matrix.indices), np.asarray(matrix.data)
    inside = (indices < np.array(matrix.shape)).all(1)  # BCOO pads with indices out of range
    rows, columns = indices[inside].T
    entries = scipy.sparse.coo_array((data[inside], (rows, columns)), shape=matrix.shape)
    return positives_from_csr(entries, max_positives=max_positives)


def positives_to_bcoo(positives: ArrayLike, num_labels: int) -> Any:
    """Returns the label matrix as a `jax.experimental.sparse.BCOO` array.

    Args:
        positives: integer array (B, K): ids in [0, num_labels), or -1 for padding.
        num_labels: L.

    Returns:
        An int32 BCOO array (B, L) with one entry per positive.

    Raises:
        ValueError: if an id is out of range.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax.heads import positives_to_bcoo
        >>> positives_to_bcoo(np.array([[2, -1]]), num_labels=4).todense()
        Array([[0, 0, 1, 0]], dtype=int32)
    """
    from jax.experimental.sparse import BCOO

    matrix = positives_to_csr(positives, num_labels)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    indices = np.stack([rows, matrix.indices], 1).astype(np.int32)
    return BCOO((jnp.asarray(matrix.data, jnp.int32), jnp.asarray(indices)), shape=matrix.shape)


def ids_to_tile(ids: Array, start: Array | int, size: int) -> Array:
    """Returns which labels of [start, start + size) are among the ids, bool (B, size).

    Setting an entry, unlike adding to it, is right for ids that are there twice.
    """
    local = ids - start
    local = jnp.where((ids >= 0) & (local >= 0) & (local < size), local, size)  # -1 would wrap
    rows = jnp.arange(ids.shape[0])[:, None]
    return jnp.zeros((ids.shape[0], size), bool).at[rows, local].set(True, mode="drop")


def distinct(ids: Array) -> Array:
    """Returns which entries of ids (B, K) are the first of their value in the row, not padding."""
    equal = ids[:, :, None] == ids[:, None, :]
    first = ~jnp.any(jnp.tril(equal, k=-1), axis=2)
    return first & (ids >= 0)


def _ids(name: str, row: Iterable[int]) -> np.ndarray:
    found = np.asarray(list(row))
    if not found.size:
        return np.zeros(0, np.int64)
    if not np.issubdtype(found.dtype, np.integer):
        raise TypeError(f"{name} must hold integer ids, got {found.dtype}")
    if found.min() < 0:
        raise ValueError(f"{name} must hold ids of at least 0, got {found.min()}")
    return found.astype(np.int64)


def _padded(ids: np.ndarray, lengths: Sequence[int] | np.ndarray, width: int | None) -> np.ndarray:
    """Returns rows of the given lengths, cut from `ids` one after the other and padded with -1."""
    lengths = np.asarray(lengths)
    longest = int(lengths.max(initial=0))
    if width is None:
        width = max(longest, 1)
    checks.integer("max_positives", width, least=1)
    if longest > width:
        row = int(lengths.argmax())
        raise ValueError(
            f"max_positives is {width}, but sample {row} has {longest} positive labels"
        )
    result = np.full((len(lengths), width), PADDING, np.int32)
    result[np.arange(width) < lengths[:, None]] = ids
    return result
