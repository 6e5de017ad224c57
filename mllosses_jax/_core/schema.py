"""Checks of the fields of a file, one by one, with errors that name the field."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mllosses_jax._core.text import is_text, shown

LARGEST = float(np.finfo(np.float32).max)


def mapping(value: object, field: str, keys: Collection[str] | None = None) -> Mapping[str, Any]:
    """Returns an object, which must have exactly these keys if they are given.

    Raises:
        ValueError: if the value is not such an object.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"{field} must be an object, got {shown(value)}")
    if keys is not None and set(value) != set(keys):
        raise ValueError(f"{field} must hold {', '.join(keys)}, got {', '.join(map(str, value))}")
    return value


def named(value: object, field: str) -> Mapping[str, Any]:
    """Returns an object whose keys are label names.

    Raises:
        ValueError: if the value is not such an object, or a name is not valid.
    """
    found = mapping(value, field)
    if not found:
        raise ValueError(f"{field} must hold at least one label, got {{}}")
    for name in found:
        if not name or not is_text(name):
            raise ValueError(f"{field} must have names of whole characters, got {shown(name)}")
    return found


def number(
    value: object,
    field: str,
    low: float = -LARGEST,
    high: float = LARGEST,
    *,
    others: Collection[str | None] = (),
) -> float:
    """Returns a number within bounds, or one of `others`: "inf", "-inf", or None for NaN.

    Raises:
        ValueError: if the value is none of these.
    """
    if isinstance(value, str | None) and value in others:
        return math.nan if value is None else float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and low <= value <= high):  # type: ignore[operator]
        bounds = "a finite number" if low <= -LARGEST else f"a number of at least {low:g}"
        bounds = f"a number from {low:g} to {high:g}" if high < LARGEST else bounds
        raise ValueError(f"{field} must be {bounds}, got {shown(value)}")
    return float(value)  # type: ignore[arg-type]


def whole(value: object, field: str) -> int:
    """Returns a whole number from 0 to 2³¹ − 1.

    Raises:
        ValueError: if the value is not such a number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(f"{field} must be a whole number from 0 to 2**31 - 1, got {shown(value)}")
    return value


def ascending(
    value: object, field: str, low: float = -LARGEST, high: float = LARGEST
) -> list[float]:
    """Returns a list of numbers within bounds that do not descend.

    Raises:
        ValueError: if the value is not such a list.
    """
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{field} must be a list of numbers, got {shown(value)}")
    found = [number(each, f"{field}[{place}]", low, high) for place, each in enumerate(value)]
    fall = next((j for j in range(1, len(found)) if found[j] < found[j - 1]), None)
    if fall is not None:
        raise ValueError(
            f"{field} must ascend, got {found[fall]:g} after {found[fall - 1]:g} at {fall}"
        )
    return found
