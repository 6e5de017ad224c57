"""Checks of the rows of the data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.checks.check import check

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
    "mask_train and mask_test) or drop the rows; an unknown label is not a negative one.",
)
def without_labels(comparison: Comparison) -> Iterator[str]:
    """Yields how many rows of each part have no known label, and how many no positive."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    parts = {
        "training": (dataset.y_train, dataset.known_train),
        "test": (dataset.y_test, dataset.known_test),
    }
    for part, (labels, known) in parts.items():
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
    "will be on new rows. Rows are counted from 0 within their part, `comparison.dataset.x_train` "
    "or `x_test`.",
    remedy="Drop these rows from one part, or split the data so that equal rows stay together. If "
    "there are few features with few values, equal rows may be different samples; then ignore this "
    "finding.",
)
def duplicates(comparison: Comparison) -> Iterator[str]:
    """Yields how many test rows have the features of a training row, and each such row."""
    dataset = comparison.dataset
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, key in enumerate(_hashes(dataset.x_train)):
        places[key].append(place)
    found = {}
    for place, key in enumerate(_hashes(dataset.x_test)):
        row = dataset.x_test[place]
        equal = (k for k in places.get(key, ()) if np.array_equal(dataset.x_train[k], row))
        first = next(equal, None)
        if first is not None:
            found[place] = first
    if not found:
        return
    known_train, known_test = dataset.known_train, dataset.known_test
    share = len(found) / len(dataset.x_test)
    yield f"{len(found)} of {len(dataset.x_test)} test rows ({share:.1%})"
    for place, first in found.items():
        known = known_test[place] & known_train[first]
        same = not ((dataset.y_test[place] != dataset.y_train[first]) & known).any()
        yield (
            f"test row {place} equals training row {first}, with "
            f"{'the same' if same else 'other'} labels"
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
