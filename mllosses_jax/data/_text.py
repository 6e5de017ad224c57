"""What the readers of text files share: decoding, cells, label columns and the memory limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mllosses_jax.data.errors import DataError

# Which columns are labels, or how many: what a caller says about a file that does not.
Labels: TypeAlias = int | Sequence[str] | None

# Models read dense float32 features. A sparse file of a few megabytes can describe a matrix far
# beyond any memory; past this size it is refused before anything is allocated.
MAX_DENSE_BYTES = 4 * 2**30

_LARGEST = float(np.finfo(np.float32).max)
_LABEL_VALUES = {"0": False, "1": True, "false": False, "true": True}
_UNKNOWN = {"", "?", "nan"}


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file (a byte order mark is dropped); refuse an empty one."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError("is not UTF-8; save it as UTF-8", path=path, line=line) from None
    if not text.strip():
        raise DataError("the file is empty; it needs a header and rows", path=path)
    return text


def check_dense_size(rows: int, columns: int, what: str, bytes_per_value: int) -> None:
    """Refuse a dense matrix larger than `MAX_DENSE_BYTES`."""
    size = rows * columns * bytes_per_value
    if size > MAX_DENSE_BYTES:
        raise DataError(
            f"{what} ({rows} x {columns}) would take {size / 2**30:.1f} GiB as a dense matrix, "
            f"more than {MAX_DENSE_BYTES / 2**30:.0f}; keep fewer rows or columns"
        )


def parse_number(text: str, column: str, line: int) -> float:
    """Return the finite number in a feature cell."""
    text = text.strip()
    if text.lower() in _UNKNOWN:
        raise DataError(
            f"feature {column!r} is missing ({text or 'empty'}); fill it in, for example with the "
            "column's mean, or drop the row",
            line=line,
        )
    try:
        number = float(text)
    except ValueError:
        raise DataError(
            f"feature {column!r} is {text!r}, not a number; drop the column or code it as numbers",
            line=line,
        ) from None
    if not abs(number) <= _LARGEST:
        raise DataError(
            f"feature {column!r} is {text!r}, beyond float32; correct the value or rescale it",
            line=line,
        )
    return number


def parse_numbers(cells: Sequence[str], columns: Sequence[str], line: int) -> list[float]:
    """Return the finite numbers in the feature cells of a row."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        numbers = []
    if len(numbers) == len(cells) and all(abs(number) <= _LARGEST for number in numbers):
        return numbers
    return [parse_number(*pair, line) for pair in zip(cells, columns, strict=True)]


def parse_label(text: str, column: str, line: int) -> bool | None:
    """Return the value of a label cell, or None when it is unknown."""
    text = text.strip().lower()
    if text in _LABEL_VALUES:
        return _LABEL_VALUES[text]
    if text in _UNKNOWN:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number not in (0.0, 1.0):
        raise DataError(
            f"label {column!r} is {text!r}; labels are 0 or 1, and ? when unknown", line=line
        )
    return number == 1.0


def check_unique(names: Sequence[str], what: str, line: int | None = None) -> None:
    """Refuse a name that is there twice."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{what} {repeated[0]!r} is there twice; rename one", line=line)


def label_positions(labels: int | Sequence[str], columns: Sequence[str]) -> list[int]:
    """Return the positions of the label columns that the caller named or counted."""
    if isinstance(labels, int):
        if not 1 <= labels < len(columns):
            raise DataError(
                f"labels={labels} of {len(columns)} columns; a count is at least 1 and leaves a "
                "feature"
            )
        return list(range(len(columns) - labels, len(columns)))
    names = [labels] if isinstance(labels, str) else list(labels)
    place = {name: position for position, name in enumerate(columns)}
    unknown = [name for name in names if name not in place]
    if unknown:
        known = ", ".join(map(repr, columns[:4])) + (", ..." if len(columns) > 4 else "")
        raise DataError(f"label {unknown[0]!r} is not a column; the columns are {known}")
    return [place[name] for name in names]
