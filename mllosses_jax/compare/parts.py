"""The parts of the training rows that validate: folds, or one part of each seed's own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data import split

FEW_ROWS = 1000
FOLDS_OF_FEW, FOLDS = 5, 3
FRACTION = 0.2  # of the rows, in a seed's own part

Rows = NDArray[np.intp]


class Part(NamedTuple):
    """Rows to train on, and the rows that validate what was learnt there."""

    train: Rows
    validation: Rows


def folds(y: NDArray[np.bool_], mask: NDArray[np.bool_] | None, *, seed: int = 0) -> list[Part]:
    """Returns parts of which each row validates one: five below 1,000 rows, else three.

    Each fold is cut from the rows that are left by iterative stratification, so that rare labels
    are in as many folds as they have positives for.
    """
    count = FOLDS_OF_FEW if len(y) < FEW_ROWS else FOLDS
    left, parts = np.arange(len(y)), []
    for number in range(count, 1, -1):
        known = None if mask is None else mask[left]
        rest, part = split(y[left], 1 / number, seed=seed, mask=known)
        parts.append(left[part])
        left = left[rest]
    parts.append(left)
    return [Part(np.setdiff1d(np.arange(len(y)), part), part) for part in parts]


def draws(y: NDArray[np.bool_], mask: NDArray[np.bool_] | None, num_seeds: int) -> list[Part]:
    """Returns a stratified fifth of the rows for each seed; below 1,000 rows folds."""
    if len(y) < FEW_ROWS:
        return folds(y, mask)
    return [Part(*split(y, FRACTION, seed=seed, mask=mask)) for seed in range(num_seeds)]
