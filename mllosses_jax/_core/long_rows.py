"""Statistics of long rows in numpy, which counts and sorts plain numbers fastest on a CPU.

Masked entries are deleted, and only the positives are looked up among the others: nothing is
packed, ranked or padded. Rows are taken in threads (numpy lets go of the interpreter meanwhile),
so that temporary arrays are as large as a few rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jax.typing import ArrayLike

T = TypeVar("T")
Values = np.ndarray[Any, np.dtype[Any]]

_BUCKETS = 2**14  # their counts stay in the cache of a core
_BLOCK = 8  # rows that are copied together, as they may be columns in memory


class Standing(NamedTuple):
    """Where the positives of a row stand in it; each count is of shape (P,), in ranked order."""

    positives: Values  # the negated scores of the P positives, ascending
    near: Values  # those of some negatives, ascending
    others: Values  # how many of the other negatives score higher than each positive; none ties

    def at_or_above(self) -> tuple[Values, Values]:
        """Returns how many negatives, and how many positives, score at least as high as each."""
        return self._counts("right")

    def above(self) -> tuple[Values, Values]:
        """Returns how many negatives, and how many positives, score higher than each."""
        return self._counts("left")

    def _counts(self, side: Any) -> tuple[Values, Values]:
        negatives = np.searchsorted(self.near, self.positives, side) + self.others
        return negatives, np.searchsorted(self.positives, self.positives, side)


class Row(NamedTuple):
    """The entries of a row that count."""

    entries: Values  # their negated scores, (n,)
    actual: Values  # bool (n,)
    low: float  # the lowest of the entries, and NaN if one is NaN
    high: float

    def positives(self) -> Values:
        """Returns the negated scores of the P positives, ascending."""
        return np.sort(self.entries[np.flatnonzero(self.actual)])

    def standing(self) -> Standing:
        """Finds the positives among the negatives, of which it sorts only those near to one.

        Entries fall into buckets, equal intervals of score. In a bucket without a positive they
        are only counted: no positive is among them.
        """
        positives, spread = self.positives(), self.high - self.low
        # Intervals must neither underflow nor overflow, and most must hold no positive.
        if not (1e-30 < spread < 1e30 and 8 * positives.size < _BUCKETS):
            negatives = np.sort(self.entries[~self.actual])
            return Standing(positives, negatives, np.zeros(positives.size, np.intp))
        buckets = self._buckets(self.entries, spread)
        of_positives = self._buckets(positives, spread)
        counts = np.bincount(buckets, minlength=_BUCKETS)
        counts[of_positives] = 0
        mixed = np.zeros(_BUCKETS, bool)
        mixed[of_positives] = True
        near = self.entries[np.flatnonzero(mixed[buckets] & ~self.actual)]
        return Standing(positives, np.sort(near), np.cumsum(counts)[of_positives])

    def _buckets(self, values: Values, spread: float) -> Values:
        """Returns the bucket of each value; rounding keeps their order."""
        distance: Values = values - values.dtype.type(self.low)
        distance *= values.dtype.type((_BUCKETS - 1) / spread)
        return distance.astype(np.intp)


def of_long_rows(
    statistic: Callable[[Row], T],
    scores: ArrayLike,
    actual: ArrayLike,
    where: ArrayLike | None,
) -> list[T]:
    """Returns a statistic of each row of scores with labels, both (R, n), false where masked."""
    arrays = [np.asarray(x) for x in (scores, actual, where) if x is not None]

    def of_block(start: int) -> list[T]:
        block = [np.ascontiguousarray(x[start : start + _BLOCK]) for x in arrays]
        return [statistic(_row(*parts)) for parts in zip(*block, strict=True)]

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # more would share the caches
        blocks = pool.map(of_block, range(0, len(arrays[0]), _BLOCK))
        return [value for values in blocks for value in values]


def _row(scores: Values, actual: Values, where: Values | None = None) -> Row:
    entries = -scores
    if where is not None:
        entries, actual = entries[where], actual[where]
    if not entries.size:
        return Row(entries, actual, 0.0, 0.0)
    return Row(entries, actual, float(entries.min()), float(entries.max()))
