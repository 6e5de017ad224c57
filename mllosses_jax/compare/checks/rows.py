"""Checks of the rows of the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare import parts
from mllosses_jax.compare.card import first_part
from mllosses_jax.compare.checks.check import check
from mllosses_jax.data import Dataset

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

_ROWS = 256  # whose bits are held at once


@check(
    "MLC002",
    "tip",
    title="Rows have no label",
    why="A row without a positive counts as 0 in P@k, nDCG and ranking loss and as 1 in LRAP, "
    "whatever the model says. A row without a known label is left out.",
    remedy="Find out whether these rows were never annotated. If so, mask their labels (NaN, or "
    "mask_train and so on) or drop the rows; an unknown label is not a negative one.",
)
def without_labels(comparison: Comparison) -> Iterator[str]:
    """Yields how many rows of each part have no known label, and how many no positive."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    parts_of = {
        first_part(dataset): (dataset.y_train, dataset.known_train),
        "test": (dataset.y_test, dataset.known_test),
    }
    if dataset.y_validation is not None:
        pool = parts.pool(dataset)
        parts_of["validation"] = pool.y, pool.known
    for part, (labels, known) in parts_of.items():
        has_known = known.any(1)
        unknown = np.count_nonzero(~has_known)
        if unknown:
            yield f"{unknown} of {len(labels)} {part} rows without a known label"
        empty = np.count_nonzero(has_known & ~(labels & known).any(1))
        if empty:
            yield f"{empty} of {len(labels)} {part} rows without a known positive"


@check(
    "MLC007",
    "issue",
    title="Rows of the test part are in the training part too",
    why="A model that remembers such a row is right about it, so the metrics look better than they "
    "will be on new rows; and choices that rest on such rows of a validation part of your own are "
    "for models that remember. Rows are counted from 0 in their file, without its header and blank "
    "lines; those of a test part that was drawn keep the numbers that they have in the file.",
    remedy="Drop these rows from one part, or split the data so that equal rows stay together. If "
    "there are few features with few values, equal rows may be different samples; then ignore this "
    "finding.",
)
def duplicates(comparison: Comparison) -> Iterator[str]:
    """Yields how many rows have the features of a training row, and each such row."""
    dataset = comparison.dataset
    if dataset.feature_shape == (0,):
        return
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, key in enumerate(_hashes(dataset.x_train)):
        places[key].append(place)
    for part in ("test", "validation"):
        x = getattr(dataset, f"x_{part}")
        if x is not None:
            yield from _equal(dataset, part, x, places)


def _equal(
    dataset: Dataset, part: str, x: NDArray[np.float32], places: Mapping[int, list[int]]
) -> Iterator[str]:
    """Yields how many rows of a part have the features of a training row, and each such row."""
    found = {}
    for place, key in enumerate(_hashes(x)):
        equal = (k for k in places.get(key, ()) if np.array_equal(dataset.x_train[k], x[place]))
        first = next(equal, None)
        if first is not None:
            found[place] = first
    if not found:
        return
    yield f"{len(found)} of {len(x)} {part} rows ({len(found) / len(x):.1%})"
    labels, mask, rows = (getattr(dataset, f"{kind}_{part}") for kind in ("y", "mask", "rows"))
    known = np.ones_like(labels) if mask is None else mask
    assert dataset.rows_train is not None
    for place, first in found.items():
        compared = known[place] & dataset.known_train[first]
        same = not ((labels[place] != dataset.y_train[first]) & compared).any()
        yield (
            f"{part} row {rows[place]} equals training row {dataset.rows_train[first]}, with "
            f"{'the same' if same else 'other'} labels"
        )


@check(
    "MLC015",
    "issue",
    title="Groups of the test part are in the training part too",
    why="A model that has seen rows of a group knows it again, so the metrics look better than "
    "they will be on new groups. A test part that is drawn here never shares a group; this one "
    "came with the data. Rows are counted from 0 in their file.",
    remedy="Leave the rows of these groups out of one part, or give the data without a test part: "
    "it is then drawn by groups.",
)
def shared_groups(comparison: Comparison) -> Iterator[str]:
    """Yields how many test rows are of a group in the training part, and the rows of each group."""
    dataset = comparison.dataset
    train, test, rows = dataset.groups_train, dataset.groups_test, dataset.rows_test
    if train is None or test is None or rows is None or dataset.group_names is None:
        return
    shared = np.isin(test, train)
    if not shared.any():
        return
    groups, sizes = np.unique(test[shared], return_counts=True)
    yield f"{shared.sum()} of {len(test)} test rows ({shared.mean():.1%}), of {len(groups)} groups"
    for group, size in zip(groups.tolist(), sizes.tolist(), strict=True):
        yield (
            f"group {dataset.group_names[group]}: {size} test row{'s' * (size != 1)}, first row "
            f"{rows[test == group][0]}, and {np.count_nonzero(train == group)} training rows"
        )


def _hashes(x: NDArray[np.float32]) -> list[int]:
    """Returns a number for each row, the same for equal rows: a sum of bits times odd numbers."""
    x = x.reshape(len(x), -1)
    odd = np.random.default_rng(0).integers(2**63, size=x.shape[1], dtype=np.uint64) * 2 + 1
    found: list[int] = []
    for start in range(0, len(x), _ROWS):
        part = x[start : start + _ROWS] + np.float32(0)  # which makes -0 equal to 0
        found += (part.view(np.uint32).astype(np.uint64) @ odd).tolist()
    return found
