"""The arrays of a part of a data set, checked and converted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._dense import dense
from mllosses_jax.data._text import check_names
from mllosses_jax.data.errors import DataError


def check_part(
    *,
    x: Any,
    y: Any,
    mask: Any,
    rows: Any,
    part: str,
    names: tuple[str, ...],
    no_features: bool,
) -> dict[str, NDArray[Any] | None]:
    """Returns features, labels, mask and row numbers of a part, or raises a DataError.

    Args:
        x: features.
        y: labels.
        mask: which labels are known, or None.
        rows: the number of each row in its file; None, or as many as there are not, for all rows.
        part: the name of the part.
        names: the names of the labels.
        no_features: whether the rows have none.
    """
    if x is None or y is None:
        raise DataError(f"x_{part} and y_{part} go together; give both or neither")
    x = _features(dense(x, f"x_{part}"), f"x_{part}", no_features)
    y = dense(y, f"y_{part}")
    if mask is not None:
        mask = _binary(
            dense(mask, f"mask_{part}"),
            f"mask_{part}",
            "1 where the label is known and 0 elsewhere",
        )
        if y.shape != mask.shape:
            raise DataError(
                f"mask_{part} {mask.shape} and y_{part} {y.shape} differ in shape; a mask "
                "has one entry per label"
            )
    if y.dtype.kind == "f" and np.isnan(y).any():
        mask = ~np.isnan(y) if mask is None else mask & ~np.isnan(y)
    if mask is not None and y.dtype.kind in "biuf":  # other kinds are refused below
        y = np.where(mask, y, 0)
    y = _binary(y, f"y_{part}", f"0 or 1, and an unknown label is NaN or has 0 in mask_{part}")
    if len(x) != len(y):
        raise DataError(
            f"x_{part} has {len(x)} rows but y_{part} has {len(y)}; both need one row per sample"
        )
    if y.shape[1] != len(names):
        raise DataError(
            f"{len(names)} label names for the {y.shape[1]} columns of y_{part}; give one name per "
            "column"
        )
    if rows is None or np.shape(rows) != (len(y),):
        rows = np.arange(len(y))
    known = mask is None or bool(mask.all())
    return {"x": x, "y": y, "mask": None if known else mask, "rows": np.asarray(rows, np.intp)}


def label_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the names of labels as texts, or raises a DataError."""
    names = tuple(str(name) for name in names)
    if not names:
        raise DataError("no labels; a data set needs at least one")
    check_names(names, "label name")
    return names


def _features(x: NDArray[Any], what: str, no_features: bool) -> NDArray[np.float32]:
    if no_features and x.shape[1:] == (0,) and len(x):
        return x.astype(np.float32)
    if x.ndim < 2 or 0 in x.shape:
        raise DataError(
            f"{what} has shape {x.shape}; it must be (rows, features) or have more axes, none of "
            "them 0"
        )
    if x.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {x.dtype} values; features must be numbers")
    with np.errstate(over="ignore"):  # values beyond float32 become infinite and are refused below
        x = x.astype(np.float32, copy=False)
    finite = np.isfinite(x)
    if not finite.all():
        row, *place = np.argwhere(~finite)[0].tolist()
        raise DataError(
            f"{what} is NaN or infinite at row {row}, column {', '.join(map(str, place))}; fill in "
            "such values, for example with the column's mean, or drop the row"
        )
    return x


def _binary(array: NDArray[Any], what: str, rule: str) -> NDArray[np.bool_]:
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{what} has shape {array.shape}; it must be (rows, labels), neither 0")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        raise DataError(f"{what} holds {array.dtype} values; they must be {rule}")
    good = (array == 0) | (array == 1)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise DataError(
            f"{what} has {array[row, column]} at row {row}, column {column}; values are {rule}"
        )
    return array.astype(np.bool_)
