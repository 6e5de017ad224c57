"""Statistics of long rows in numpy, which counts and sorts plain numbers fastest on a CPU.

Only the positives are looked up among the others: nothing is packed, ranked or padded. Blocks of
rows are processed in threads, because numpy releases the interpreter lock during long calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from jax.typing import ArrayLike

T = TypeVar("T")
Values = np.ndarray[Any, np.dtype[Any]]

_BUCKETS = 2**14  # per row: their counts stay in the cache of a core
_BLOCK = 16  # rows at a time: few calls, and float32 tells all of their buckets apart


class Standing(NamedTuple):
    """Where the positives of a row stand among the entries that count."""

    positives: Values  # the negated scores of the P positives, ascending
    near: Values  # the negated scores of some negatives, ascending
    others: Values  # (P,): number of other negatives above each, with which they never tie
    num_entries: int  # entries that count
    broken: bool  # whether one of them has a NaN score

    def negatives(self, side: Literal["left", "right"]) -> Values:
        """Returns how many negatives score higher than each, or at least as high ("right")."""
        counts: Values = np.searchsorted(self.near, self.positives, side)
        counts += self.others
        return counts

    def tp(self) -> Values:
        """Returns how many positives score at least as high as each, (P,)."""
        if (self.positives[1:] == self.positives[:-1]).any():
            return np.searchsorted(self.positives, self.positives, "right")
        return np.arange(1, self.positives.size + 1)


class Block(NamedTuple):
    """Some rows, in C order."""

    scores: Values  # (R, n)
    actual: Values  # bool (R, n), false where masked
    where: Values | None = None  # bool (R, n)

    def rows(self) -> Iterator[tuple[Values, Values]]:
        """Yields the scores that count in each row, and a mask of the positives among them."""
        if self.where is None:
            yield from zip(self.scores, self.actual, strict=True)
        else:
            for scores, actual, where in zip(self.scores, self.actual, self.where, strict=True):
                yield scores[where], actual[where]

    def standings(self) -> list[Standing]:
        """Returns where the positives of each row stand, sorting only the negatives near them.

        Entries fall into buckets, which divide the scores of their row into equal intervals. The
        entries of a bucket without a positive are only counted.
        """
        rows, size = self.scores.shape
        positives = self._negated_and_sorted(self.actual)
        low, high, scale = self._intervals()
        first = np.arange(rows, dtype=scale.dtype) * _BUCKETS
        buckets = _buckets(self.scores, high[:, None], scale[:, None], first[:, None])
        num_entries = np.full(rows, size)
        if self.where is not None:
            buckets[~self.where] = rows * _BUCKETS  # an extra bucket for entries that do not count
            num_entries = np.count_nonzero(self.where, axis=1)
        sizes = [row.size for row in positives]
        lines = (np.repeat(x, sizes) for x in (high, scale, first))
        of_positives = _buckets(-np.concatenate(positives), *lines)
        counts = np.bincount(buckets.ravel(), minlength=rows * _BUCKETS + 1)
        counts[of_positives] = 0
        others = np.cumsum(counts[:-1].reshape(rows, -1), axis=1).ravel()[of_positives]
        mixed = np.zeros(counts.size, bool)
        mixed[of_positives] = True
        chosen = mixed[buckets]
        chosen &= ~self.actual
        near = self._negated_and_sorted(chosen)
        of_rows = np.split(others, np.cumsum(sizes)[:-1])
        parts = (positives, near, of_rows, num_entries.tolist(), np.isnan(low).tolist())
        return [Standing(*row) for row in zip(*parts, strict=True)]

    def _intervals(self) -> tuple[Values, Values, Values]:
        """Returns the lowest and highest score of each row, and the number of buckets per unit.

        That number is 0, which puts all entries into one bucket, where the intervals would
        underflow or overflow.
        """
        counted = True if self.where is None else self.where
        low = self.scores.min(axis=1, initial=np.inf, where=counted)
        high = self.scores.max(axis=1, initial=-np.inf, where=counted)
        with np.errstate(invalid="ignore"):
            spread = high.astype(np.float64) - low
        usable = (spread > 1e-30) & (spread < 1e30)
        scale = np.where(usable, (_BUCKETS - 1) / np.where(usable, spread, 1), 0)
        return low, high, scale.astype(self.scores.dtype)

    def _negated_and_sorted(self, chosen: Values) -> list[Values]:
        """Returns the negated scores of the chosen entries of each row, ascending."""
        places = np.flatnonzero(chosen)
        ends = np.arange(1, len(chosen)) * chosen.shape[1]
        rows = np.split(-self.scores.ravel()[places], np.searchsorted(places, ends))
        for row in rows:
            row.sort()
        return rows


def of_long_rows(
    statistics: Callable[[Block], Iterable[T]],
    scores: ArrayLike,
    actual: ArrayLike,
    where: ArrayLike | None,
) -> list[T]:
    """Returns the statistics of all rows, computed block by block.

    Args:
        statistics: a function that returns the statistics of each row of a block.
        scores: float (R, n).
        actual: bool (R, n), false where masked.
        where: bool (R, n), which entries count.
    """
    arrays = [np.asarray(x) for x in (scores, actual, where) if x is not None]

    def of_block(start: int) -> list[T]:
        block = Block(*(np.ascontiguousarray(x[start : start + _BLOCK]) for x in arrays))
        return list(statistics(block))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # more threads would share the caches
        blocks = pool.map(of_block, range(0, len(arrays[0]), _BLOCK))
        return [value for values in blocks for value in values]


def _buckets(scores: Values, high: Values, scale: Values, first: Values) -> Values:
    """Returns the bucket of each score, `first` being that of its row; rounding keeps the order."""
    with np.errstate(all="ignore"):  # some scores do not count, and some rows have no usable scale
        distance: Values = high - scores
        distance *= scale
        if not scale.all():
            np.fmax(distance, 0, out=distance)  # 0·∞ is NaN
        distance += first
        return distance.astype(np.intp)
