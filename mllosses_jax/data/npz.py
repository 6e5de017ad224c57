"""Reader for NumPy archives, with matrices that are dense or stored as the pieces of a CSR one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._archive import Arrays, open_arrays
from mllosses_jax.data._text import check_dense_size
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError


def read_npz(path: Path) -> Dataset:
    """Reads an archive with `X_train`, `Y_train` and, if there is a test part, `X_test`, `Y_test`.

    A sparse matrix `P` is stored as `P_indptr`, `P_indices`, `P_shape` and `P_data` (all ones if
    absent). `mask_train` and `mask_test` are 1 where a label is known. `label_names` may be
    left out. Nothing is unpickled.

    Args:
        path: the file.

    Returns:
        The data set, with a test part if the archive has one.

    Raises:
        DataError: the archive cannot be read or breaks one of these rules.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.npz")
        >>> np.savez(path, X_train=[[0.5], [1.5]], Y_train=[[0, 1], [1, 1]])
        >>> read_npz(path)
        Dataset('toy': 2 training rows, no test part, 1 features, 2 labels)
    """
    with open_arrays(path) as arrays:
        return _dataset(arrays, path.stem)


def read_npz_features(path: Path) -> NDArray[Any]:
    """Reads the features of new rows: the array `X`, or else `X_test`, or else `X_train`.

    Args:
        path: the file, in which they may be stored as the pieces of a CSR matrix.

    Returns:
        The features, (N, ...).

    Raises:
        DataError: there is none of these arrays, or the file is broken.
    """
    with open_arrays(path) as arrays:
        stored = (n for n in ("X", "X_test", "X_train") if n in arrays or f"{n}_indptr" in arrays)
        return _matrix(arrays, next(stored, "X"), np.float32)[0]


def _dataset(arrays: Arrays, name: str) -> Dataset:
    x_train, sparse = _matrix(arrays, "X_train", np.float32)
    y_train, _ = _matrix(arrays, "Y_train", np.uint8)
    x_test = y_test = None
    if any(key.startswith(("X_test", "Y_test")) for key in arrays):
        x_test, _ = _matrix(arrays, "X_test", np.float32)
        y_test, _ = _matrix(arrays, "Y_test", np.uint8)
    names = arrays.label_names()
    if names is None:
        names = tuple(f"label {j}" for j in range(y_train.shape[-1] if y_train.ndim else 0))
    return Dataset(
        name=name,
        label_names=names,
        x_train=x_train,
        y_train=y_train,
        mask_train=arrays.get("mask_train"),
        x_test=x_test,
        y_test=y_test,
        mask_test=arrays.get("mask_test"),
        sparse=sparse,
    )


def _matrix(arrays: Arrays, name: str, dtype: type[np.generic]) -> tuple[NDArray[Any], bool]:
    """Returns a dense matrix, and whether it was stored sparse."""
    if f"{name}_indptr" not in arrays:
        return arrays.needed(name), False
    indptr, indices, shape = (
        arrays.needed(f"{name}_{piece}") for piece in ("indptr", "indices", "shape")
    )
    for piece, array in (("indptr", indptr), ("indices", indices), ("shape", shape)):
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise DataError(f"{name}_{piece} must be a vector of whole numbers; save it as one")
    if shape.size != 2 or int(shape.min()) < 0:
        raise DataError(f"{name}_shape is {shape.tolist()}; it must be [rows, columns]")
    rows, columns = int(shape[0]), int(shape[1])
    counts = indptr[1:].astype(np.int64) - indptr[:-1].astype(np.int64)
    ends = (int(indptr[0]), int(indptr[-1])) if indptr.size else None
    if indptr.size != rows + 1 or ends != (0, indices.size) or bool((counts < 0).any()):
        raise DataError(
            f"{name}_indptr does not fit {rows} rows and {indices.size} indices; it must rise "
            "from 0 to their number in rows + 1 steps"
        )
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < columns:
        raise DataError(
            f"{name}_indices has an index out of range (0 to {columns - 1}); correct it"
        )
    check_dense_size(rows, columns, name, np.dtype(dtype).itemsize)
    flat = np.repeat(np.arange(rows), counts) * columns + indices.astype(np.int64)
    if np.unique(flat).size != flat.size:
        raise DataError(f"{name}_indices names a column twice in one row; sum such entries first")
    data = np.ones(indices.size, dtype)
    if f"{name}_data" in arrays:
        data = arrays.needed(f"{name}_data")
        if data.shape != indices.shape or data.dtype.kind not in "biuf":
            raise DataError(f"{name}_data is not one number per index; store {indices.size}")
    # Stored values keep their type, so that a label of 0.5 is refused and not rounded to 0.
    dense = np.zeros(rows * columns, np.result_type(data.dtype, dtype))
    dense[flat] = data
    return dense.reshape(rows, columns), True
