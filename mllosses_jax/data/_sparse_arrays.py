"""Sparse matrices in archives, stored as the pieces of a CSR matrix or by scipy.sparse.save_npz."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._archive import Arrays
from mllosses_jax.data._text import check_dense_size
from mllosses_jax.data.errors import DataError


def dense_of_csr(
    arrays: Arrays, prefix: str, dtype: type[np.generic], *, by_column: bool = False
) -> NDArray[Any]:
    """Returns a matrix from its pieces `indptr`, `indices`, `shape` and, unless all ones, `data`.

    Args:
        arrays: the archive.
        prefix: what the names of the pieces begin with, such as `X_train_`.
        dtype: the narrowest type of the result.
        by_column: whether the pieces are those of a CSC matrix, the CSR one of the transpose.

    Raises:
        DataError: a piece is missing, or the pieces do not fit together.
    """
    indptr, indices, shape = (
        arrays.needed(f"{prefix}{piece}") for piece in ("indptr", "indices", "shape")
    )
    for piece, array in (("indptr", indptr), ("indices", indices), ("shape", shape)):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise DataError(f"{prefix}{piece} must be a vector of whole numbers; save it as one")
    if shape.size != 2 or int(shape.min()) < 0:
        raise DataError(f"{prefix}shape is {shape.tolist()}; it must be [rows, columns]")
    rows, columns = map(int, shape[::-1] if by_column else shape)
    counts = indptr[1:].astype(np.int64) - indptr[:-1].astype(np.int64)
    ends = (int(indptr[0]), int(indptr[-1])) if indptr.size else None
    if indptr.size != rows + 1 or ends != (0, indices.size) or bool((counts < 0).any()):
        raise DataError(
            f"{prefix}indptr does not fit {rows} rows and {indices.size} indices; it must rise "
            "from 0 to their number in rows + 1 steps"
        )
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < columns:
        raise DataError(
            f"{prefix}indices has an index out of range (0 to {columns - 1}); correct it"
        )
    check_dense_size(rows, columns, prefix.rstrip("_") or "the matrix", np.dtype(dtype).itemsize)
    flat = np.repeat(np.arange(rows), counts) * columns + indices.astype(np.int64)
    if np.unique(flat).size != flat.size:
        raise DataError(f"{prefix}indices names a column twice in one row; sum such entries first")
    data = np.ones(indices.size, dtype)
    if f"{prefix}data" in arrays:
        data = arrays.needed(f"{prefix}data")
        if data.shape != indices.shape or data.dtype.kind not in "biuf":
            raise DataError(f"{prefix}data is not one number per index; store {indices.size}")
    # Stored values keep their type, so that a label of 0.5 is refused and not rounded to 0.
    dense = np.zeros(rows * columns, np.result_type(data.dtype, dtype))
    dense[flat] = data
    dense = dense.reshape(rows, columns)
    return dense.T if by_column else dense


def is_of_scipy(arrays: Arrays) -> bool:
    """Returns whether an archive is what `scipy.sparse.save_npz` writes."""
    return {"format", "shape", "data"} <= set(arrays)


def dense_of_scipy(arrays: Arrays) -> NDArray[Any]:
    """Returns the matrix of an archive that `scipy.sparse.save_npz` wrote, as CSR or CSC.

    Raises:
        DataError: it is of another kind, or its pieces do not fit together.
    """
    layout = arrays.needed("format").astype(str).ravel().tolist()
    if layout not in (["csr"], ["csc"]):
        raise DataError(
            f"holds a sparse matrix in format {shown(', '.join(layout))}; save it with "
            "scipy.sparse.save_npz(path, matrix.tocsr())"
        )
    return dense_of_csr(arrays, "", np.float32, by_column=layout == ["csc"])
