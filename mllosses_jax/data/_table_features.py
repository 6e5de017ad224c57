"""The feature columns of a table: numbers, or texts that are categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._csv_table import with_points
from mllosses_jax.data._table import Table, first_known, is_missing
from mllosses_jax.data._text import LARGEST, WORDS, check_names, feature_positions, to_float
from mllosses_jax.data.columns import Categories, Column, ColumnEncoder
from mllosses_jax.data.errors import DataError

# A column with more texts than this, and fewer than two rows for each, is no category: it is
# identifiers or prose, and says nothing about other rows.
_FEW_TEXTS = 20


def read_features(table: Table, names: Iterable[str]) -> dict[str, Column]:
    """Returns the columns of these names; a column of lists becomes one column per entry.

    A column holds numbers if at least half of its known cells are numbers; then all must be. Yes
    and no, or true and false, are 1 and 0. Any other column of texts holds categories.

    Raises:
        DataError: a column holds something else.
    """
    found: list[tuple[str, Column]] = []
    for name in names:
        found += _columns(table, name)
    check_names([name for name, _ in found], "column", table.header_line)
    return dict(found)


def read_features_of(table: Table, encoder: ColumnEncoder) -> dict[str, Column]:
    """Returns the columns that an encoder was fitted to, of the kinds that they had then.

    Raises:
        DataError: a column is missing, or does not hold numbers although it did then.
    """
    # The columns of a list are not in the table, but the list is.
    sources = {
        name: name if name in table.columns else name.rpartition("[")[0] or name
        for name in encoder.columns
    }
    feature_positions(tuple(sources.values()), tuple(table.columns), table.header_line)
    found: dict[str, Column] = {}
    for source in dict.fromkeys(sources.values()):
        found |= _columns(table, source, is_text=source in encoder.categories)
    feature_positions(encoder.columns, tuple(found), table.header_line)
    return found


def _columns(table: Table, name: str, *, is_text: bool | None = None) -> list[tuple[str, Column]]:
    """Returns a column, or those of its lists; `is_text` is None if the cells decide its kind."""
    cells = table.columns[name]
    if is_text:
        texts = ["" if is_missing(cell) else str(cell).strip() for cell in table.cells(name)]
        return [(name, _coded(texts))]
    if isinstance(cells, np.ndarray):
        return [(name, _checked(table, name, cells))]
    if isinstance(first_known(cells), list):
        vectors = _checked(table, name, _vectors(table, name, cells))
        return [(f"{name}[{j}]", column) for j, column in enumerate(vectors.T)]
    return [(name, _column(table, name, cells, may_be_text=is_text is None))]


def _column(table: Table, name: str, cells: Sequence[Any], *, may_be_text: bool) -> Column:
    if table.decimal_commas:
        cells = with_points(cells, f"column {name!r}")
    numbers = _plain_numbers(cells)
    if numbers is None:
        numbers = [_number(table, name, cells, row) for row in range(len(cells))]
        lacking = sum(map(is_missing, cells))
        texts = numbers.count(None)
        if texts == len(cells) - lacking and _are_words(cells):
            numbers = [WORDS.get(str(cell).strip().lower(), np.nan) for cell in cells]
        elif may_be_text and 2 * texts > len(cells) - lacking:
            return _categories(table, name, cells)
        elif texts:
            row = numbers.index(None)
            raise table.error(
                f"feature {name!r} is {shown(cells[row])}, not a number; correct it, write ? if it "
                "is missing, or give drop= with the name of the column",
                row,
            )
    return _checked(table, name, np.array(numbers, np.float64))


def _plain_numbers(cells: Sequence[Any]) -> list[Any] | None:
    """Returns the numbers of a column of texts that are all numbers, which is the usual case."""
    try:
        joined = "".join(cells)
        # The checks of `to_float` are made for all cells at once.
        if joined.isascii() and "_" not in joined:
            return [float(cell) for cell in cells]
    except (TypeError, ValueError):
        pass
    return None


def _are_words(cells: Sequence[Any]) -> bool:
    """Returns whether all known cells are yes or no, or true or false."""
    return all(is_missing(cell) or str(cell).strip().lower() in WORDS for cell in cells)


def _number(table: Table, name: str, cells: Sequence[Any], row: int) -> float | None:
    """Returns the number in a cell, NaN if it is missing, or None if it is another text."""
    cell = cells[row]
    if is_missing(cell):
        return np.nan
    try:
        if isinstance(cell, str):
            return to_float(cell.strip())
        if isinstance(cell, int | float):
            return float(cell)
    except ValueError:
        return None
    except OverflowError:  # a whole number beyond any float
        return np.inf
    raise table.error(
        f"feature {name!r} is a {type(cell).__name__}; numbers and texts are read, so convert it, "
        "or give drop= with the name of the column",
        row,
    )


def _categories(table: Table, name: str, cells: Sequence[Any]) -> Column:
    texts = ["" if is_missing(cell) else str(cell).strip() for cell in cells]
    found = _coded(texts)
    known = len(texts) - texts.count("")
    if len(found.values) > max(_FEW_TEXTS, known / 2):
        raise DataError(
            f"column {name!r} has {len(found.values)} different texts in {known} rows, too many "
            "for categories; give drop= with its name, or make features of it",
            line=table.header_line,
        )
    return found


def _coded(texts: Sequence[str]) -> Categories:
    """Returns texts, of which those that are missing are empty, as categories."""
    values = tuple(sorted(set(texts) - {""}))
    place = {text: code for code, text in enumerate(values)}
    return Categories(np.array([place.get(text, -1) for text in texts], np.int32), values)


def _vectors(table: Table, name: str, cells: Sequence[Any]) -> NDArray[np.float64]:
    """Returns a column of lists as a matrix."""
    size = len(first_known(cells))
    for row, cell in enumerate(cells):
        if not isinstance(cell, list) or len(cell) != size:
            what = f"{len(cell)} numbers" if isinstance(cell, list) else shown(cell)
            raise table.error(
                f"feature {name!r} is {what} instead of a list of {size} numbers, as in the rows "
                "above; make all lists equally long",
                row,
            )
    try:
        matrix = np.array(cells, np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(())
    if matrix.shape != (len(cells), size):
        raise DataError(
            f"feature {name!r} has a list of other things than numbers; write numbers, and null "
            "for a missing one"
        )
    return matrix


def _checked(table: Table, name: str, numbers: NDArray[Any]) -> NDArray[np.float32]:
    """Returns numbers as float32, which must hold them."""
    numbers = numbers.astype(np.float64)
    beyond = np.abs(numbers) > LARGEST
    if beyond.any():
        row = int(np.argwhere(beyond)[0][0])
        value = numbers[beyond].flat[0]
        raise table.error(
            f"feature {name!r} is {shown(str(value))}, beyond float32; correct or rescale it", row
        )
    return numbers.astype(np.float32)
