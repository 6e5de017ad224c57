"""The data set in a table of any format: its labels, its features, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mllosses_jax._core.text import did_you_mean, shown
from mllosses_jax.data._table import Table
from mllosses_jax.data._table_features import read_features
from mllosses_jax.data._table_labels import find_labels, read_labels
from mllosses_jax.data._text import Drop, Labels, to_float
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError

_UNNAMED = ("", "Unnamed: 0", "__index_level_0__")  # what pandas writes for its index
_COUNTERS = ("id", "index")


def data_set_of(table: Table, *, name: str, labels: Labels, drop: Drop) -> Dataset:
    """Returns the data set in a table.

    Labels are what `read_labels` finds in the label columns; all other columns are features, as
    `read_features` has it, except an index. An index has no name, or is called id or index and
    counts the rows from 0 or 1.

    Args:
        table: the table.
        name: the name of the data set.
        labels: the names of the label columns, or their number if they are the last ones.
        drop: the names of columns to leave out.

    Returns:
        A data set without a test part, whose features are encoded anew when one is split off.

    Raises:
        DataError: there is no label or no feature, or a column cannot be read.
    """
    dropped = dropped_columns(tuple(table.columns), drop)
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
    )


def dropped_columns(columns: Sequence[str], drop: Drop) -> tuple[str, ...]:
    """Returns the columns that the caller leaves out, without repetition; raises if one is absent.

    Example:
        >>> dropped_columns(("a", "b"), "b")
        ('b',)
    """
    names = (drop,) if isinstance(drop, str) else tuple(drop or ())
    for name in names:
        if name not in columns:
            raise DataError(
                f"{shown(name)} is not a column; give drop= with names that the file has"
                f"{did_you_mean(name, columns)}"
            )
    return tuple(dict.fromkeys(names))


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
