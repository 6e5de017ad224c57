"""Reader for CSV files: a header row, then one sample per row, with labels and features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._csv_table import read_csv_table
from mllosses_jax.data._text import (
    Labels,
    check_dense_size,
    check_names,
    feature_positions,
    is_number,
    label_positions,
    parse_label,
    parse_numbers,
)
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError

PREFIXES = ("label:", "label_")


def read_csv(path: Path, labels: Labels = None) -> Dataset:
    r"""Reads a CSV file with a header row.

    Labels are the columns whose names start with `label:` or `label_` (which is dropped from the
    name), or those the caller gives. A label cell is 0 or 1, or, if unknown, empty, `?`, `nan` or
    `NA`. All other columns are features and hold numbers. Blank lines are skipped.

    Args:
        path: the file.
        labels: the names of the label columns, or their number if they are the last ones.

    Returns:
        A data set without a test part.

    Raises:
        DataError: the file breaks one of these rules.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.csv")
        >>> _ = path.write_text("height,label:cat,label:dog\n1.5,0,1\n0.25,1,?\n")
        >>> data = read_csv(path)
        >>> data.label_names, data.mask_train.tolist()
        (('cat', 'dog'), [[True, True], [True, False]])
    """
    table = read_csv_table(path)
    columns, header_line = table.columns, table.line
    if labels is None or isinstance(labels, int):
        table.check_header(is_cell=is_number, what="numbers")
    if not all(columns):
        raise DataError(
            f"column {columns.index('') + 1} has no name; give it one, or leave the column out (in "
            "pandas, with index=False)",
            line=header_line,
        )
    check_names(columns, "column", header_line)
    label_at, label_names = _find_labels(columns, labels, header_line)
    feature_at = sorted(set(range(len(columns))) - set(label_at))
    feature_names = [columns[at] for at in feature_at]
    if not feature_at:
        raise DataError("all columns are labels; add a column of features", line=header_line)
    rows = table.rows()

    x = np.empty((len(rows), len(feature_at)), np.float32)
    y = np.zeros((len(rows), len(label_at)), np.bool_)
    mask = np.ones(y.shape, np.bool_)
    for i, (line, cells) in enumerate(rows):
        x[i] = parse_numbers([cells[at] for at in feature_at], feature_names, line)
        for j, at in enumerate(label_at):
            value = parse_label(cells[at], columns[at], line)
            y[i, j] = bool(value)
            mask[i, j] = value is not None
    return Dataset(
        name=path.stem,
        label_names=tuple(label_names),
        x_train=x,
        y_train=y,
        mask_train=mask,
        feature_names=tuple(feature_names),
    )


def read_csv_features(path: Path, names: Sequence[str]) -> NDArray[np.float32]:
    """Reads the features of new rows.

    Args:
        path: the file; columns that are none of the features are left out.
        names: the names of the features, from the data set that the model was trained on.

    Returns:
        The features, (N, D), in the order of the names.

    Raises:
        DataError: a feature is missing, or the file is broken.
    """
    table = read_csv_table(path)
    check_names(table.columns, "column", table.line)
    at = feature_positions(names, table.columns, table.line)
    rows = table.rows()
    check_dense_size(len(rows), len(names), "features", 4)
    x = np.empty((len(rows), len(names)), np.float32)
    for i, (line, cells) in enumerate(rows):
        x[i] = parse_numbers([cells[j] for j in at], names, line)
    return x


def _find_labels(columns: Sequence[str], labels: Labels, line: int) -> tuple[list[int], list[str]]:
    """Returns the positions and the names of the label columns."""
    if labels is not None:
        positions = label_positions(labels, columns)
    else:
        positions = [at for at, name in enumerate(columns) if name.startswith(PREFIXES)]
    if not positions:
        raise DataError(
            "no column is a label; start their names with 'label:', or give labels= with their "
            "names or their number",
            line=line,
        )
    names = [columns[at] for at in positions]
    names = [name[6:].strip() if name.startswith(PREFIXES) else name for name in names]
    if not all(names):
        raise DataError(f"label {names.index('') + 1} has no name; give it one", line=line)
    return positions, names
