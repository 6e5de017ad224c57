"""The parts of the training rows held out for validation: folds, or a part for each seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data import split

FEW_ROWS = 1000
FOLDS_OF_FEW, FOLDS = 5, 3
DRAWS = 5  # number of seeds that have their own part

Rows = NDArray[np.intp]


class Part(NamedTuple):
    """Rows to train on, and rows to validate the trained model on."""

    train: Rows
    validation: Rows


def folds(y: NDArray[np.bool_], mask: NDArray[np.bool_] | None) -> list[Part]:
    """Returns folds, with each row in one validation part: five below 1,000 rows, else three."""
    return _cut(y, mask, FOLDS_OF_FEW if len(y) < FEW_ROWS else FOLDS)


def draws(y: NDArray[np.bool_], mask: NDArray[np.bool_] | None, num_seeds: int) -> list[Part]:
    """Returns a fifth of the rows for each seed up to the fifth, or folds below 1,000 rows.

    No row is in two parts: thresholds are tuned on all parts together, so no row counts twice.
    """
    if len(y) < FEW_ROWS:
        return folds(y, mask)
    return _cut(y, mask, DRAWS)[:num_seeds]


def _cut(y: NDArray[np.bool_], mask: NDArray[np.bool_] | None, count: int) -> list[Part]:
    """Returns validation parts of equal size, with each row in one of them.

    Iterative stratification splits each part off the remaining rows, so that rare labels are in as
    many parts as they have positives for.
    """
    left, parts = np.arange(len(y)), []
    for number in range(count, 1, -1):
        known = None if mask is None else mask[left]
        rest, part = split(y[left], 1 / number, seed=0, mask=known)
        parts.append(left[part])
        left = left[rest]
    parts.append(left)
    return [Part(np.setdiff1d(np.arange(len(y)), part), part) for part in parts]
