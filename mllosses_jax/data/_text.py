"""Shared parts of the readers: numbers, label cells and names, and the memory limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from mllosses_jax._core.memory import available_memory
from mllosses_jax._core.text import did_you_mean, is_text, shown
from mllosses_jax.data.errors import DataError

# Which columns are labels, or how many: the caller says so if the file does not.
Labels: TypeAlias = int | Sequence[str] | None

# The names of columns that the caller leaves out.
Drop: TypeAlias = Sequence[str] | None

# Models read dense float32 features. A sparse file of a few megabytes can describe a matrix that
# exceeds any memory. Beyond this size, or half of the available memory, it is refused before
# anything is allocated.
MAX_DENSE_BYTES = 4 * 2**30

LARGEST = float(np.finfo(np.float32).max)
WORDS = {"no": False, "false": False, "yes": True, "true": True}
_LABEL_VALUES = {"0": False, "1": True, **WORDS}
_UNKNOWN = {"", "?", "nan", "na"}
_MOST_DIGITS = 18  # longer whole numbers may not fit into an int64


def is_number(text: str) -> bool:
    """Returns whether a cell can hold a number, known or unknown."""
    try:
        to_float(text)
    except ValueError:
        return is_unknown(text)
    return True


def check_dense_size(rows: int, columns: int, what: str, bytes_per_value: int) -> None:
    """Raises if a dense matrix would exceed `MAX_DENSE_BYTES` or half of the available memory."""
    size = rows * columns * bytes_per_value
    room = min(MAX_DENSE_BYTES, available_memory() // 2)
    if size > room:
        raise DataError(
            f"{what} ({rows} x {columns}) would take {size / 2**30:.1f} GiB as a dense matrix, "
            f"more than the limit of {room / 2**30:.2g} GiB; keep fewer rows or columns"
        )


def is_unknown(text: str) -> bool:
    """Returns whether a cell marks its value as unknown: it is empty, ?, nan or NA."""
    return text.strip().lower() in _UNKNOWN


def is_label(text: str) -> bool:
    """Returns whether a cell can hold a label, known or unknown."""
    try:
        parse_label(text, "")
    except DataError:
        return False
    return True


def to_float(text: str) -> float:
    """Returns a number; unlike `float`, refuses underscores and digits of other scripts."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{shown(text)} is not a number")
    return float(text)


def to_whole(text: str) -> int | None:
    """Returns a whole number of at least 0, or None if the text is not one or is too large."""
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MOST_DIGITS else None


def parse_number(text: str, column: str, line: int) -> float:
    """Returns the finite number in a feature cell."""
    text = text.strip()
    if is_unknown(text):
        raise DataError(
            f"feature {column!r} is missing ({text or 'empty'}); fill it in, for example with the "
            "column's mean, or drop the row",
            line=line,
        )
    try:
        number = to_float(text)
    except ValueError:
        raise DataError(
            f"feature {column!r} is {shown(text)}, not a number; drop the column or code it as "
            "numbers",
            line=line,
        ) from None
    if not abs(number) <= LARGEST:
        raise DataError(
            f"feature {column!r} is {shown(text)}, beyond float32; correct or rescale it",
            line=line,
        )
    return number


def parse_label(text: str, column: str, line: int | None = None) -> bool | None:
    """Returns the value of a label cell, or None if it is unknown."""
    text = text.strip().lower()
    if text in _LABEL_VALUES:
        return _LABEL_VALUES[text]
    if text in _UNKNOWN:
        return None
    try:
        number = to_float(text)
    except ValueError:
        number = -1.0
    if number not in (0.0, 1.0):
        raise DataError(
            f"label {column!r} is {shown(text)}; labels are 0 or 1, or ? if unknown", line=line
        )
    return number == 1.0


def check_names(names: Sequence[str], what: str, line: int | None = None) -> None:
    """Raises if a name is empty, occurs twice, or is not text that a file can hold."""
    if not all(names):
        place = next(j for j, name in enumerate(names) if not name)
        raise DataError(f"{what} number {place + 1} is empty; fill it in", line=line)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"{what} {shown(repeated[0])} occurs twice; rename one", line=line)
    broken = next((name for name in names if not is_text(name)), None)
    if broken is not None:
        raise DataError(
            f"{what} {shown(broken)} has half a character (a lone surrogate); rename it", line=line
        )


def label_positions(labels: int | Sequence[str], columns: Sequence[str]) -> list[int]:
    """Returns the positions of the label columns that the caller named or counted."""
    if isinstance(labels, int):
        if not 1 <= labels < len(columns):
            raise DataError(
                f"labels={labels} of {len(columns)} columns; a count must be at least 1 and leave "
                "a feature"
            )
        return list(range(len(columns) - labels, len(columns)))
    names = [labels] if isinstance(labels, str) else list(labels)
    place = {name: position for position, name in enumerate(columns)}
    unknown = [name for name in names if name not in place]
    if unknown:
        known = ", ".join(map(shown, columns[:4])) + (", ..." if len(columns) > 4 else "")
        raise DataError(f"label {shown(unknown[0])} is not a column; the columns are {known}")
    return [place[name] for name in names]


def feature_positions(
    names: Sequence[str], columns: Sequence[str], line: int | None = None
) -> list[int]:
    """Returns the positions of the named features among columns, which may hold others too."""
    place = {name: position for position, name in enumerate(columns)}
    missing = [name for name in names if name not in place]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(
            f"feature {shown(missing[0])}{more}, with which the model was trained, is missing; add "
            f"it{did_you_mean(missing[0], columns)}",
            line=line,
        )
    return [place[name] for name in names]
