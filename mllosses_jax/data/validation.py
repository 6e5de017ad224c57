"""A validation part from elsewhere: a file of any format, another data set, or arrays.

Its features go through the encoder of the training part, and its labels are found by their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._reading import check_file, reading
from mllosses_jax.data._table import Table
from mllosses_jax.data._table_features import read_features_of
from mllosses_jax.data._table_labels import find_labels, read_labels
from mllosses_jax.data._text import Drop, Labels
from mllosses_jax.data._text_files import PACKED, ending
from mllosses_jax.data.columns import Categories
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.loading import SUFFIXES, load
from mllosses_jax.data.new_rows import load_features, table_in
from mllosses_jax.data.tables import dropped_columns, groups_of

Validation: TypeAlias = str | PathLike[str] | Dataset | Sequence[ArrayLike]


class _Rows(NamedTuple):
    """Rows from elsewhere.

    Attributes:
        x: features (V, ...), as those of the training part.
        y: labels (V, K).
        mask: bool (V, K), True where a label is known, or None.
        names: the names of the K labels.
        listed: whether each row lists its labels, so that one that no row has is not among them.
        groups: the groups of the rows, or None.
    """

    x: ArrayLike
    y: NDArray[np.bool_]
    mask: NDArray[np.bool_] | None
    names: tuple[str, ...]
    listed: bool = False
    groups: NDArray[Any] | None = None


def add_validation(
    data: Dataset,
    validation: Validation,
    *,
    labels: Labels = None,
    drop: Drop = None,
    groups: str | None = None,
) -> Dataset:
    """Returns a data set with a validation part.

    Args:
        data: the data set.
        validation: a file, of which the validation part or, without one, the training part is
            taken; a data set, of which the same is taken; or arrays (features, labels) or
            (features, labels, mask).
        labels: the label columns of a table, as they were given for the data set.
        drop: the columns of a table that were left out.
        groups: the column of a table with the group of each row.

    Raises:
        DataError: the rows have other features or labels, or the file is broken.
    """
    if isinstance(validation, str | PathLike):
        file = Path(validation)
        with reading(file):
            return _with(data, _of_file(data, file, labels, drop, groups))
    if isinstance(validation, Dataset):
        return _with(data, _of_dataset(data, validation))
    if isinstance(validation, Sequence) and len(validation) in (2, 3):
        x, y, *mask = validation
        return data.with_validation(x, y, mask=mask[0] if mask else None)
    raise DataError(
        "the validation part must be a file, a Dataset, or arrays (features, labels) or "
        f"(features, labels, mask), got {type(validation).__name__} (validation)"
    )


def _with(data: Dataset, rows: _Rows) -> Dataset:
    """Returns the data set with these rows, whose labels are put into its order."""
    place = {name: column for column, name in enumerate(rows.names)}
    beyond = [name for name in rows.names if name not in set(data.label_names)]
    lacking = [name for name in data.label_names if name not in place]
    nameless = rows.names == tuple(f"label {j}" for j in range(len(rows.names)))
    if nameless and len(rows.names) == len(data.label_names):
        place, beyond, lacking = {name: j for j, name in enumerate(data.label_names)}, [], []
    if beyond or (lacking and not rows.listed):
        told = [f"{shown(beyond[0])} is only there"] * bool(beyond)
        told += [f"{shown(lacking[0])} is missing"] * bool(lacking)
        raise DataError(
            f"the validation part has {len(rows.names)} labels and {data.name} "
            f"{len(data.label_names)}, of which {' and '.join(told)}; give both the same labels"
        )
    y = np.zeros((len(rows.y), len(data.label_names)), bool)
    known = np.ones(y.shape, bool)
    if rows.mask is not None and lacking:
        known[:] = rows.mask.any(axis=1, keepdims=True)  # a row that lists nothing is unknown
    for column, name in enumerate(data.label_names):
        if name in place:
            y[:, column] = rows.y[:, place[name]]
            known[:, column] = True if rows.mask is None else rows.mask[:, place[name]]
    groups = None if data.groups_train is None else rows.groups
    return data.with_validation(rows.x, y, mask=known, groups=groups)


def _of_file(data: Dataset, file: Path, labels: Labels, drop: Drop, groups: str | None) -> _Rows:
    check_file(file, SUFFIXES, "a data file", otherwise=" (text also as .gz)")
    suffix = ending(file).removesuffix(PACKED)
    table = table_in(file, suffix)
    if table is not None:
        return _of_table(data, file, table, labels, drop, groups)
    if labels is None and suffix == ".arff":
        labels = data.label_names
    part = load(file, labels=labels, drop=drop, groups=groups)
    if suffix == ".npz":
        return _of_dataset(data, part)
    x = load_features(file, feature_names=data.feature_names)
    listed = suffix != ".arff"  # rows of svmlight list their labels
    return _Rows(x, part.y_train, part.mask_train, part.label_names, listed, _group_names(part))


def _of_table(
    data: Dataset, file: Path, table: Table, labels: Labels, drop: Drop, groups: str | None
) -> _Rows:
    left_out = {*dropped_columns(tuple(table.columns), drop), *({groups} - {None})}
    kept = [name for name in table.columns if name not in left_out]
    if labels is None and set(data.label_names) <= set(kept):
        labels = data.label_names
    columns = find_labels(kept, labels, table.header_line)
    found = read_labels(table, columns)
    if data.encoder is None:
        x: ArrayLike = load_features(file, feature_names=data.feature_names)
    else:
        x = data.encoder(read_features_of(table, data.encoder))
    listed = len(columns) == 1 and columns[0] not in found.names
    of_rows = None if groups is None else groups_of(table, groups)
    return _Rows(x, found.y, found.mask, found.names, listed, of_rows)


def _of_dataset(data: Dataset, other: Dataset) -> _Rows:
    part = "train" if other.x_validation is None else "validation"
    x, y, mask = (getattr(other, f"{kind}_{part}") for kind in ("x", "y", "mask"))
    columns, encoder = other._columns, data.encoder
    if part == "train" and columns is not None and encoder is not None:
        for name in encoder.columns:
            is_text = isinstance(columns.get(name), Categories)
            if name not in columns or is_text != (name in encoder.categories):
                kind = "texts" if name in encoder.categories else "numbers"
                raise DataError(f"the validation part has no column {shown(name)} of {kind}")
        x = encoder(columns)
    elif None not in (data.feature_names, other.feature_names) and (
        data.feature_names != other.feature_names
    ):
        raise DataError(
            f"the features of the validation part have other names than those of {data.name}; "
            "give both the same, in the same order (validation)"
        )
    return _Rows(x, y, mask, other.label_names, groups=_group_names(other, part))


def _group_names(part: Dataset, name: str = "train") -> NDArray[Any] | None:
    """Returns the names of the groups of a part's rows, or None if there are none."""
    numbers = getattr(part, f"groups_{name}")
    if numbers is None or part.group_names is None:
        return None
    names: NDArray[Any] = np.array(part.group_names, str)[numbers]
    return names
