"""Reader for NumPy archives of features and labels, and for sparse matrices saved by SciPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._archive import Arrays, no_array, open_arrays
from mllosses_jax.data._sparse_arrays import dense_of_csr, dense_of_scipy, is_of_scipy
from mllosses_jax.data._text import Labels, label_positions
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError

_Matrix: TypeAlias = tuple[NDArray[Any], bool]

# What the names of the arrays of a part end in; the first is the usual one.
_ENDINGS = {
    "train": ("_train", ""),
    "validation": ("_validation", "_val"),
    "test": ("_test",),
}


def read_npz(path: Path, labels: Labels = None) -> Dataset:
    """Reads an archive with `X_train`, `Y_train` and, if there is a test part, `X_test`, `Y_test`.

    The letters may be small, and `X` and `Y` stand for the training part. `X_validation` and
    `Y_validation` (or `X_val`, `Y_val`) are a validation part. A sparse matrix `P` is stored as
    `P_indptr`, `P_indices`, `P_shape` and `P_data` (all ones if absent). `mask_train` (or `mask`),
    `mask_validation` (or `mask_val`) and `mask_test` are 1 where a label is known. `groups_train`
    (or `groups`) and so on are the group of each row. Masks, groups and `label_names` may be left
    out.

    A file that `scipy.sparse.save_npz` wrote holds one matrix; its last columns are the labels.
    Nothing is unpickled.

    Args:
        path: the file.
        labels: the number of labels in the matrix of such a file; None for any other.

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
        if is_of_scipy(arrays):
            return _from_scipy(arrays, path.stem, labels)
        if labels is not None:
            raise DataError("names its labels itself; leave labels= out")
        return _from_parts(arrays, path.stem)


def read_npz_features(path: Path) -> NDArray[Any]:
    """Reads the features of new rows: the array `X`, or else `X_test`, or else `X_train`.

    Args:
        path: the file, in which they may be stored as the pieces of a CSR matrix, or as the only
            matrix of `scipy.sparse.save_npz`.

    Returns:
        The features, (N, ...).

    Raises:
        DataError: there is none of these arrays, or the file is broken.
    """
    with open_arrays(path) as arrays:
        if is_of_scipy(arrays):
            return dense_of_scipy(arrays)
        return _matrix(arrays, ("X", "X_test", "X_train"), np.float32)[0]


def _from_parts(arrays: Arrays, name: str) -> Dataset:
    found: dict[str, Any] = {}
    for part, endings in _ENDINGS.items():
        starts = tuple(f"{letter}{ending}" for letter in "xy" for ending in endings if ending)
        if part == "train" or any(key.lower().startswith(starts) for key in arrays):
            names = {letter: tuple(f"{letter}{ending}" for ending in endings) for letter in "XY"}
            found[f"x_{part}"], sparse = _matrix(arrays, names["X"], np.float32)
            found[f"y_{part}"], _ = _matrix(arrays, names["Y"], np.uint8)
            found.setdefault("sparse", sparse)  # the first part is that of training
        for kind in ("mask", "groups"):
            found[f"{kind}_{part}"] = _first(arrays, [f"{kind}{ending}" for ending in endings])
    label_names = arrays.label_names()
    if label_names is None:
        label_names = _numbered(found["y_train"])
    return Dataset(name=name, label_names=label_names, **found)


def _first(arrays: Arrays, names: list[str]) -> NDArray[Any] | None:
    """Returns the first of these arrays that is there, or None."""
    return next((arrays[name] for name in names if name in arrays), None)


def _from_scipy(arrays: Arrays, name: str, labels: Labels) -> Dataset:
    if not isinstance(labels, int):
        raise DataError(
            "holds one sparse matrix; give labels= with the number of its last columns that are "
            "labels"
        )
    matrix = dense_of_scipy(arrays)
    at = label_positions(labels, [str(j) for j in range(matrix.shape[1])])
    y = matrix[:, at]
    return Dataset(
        name=name,
        label_names=_numbered(y),
        x_train=matrix[:, : at[0]],
        y_train=y,
        sparse=True,
    )


def _numbered(y: NDArray[Any]) -> tuple[str, ...]:
    return tuple(f"label {j}" for j in range(y.shape[-1] if y.ndim else 0))


def _matrix(arrays: Arrays, names: tuple[str, ...], dtype: type[np.generic]) -> _Matrix:
    """Returns a dense matrix, and whether it was stored sparse.

    Args:
        arrays: the archive.
        names: its names, of which the first that is there counts; the letter may be small.
        dtype: the narrowest type of a matrix that was stored sparse.
    """
    for name in names:
        spellings = (name, name[0].lower() + name[1:])
        found = [each for each in spellings if each in arrays or f"{each}_indptr" in arrays]
        if len(found) > 1:
            raise DataError(f"holds {found[0]} and {found[1]}, which mean the same; keep one")
        if found and f"{found[0]}_indptr" in arrays:
            return dense_of_csr(arrays, f"{found[0]}_", dtype), True
        if found:
            return arrays.needed(found[0]), False
    raise no_array(names[0], arrays)
