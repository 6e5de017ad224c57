"""The one error of the readers: what is wrong, where, and how to mend it."""

from __future__ import annotations

from pathlib import Path


class DataError(ValueError):
    """Data that cannot be used, told in one line: file, line, problem and cure.

    Args:
        problem: what is wrong and how to mend it.
        path: the file, where one is involved.
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
