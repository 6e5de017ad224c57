"""The rows that models are validated on: the validation part of the data set, if it has one.

Otherwise they are training rows that are held out: folds, or a part for each seed. If the data set
has groups, all rows of a group are in one part.
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


class Pool(NamedTuple):
    """The rows among which those for validation are: the validation part, or the training part.

    Attributes:
        x: features (P, ...).
        y: labels (P, L).
        known: (P, L), True where a label is known.
        file_rows: (P,), the number of each row in its file.
    """

    x: NDArray[np.float32]
    y: NDArray[np.bool_]
    known: NDArray[np.bool_]
    file_rows: Rows


class Part(NamedTuple):
    """Rows of the training part to train on, and rows of the pool to validate the model on."""

    train: Rows
    validation: Rows


def pool(dataset: Dataset) -> Pool:
    """Returns the rows among which those for validation are."""
    part = "train" if dataset.y_validation is None else "validation"
    x, y, mask, file_rows = (
        getattr(dataset, f"{kind}_{part}") for kind in ("x", "y", "mask", "rows")
    )
    return Pool(x, y, np.ones_like(y) if mask is None else mask, file_rows)


def num_folds(num_rows: int) -> int:
    """Returns the number of folds: five below 1,000 rows, else three."""
    return FOLDS_OF_FEW if num_rows < FEW_ROWS else FOLDS


def num_of_folds(dataset: Dataset) -> int:
    """Returns the number of parts that `folds` returns."""
    return 1 if dataset.y_validation is not None else num_folds(len(dataset.y_train))


def folds(dataset: Dataset) -> list[Part]:
    """Returns folds, with each training row in one validation part; or the one part given."""
    if dataset.y_validation is not None:
        return [_given(dataset, dataset.y_validation)]
    return _cut(dataset, num_folds(len(dataset.y_train)))


def draws(dataset: Dataset, num_seeds: int) -> list[Part]:
    """Returns a fifth of the rows for each seed up to the fifth, or folds below 1,000 rows.

    No row is in two parts: thresholds are tuned on all parts together, so no row counts twice.
    """
    if dataset.y_validation is not None or len(dataset.y_train) < FEW_ROWS:
        return folds(dataset)
    return _cut(dataset, DRAWS)[:num_seeds]


def check_groups(dataset: Dataset, settings: Settings) -> None:
    """Raises a ComparisonError if groups are fewer than parts, or in two parts that are given."""
    groups, mask = dataset.groups_train, dataset.mask_train
    if groups is None:
        return
    if dataset.y_validation is not None:
        _check_given_groups(dataset, groups)
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


def _check_given_groups(dataset: Dataset, groups: NDArray[np.intp]) -> None:
    """Raises a ComparisonError if a group of the validation part is in the training part."""
    if dataset.groups_validation is None:
        return
    shared = np.isin(dataset.groups_validation, groups)
    if shared.any():
        count = len(np.unique(dataset.groups_validation[shared]))
        assert dataset.rows_validation is not None
        raise ComparisonError(
            f"{count} group{'s' * (count != 1)} of the validation part "
            f"{'are' if count != 1 else 'is'} in the training part too, first in validation row "
            f"{dataset.rows_validation[shared][0]} (from 0); leave the rows of a group out of one "
            "of the parts (validation)"
        )


def _given(dataset: Dataset, labels: NDArray[np.bool_]) -> Part:
    """Returns all training rows and all rows of the validation part."""
    return Part(np.arange(len(dataset.y_train)), np.arange(len(labels)))


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
