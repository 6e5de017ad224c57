"""CSV files as tables: a header, and rows with one cell per column."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from mllosses_jax.data._text_files import read_text
from mllosses_jax.data.errors import DataError

_SEPARATORS = (",", ";", "\t", "|")
_WITH_COMMA = re.compile(r"\s*[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?\s*")
_WITH_POINT = re.compile(r"\s*[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?\s*")


class Row(NamedTuple):
    """The cells of a row, and the line of the file on which it ends."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class CsvTable:
    """A header and the rows below it.

    Attributes:
        line: the line of the header.
        columns: the names in the header.
        decimal_commas: whether 1,5 can be a number, which it can between semicolons.
    """

    line: int
    columns: tuple[str, ...]
    decimal_commas: bool
    _rows: list[Row]

    def check_header(self, *, is_cell: Callable[[str], bool], what: str) -> None:
        """Raises if every name could be a cell of `what`, unless the names are 0, 1, 2, ..."""
        counted = tuple(str(j) for j in range(len(self.columns)))
        if all(map(is_cell, self.columns)) and self.columns != counted:
            raise DataError(
                f"the header reads like a row of {what} ({', '.join(self.columns)[:40]}); begin "
                "the file with a line of names, which may be 0, 1, 2 and so on",
                line=self.line,
            )

    def rows(self) -> list[Row]:
        """Returns the rows; raises if there are none, or if one is not as long as the header."""
        if not self._rows:
            raise DataError("no rows below the header; add one per sample", line=self.line)
        width = len(self.columns)
        for line, cells in self._rows:
            if len(cells) != width:
                raise DataError(
                    f"{len(cells)} cells under a header of {width}; every row needs one cell per "
                    "column, and a cell that contains the separator needs quotes",
                    line=line,
                )
        return self._rows


def read_csv_table(path: Path, separator: str | None = None) -> CsvTable:
    """Returns the table in a CSV file.

    A blank line is skipped, unless the header has one name: then it is an empty cell.

    Args:
        path: the file.
        separator: what separates cells; None takes the comma, semicolon, tab or bar, whichever
            splits the first two rows into the same number of cells and into most.

    Raises:
        DataError: the file is not valid CSV.
    """
    file = io.StringIO(read_text(path), newline="")
    separator = separator or _separator(file)
    # `strict` detects a quote that is never closed, which would swallow the rest of the file.
    reader = csv.reader(file, delimiter=separator, strict=True)
    try:
        rows = [Row(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataError(
            f"is not valid CSV ({error}); check the quotes", line=reader.line_num
        ) from None
    place = next(k for k, row in enumerate(rows) if row.cells)
    header, below = rows[place], rows[place + 1 :]
    if len(header.cells) == 1:
        below = [Row(line, cells or [""]) for line, cells in below]
    columns = tuple(name.strip() for name in header.cells)
    return CsvTable(header.line, columns, separator == ";", [row for row in below if row.cells])


def _separator(file: io.StringIO) -> str:
    best, most = ",", 1
    for separator in _SEPARATORS:
        try:
            reader = csv.reader(file, delimiter=separator, strict=True)
            widths = [len(cells) for cells in islice(filter(None, reader), 2)]
        except csv.Error:  # which is reported when the whole file is read
            widths = [1]
        file.seek(0)
        if widths[0] > most and len(set(widths)) == 1:
            best, most = separator, widths[0]
    return best


def with_points(cells: Sequence[str], what: str) -> Sequence[str]:
    """Returns the cells of a column or a line with decimal points in place of decimal commas."""
    commas = {cell for cell in cells if "," in cell and _WITH_COMMA.fullmatch(cell)}
    if not commas:
        return cells
    point = next((cell for cell in cells if _WITH_POINT.fullmatch(cell)), None)
    if point is not None:
        raise DataError(
            f"{what} has decimal commas ({min(commas).strip()}) and decimal points "
            f"({point.strip()}); use one of them"
        )
    return [cell.replace(",", ".") if cell in commas else cell for cell in cells]
