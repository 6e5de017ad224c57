"""The parts of the training rows held out for validation: folds, or a part for each seed.

If the data set has groups, all rows of a group are in one part.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset, split
from mllosses_jax.data.group_splits import split_groups

FEW_ROWS = 1000
FOLDS_OF_FEW, FOLDS = 5, 3
DRAWS = 5  # number of seeds that have their own part

Rows = NDArray[np.intp]


class Part(NamedTuple):
    """Rows to train on, and rows to validate the trained model on."""

    train: Rows
    validation: Rows


def num_folds(num_rows: int) -> int:
    """Returns the number of folds: five below 1,000 rows, else three."""
    return FOLDS_OF_FEW if num_rows < FEW_ROWS else FOLDS


def folds(dataset: Dataset) -> list[Part]:
    """Returns folds, with each training row in one validation part."""
    return _cut(dataset, num_folds(len(dataset.y_train)))


def draws(dataset: Dataset, num_seeds: int) -> list[Part]:
    """Returns a fifth of the rows for each seed up to the fifth, or folds below 1,000 rows.

    No row is in two parts: thresholds are tuned on all parts together, so no row counts twice.
    """
    if len(dataset.y_train) < FEW_ROWS:
        return folds(dataset)
    return _cut(dataset, DRAWS)[:num_seeds]


def check_groups(dataset: Dataset, settings: Settings) -> None:
    """Raises a ComparisonError if there are fewer groups than parts of the training rows."""
    groups, mask = dataset.groups_train, dataset.mask_train
    if groups is None:
        return
    if settings.model == "linear_head":
        needed, groups = 2, groups if mask is None else groups[mask.any(axis=1)]
    else:
        needed = DRAWS if settings.trains_in_steps else num_folds(len(groups))
    count = len(np.unique(groups))
    if count < needed:
        raise ComparisonError(
            f"{dataset.name} has {count} group{'s' * (count != 1)} in the training part, but it is "
            f"cut into {needed} parts, with each group in one; give at least {needed} (groups)"
        )


def _cut(dataset: Dataset, count: int) -> list[Part]:
    """Returns validation parts of equal size, with each row in one of them.

    Iterative stratification splits each part off the remaining rows, so that rare labels are in as
    many parts as they have positives for. Groups are dealt to all parts at once.
    """
    y, mask = dataset.y_train, dataset.mask_train
    every = np.arange(len(y))
    if dataset.groups_train is not None:
        # Unknown labels are 0 in y_train, so they do not count.
        parts = split_groups(y, dataset.groups_train, (1 / count,) * count)
        return [Part(np.setdiff1d(every, part), part) for part in parts]
    left, parts = every, []
    for number in range(count, 1, -1):
        known = None if mask is None else mask[left]
        rest, part = split(y[left], 1 / number, seed=0, mask=known)
        parts.append(left[part])
        left = left[rest]
    parts.append(left)
    return [Part(np.setdiff1d(every, part), part) for part in parts]
