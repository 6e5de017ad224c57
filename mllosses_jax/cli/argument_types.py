"""Argument types of the command's options: each returns a value or says what it must be."""

from __future__ import annotations

import argparse
import math

from mllosses_jax._core.schema import LARGEST
from mllosses_jax._core.text import shown
from mllosses_jax.data._text import to_float, to_whole


def finite(text: str) -> float:
    """Returns a number that float32 can hold."""
    try:
        number = to_float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= LARGEST:
        raise argparse.ArgumentTypeError(f"must be a number, got {shown(text)}")
    return number


def from_zero(text: str) -> float:
    """Returns a finite number that is at least 0."""
    number = finite(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {shown(text)}")
    return number


def share(text: str) -> float:
    """Returns a number between 0 and 1, and not either of them."""
    number = finite(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {shown(text)}")
    return number


def guarantee(text: str) -> tuple[str, float]:
    """Returns what is promised, recall or precision, and its level."""
    name, equals, level = text.partition("=")
    if name not in ("recall", "precision") or not equals:
        raise argparse.ArgumentTypeError(
            f"must be recall=LEVEL or precision=LEVEL, such as recall=0.9, got {shown(text)}"
        )
    return name, share(level)


def positive(text: str) -> int:
    """Returns a whole number that can be a count: at least 1 and below 2^31."""
    number = to_whole(text)
    if not number or number >= 2**31:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 1 to 2147483647, got {shown(text)}"
        )
    return number


def seed(text: str) -> int:
    """Returns a whole number that can be a seed."""
    number = to_whole(text)
    if number is None or number >= 2**31:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to 2147483647, got {shown(text)}"
        )
    return number


def columns(text: str) -> int | list[str]:
    """Returns which columns are labels: the number of columns at the end, or their names."""
    if text.isdecimal():
        return positive(text)
    return names(text)


def names(text: str) -> list[str]:
    """Returns names that are separated by commas."""
    return [name.strip() for name in text.split(",")]
