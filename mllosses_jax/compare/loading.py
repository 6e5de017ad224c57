"""The data set of a comparison, which has a test part and enough to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.data import DataError, Dataset, load, split
from mllosses_jax.data.dataset import PARTS, Part
from mllosses_jax.data.validation import Validation, add_validation

TEST_FRACTION, TEST_SEED = 0.2, 0
MIN_TRAINING_ROWS = 10


def load_data(
    data: str | PathLike[str] | Dataset,
    *,
    labels: int | Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    groups: str | ArrayLike | None = None,
    validation: Validation | None = None,
) -> Dataset:
    """Returns a data set with a test part: its own, or a fifth of the rows.

    Args:
        data: a data set, or what `mllosses_jax.data.load` takes.
        labels: the label columns of a table.
        drop: the columns of a table to leave out.
        groups: the column of a table with the group of each row, or the groups (N,).
        validation: the validation part, as `add_validation` takes it, or None for that of the data
            set, if it has one.

    Returns:
        The data set. If it had no test part, it is `data.with_test(0.2, seed=0)`.

    Raises:
        DataError: the data cannot be read, or a part of it has no known label.
        ComparisonError: `labels`, `drop` or a column of groups are given for a `Dataset`, or there
            are too few rows.
    """
    if not isinstance(data, str | PathLike | Dataset):
        raise ComparisonError(
            f"data must be a Dataset, a path or a name, got {type(data).__name__}"
        )
    column = groups if isinstance(groups, str) else None
    if not isinstance(data, Dataset):
        data = load(data, labels=labels, drop=drop, groups=column)
    elif labels is not None:
        raise ComparisonError(f"{data.name} names its labels itself; leave them out (labels)")
    elif drop is not None:
        raise ComparisonError(f"{data.name} has features already; leave columns out of it (drop)")
    elif column is not None:
        raise ComparisonError(
            f"{data.name} has features already; give the group of each row, not a column (groups)"
        )
    if groups is not None and column is None:
        data = data.with_groups(groups)
    if data.x_test is None:
        data = data.with_test(TEST_FRACTION, seed=TEST_SEED)
    if validation is not None:  # after the test part, without which columns are encoded
        data = add_validation(data, validation, labels=labels, drop=drop, groups=column)
    _refuse_unknown(data)
    if len(data.x_train) < MIN_TRAINING_ROWS:
        raise ComparisonError(
            f"{data.name} has {len(data.x_train)} training rows; at least {MIN_TRAINING_ROWS} are "
            "needed"
        )
    return data


def thinned(dataset: Dataset, most_rows: int) -> Dataset:
    """Returns a data set with at most so many rows in each part, drawn with rare labels in mind."""
    drawn: dict[Part, NDArray[np.intp]] = {}
    for part in PARTS:
        y, mask = (getattr(dataset, f"{kind}_{part}") for kind in ("y", "mask"))
        if y is not None and len(y) > most_rows:
            _, drawn[part] = split(y, most_rows / len(y), seed=TEST_SEED, mask=mask)
    return dataset.take(drawn)


def _refuse_unknown(dataset: Dataset) -> None:
    """Raises a DataError if a part has no known label to learn from or to judge by."""
    masks = {
        "training": dataset.mask_train,
        "validation": dataset.mask_validation,
        "test": dataset.mask_test,
    }
    for part, mask in masks.items():
        if mask is not None and not mask.any():
            raise DataError(
                f"{dataset.name}: no label of the {part} part is known; a mask is 1 where a label "
                f"is known"
            )
