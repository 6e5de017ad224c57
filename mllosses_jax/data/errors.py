"""The error of all readers, which says what is wrong, where, and how to fix it."""

from __future__ import annotations

from pathlib import Path


class DataError(ValueError):
    """An error in data that cannot be used, in one line: file, line, problem and remedy.

    Args:
        problem: what is wrong and how to fix it.
        path: the file, or None if no file is involved.
        line: the line of a text file, counted from 1.

    Example:
        >>> print(DataError("no rows; add data below the header", path=Path("a.csv"), line=1))
        a.csv, line 1: no rows; add data below the header
    """

    def __init__(self, problem: str, *, path: Path | None = None, line: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.line = line

    def __str__(self) -> str:
        place = "" if self.path is None else str(self.path)
        if self.line is not None:
            place += f"{', ' if place else ''}line {self.line}"
        return f"{place}: {self.problem}" if place else self.problem
