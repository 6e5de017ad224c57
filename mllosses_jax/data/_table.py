"""Tables as files have them: named columns of cells, with the place of each row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._text import is_unknown
from mllosses_jax.data.errors import DataError

# One cell per row: text, numbers, None, or lists; an array if all are numbers.
Cells: TypeAlias = Sequence[Any] | NDArray[Any]


@dataclass(frozen=True)
class Table:
    """Columns of equally many cells.

    Attributes:
        columns: the cells of each column, by name. The name of the first may be empty.
        num_rows: the number of rows.
        lines: the line of each row in the file, or None if it has no lines.
        header_line: the line of the names, or None.
        decimal_commas: whether the text 1,5 can be a number.
    """

    columns: Mapping[str, Cells]
    num_rows: int
    lines: Sequence[int] | None = None
    header_line: int | None = None
    decimal_commas: bool = False

    def cells(self, column: str) -> Sequence[Any]:
        """Returns the cells of a column as objects of Python."""
        cells = self.columns[column]
        return cells.tolist() if isinstance(cells, np.ndarray) else cells

    def error(self, problem: str, row: int) -> DataError:
        """Returns the error of a cell, with the line of its row, or else its number."""
        if self.lines is not None:
            return DataError(problem, line=self.lines[row])
        return DataError(f"row {row} (from 0): {problem}")


def is_missing(cell: Any) -> bool:
    """Returns whether a cell says nothing: it is None, NaN, or the text of an unknown value."""
    if isinstance(cell, str):
        return is_unknown(cell)
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def first_known(cells: Sequence[Any]) -> Any:
    """Returns the first cell that is not missing, or None."""
    return next((cell for cell in cells if not is_missing(cell)), None)
