"""The label columns of a table: a column for each label, or one with the labels of every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._table import Table, first_known, is_missing
from mllosses_jax.data._text import (
    Labels,
    check_dense_size,
    is_label,
    is_unknown,
    label_positions,
    parse_label,
    to_float,
    to_whole,
)
from mllosses_jax.data.errors import DataError

PREFIXES = ("label:", "label_")
LISTS = "labels"  # the name of a column that holds the labels of every row
SEPARATORS = (";", "|", ",")


class FoundLabels(NamedTuple):
    """Names, labels as bool (N, L), and bool (N, L) that is True where a label is known."""

    names: tuple[str, ...]
    y: NDArray[np.bool_]
    mask: NDArray[np.bool_]


def find_labels(columns: Sequence[str], given: Labels, line: int | None) -> list[str]:
    """Returns the names of the label columns, which the caller gives or their names tell.

    Raises:
        DataError: no column is a label, or the caller names one that is not there.
    """
    if given is not None:
        found = [columns[at] for at in label_positions(given, columns)]
    else:
        found = [name for name in columns if name.startswith(PREFIXES)]
        if not found and LISTS in columns:
            found = [LISTS]
    if not found:
        raise DataError(
            "no column is a label; start their names with 'label:', call the only one 'labels', or "
            "give labels= with their names or their number",
            line=line,
        )
    return found


def read_labels(table: Table, columns: Sequence[str]) -> FoundLabels:
    """Returns the labels in these columns.

    A column holds 0 and 1 (or no and yes, or false and true). If it is the only one, it may instead
    hold the names of the labels of each row, or lists. A cell that says nothing is unknown.

    Raises:
        DataError: a cell is none of this.
    """
    if len(columns) == 1 and not columns[0].startswith(PREFIXES):
        cells = table.cells(columns[0])
        if isinstance(first_known(cells), list):
            return _from_lists(table, columns[0], cells)
        known = [cell for cell in cells if not is_missing(cell)]
        if 2 * sum(is_label(str(cell)) for cell in known) < len(known):
            return _from_names(table, columns[0], _split(table, columns[0], cells))
    names = [name[6:].strip() if name.startswith(PREFIXES) else name for name in columns]
    if not all(names):
        raise DataError(
            f"label {names.index('') + 1} has no name; give it one", line=table.header_line
        )
    y = np.zeros((table.num_rows, len(columns)), np.bool_)
    mask = np.ones(y.shape, np.bool_)
    for j, name in enumerate(columns):
        texts = [
            cell if isinstance(cell, str) else "" if is_missing(cell) else str(cell)
            for cell in table.cells(name)
        ]
        values: dict[str, bool | None] = {}
        for text in dict.fromkeys(texts):
            try:
                values[text] = parse_label(text, name)
            except DataError as error:
                raise table.error(error.problem, texts.index(text)) from None
        y[:, j] = [values[text] is True for text in texts]
        mask[:, j] = [values[text] is not None for text in texts]
    return FoundLabels(tuple(names), y, mask)


def _split(table: Table, column: str, cells: Sequence[Any]) -> list[list[str] | None]:
    """Returns the names in each cell; the separator is the first of ; | , that occurs."""
    texts = [None if is_missing(cell) else str(cell) for cell in cells]
    separator = next(
        (each for each in SEPARATORS if any(text and each in text for text in texts)), None
    )
    found: list[list[str] | None] = []
    for row, text in enumerate(texts):
        if text is None:
            found.append(None)
            continue
        parts = text.split(separator) if separator else [text]
        names = [part.strip() for part in parts if part.strip()]
        for name in names:
            _check_class(table, column, name, row)
        found.append(names)
    return found


def _check_class(table: Table, column: str, name: str, row: int) -> None:
    """Raises for a number that is no class, such as -1 or 0.5, of a column that holds values."""
    try:
        to_float(name)
    except ValueError:
        return
    if to_whole(name) is None and not is_unknown(name):
        raise table.error(
            f"label {column!r} is {shown(name)}; labels are 0 or 1, or ? if unknown, or names",
            row,
        )


def _from_lists(table: Table, column: str, cells: Sequence[Any]) -> FoundLabels:
    """Returns labels from lists of names, or from lists of 0 and 1 that are equally long."""
    lists = [None if is_missing(cell) else cell for cell in cells]
    entries: list[Any] = []
    for row, cell in enumerate(lists):
        if cell is not None and not isinstance(cell, list):
            raise table.error(
                f"label {column!r} is {shown(cell)} but a list in other rows; write lists, and "
                "null where the labels are unknown",
                row,
            )
        entries += cell or ()
    if all(isinstance(entry, str) for entry in entries):
        return _from_names(table, column, lists)
    size = max(len(cell) for cell in lists if cell is not None)
    check_dense_size(len(lists), size, "labels", 1)
    y = np.zeros((len(lists), size), np.bool_)
    mask = np.zeros(y.shape, np.bool_)
    for row, cell in enumerate(lists):
        if cell is None:
            continue
        if len(cell) != size or not all(each in (0, 1) or is_missing(each) for each in cell):
            raise table.error(
                f"label {column!r} is {shown(cell)}; write a list of names as texts, or one 0 or 1 "
                f"for each label ({size} in the longest list)",
                row,
            )
        y[row] = [each == 1 for each in cell]
        mask[row] = [not is_missing(each) for each in cell]
    return FoundLabels(tuple(f"label {j}" for j in range(size)), y, mask)


def _from_names(table: Table, column: str, names: Sequence[Sequence[str] | None]) -> FoundLabels:
    """Returns labels from the names of those that each row has, or None if they are unknown."""
    classes = {name for each in names for name in each or ()}
    if not classes:
        raise DataError(
            f"column {column!r} names no label in any row; write names such as a;b",
            line=table.header_line,
        )
    whole = all(to_whole(name) is not None for name in classes)
    ordered = sorted(classes, key=lambda name: (to_whole(name) or 0, name) if whole else name)
    check_dense_size(len(names), len(ordered), "labels", 1)
    place = {name: j for j, name in enumerate(ordered)}
    y = np.zeros((len(names), len(ordered)), np.bool_)
    mask = np.zeros(y.shape, np.bool_)
    for row, each in enumerate(names):
        if each is None:
            continue
        unknown = next((name for name in each if is_unknown(name)), None)
        if unknown is not None:
            raise table.error(
                f"label {column!r} has {shown(unknown)} among its names; leave it out, or write ? "
                "alone if the labels of the row are unknown",
                row,
            )
        y[row, [place[name] for name in each]] = True
        mask[row] = True
    return FoundLabels(tuple(ordered), y, mask)
