"""The data set in a table of any format: its labels, its features, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import did_you_mean, shown
from mllosses_jax.data._table import Table, is_missing
from mllosses_jax.data._table_features import read_features
from mllosses_jax.data._table_labels import find_labels, read_labels
from mllosses_jax.data._text import Drop, Labels, to_float
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError

_UNNAMED = ("", "Unnamed: 0", "__index_level_0__")  # what pandas writes for its index
_COUNTERS = ("id", "index")


def data_set_of(
    table: Table, *, name: str, labels: Labels, drop: Drop, groups: str | None
) -> Dataset:
    """Returns the data set in a table.

    Labels are what `read_labels` finds in the label columns; all other columns are features, as
    `read_features` has it, except an index. An index has no name, or is called id or index and
    counts the rows from 0 or 1.

    Args:
        table: the table.
        name: the name of the data set.
        labels: the names of the label columns, or their number if they are the last ones.
        drop: the names of columns to leave out.
        groups: the column with the group of each row, which is no feature.

    Returns:
        A data set without a test part, whose features are encoded anew when one is split off.

    Raises:
        DataError: there is no label or no feature, or a column cannot be read.
    """
    dropped = dropped_columns(tuple(table.columns), drop)
    if groups is not None:
        dropped = tuple(dict.fromkeys((*dropped, check_column(groups, table.columns, "groups"))))
    kept = [column for column in table.columns if column not in dropped]
    label_columns = find_labels(kept, labels, table.header_line)
    others = [column for column in kept if column not in set(label_columns)]
    index = [column for column in others if _is_index(table, column)]
    features = [column for column in others if column not in index]
    if not features:
        raise DataError("all columns are labels; add a column of features", line=table.header_line)
    found = read_labels(table, label_columns)
    left_out = tuple(column or "(no name)" for column in (*index, *dropped))
    return Dataset.from_columns(
        read_features(table, features),
        left_out=left_out,
        name=name,
        label_names=found.names,
        y_train=found.y,
        mask_train=found.mask,
        groups_train=None if groups is None else groups_of(table, groups),
    )


def dropped_columns(columns: Sequence[str], drop: Drop) -> tuple[str, ...]:
    """Returns the columns that the caller leaves out, without repetition; raises if one is absent.

    Example:
        >>> dropped_columns(("a", "b"), "b")
        ('b',)
    """
    names = (drop,) if isinstance(drop, str) else tuple(drop or ())
    for name in names:
        check_column(name, columns, "drop")
    return tuple(dict.fromkeys(names))


def check_column(name: str, columns: Iterable[str], argument: str) -> str:
    """Returns the name of a column; raises a DataError that names the argument if it is absent."""
    known = tuple(columns)
    if name not in known:
        what = "names that the file has" if argument == "drop" else "a name that the file has"
        raise DataError(
            f"{shown(name)} is not a column; give {argument}= with {what}"
            f"{did_you_mean(name, known)}"
        )
    return name


def groups_of(table: Table, column: str) -> NDArray[np.str_]:
    """Returns the text of each row's group; raises a DataError if one is missing."""
    check_column(column, table.columns, "groups")
    cells = table.cells(column)
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise table.error(
                f"the group in column {shown(column)} is missing; give the row a group of its own "
                "if none is known",
                row,
            )
    return np.array([str(cell) for cell in cells])


def _is_index(table: Table, column: str) -> bool:
    if column in _UNNAMED:
        return True
    if column.lower() not in _COUNTERS:
        return False
    try:
        numbers = np.array([to_float(str(cell)) for cell in table.columns[column]])
    except ValueError:
        return False
    return bool((numbers - numbers[0] == np.arange(len(numbers))).all()) and numbers[0] in (0, 1)
