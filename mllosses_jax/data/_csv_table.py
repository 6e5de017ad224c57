"""CSV files as tables: a header, and rows with one cell per column."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mllosses_jax.data._text import read_text
from mllosses_jax.data.errors import DataError

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


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
    """

    line: int
    columns: tuple[str, ...]
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
                    "column, and cells with commas need quotes",
                    line=line,
                )
        return self._rows


def read_csv_table(path: Path) -> CsvTable:
    """Returns the table in a CSV file.

    A blank line is skipped, unless the header has one name: then it is an empty cell.

    Raises:
        DataError: the file is not valid CSV, or its separator is not the comma.
    """
    # `strict` detects a quote that is never closed, which would swallow the rest of the file.
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        rows = [Row(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise DataError(
            f"is not valid CSV ({error}); check the quotes", line=reader.line_num
        ) from None
    place = next(k for k, row in enumerate(rows) if row.cells)
    header, below = rows[place], rows[place + 1 :]
    if len(header.cells) == 1:  # The row below may have decimal commas.
        first = [header, *(row for row in below if row.cells)][:2]
        for separator, name in _OTHER_SEPARATORS.items():
            if all(separator in ",".join(row.cells) for row in first):
                raise DataError(
                    f"columns are separated by {name}; separate columns by commas",
                    line=header.line,
                )
        below = [Row(line, cells or [""]) for line, cells in below]
    columns = tuple(name.strip() for name in header.cells)
    return CsvTable(header.line, columns, [row for row in below if row.cells])
