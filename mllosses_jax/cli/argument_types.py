"""What the options of the command take: each returns a value, or says what it must be."""

from __future__ import annotations

import argparse
import math


def finite(text: str) -> float:
    """Returns a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}")
    return number


def from_zero(text: str) -> float:
    """Returns a finite number of at least 0."""
    number = finite(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text!r}")
    return number


def positive(text: str) -> int:
    """Returns a whole number of at least 1."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number above zero, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """Returns a whole number that a seed may be."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, got {text!r}")
    return int(text)


def columns(text: str) -> int | list[str]:
    """Returns which columns are labels: how many at the end, or their names."""
    return int(text) if text.isdecimal() else [name.strip() for name in text.split(",")]
