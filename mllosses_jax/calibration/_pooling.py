"""Isotonic regression of many rows at once, in numpy, by rounds of pooling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


class Curve(NamedTuple):
    """Ascending knots and the values there, both (R, K), padded by repeating the last."""

    knots: Floats
    values: Floats


class _Blocks(NamedTuple):
    """Runs of entries that share a value, ordered by row and then by score."""

    row: NDArray[np.int64]
    first: Floats  # lowest score
    last: Floats  # highest score
    weight: Floats
    total: Floats  # weighted sum of the labels

    def mean(self) -> Floats:
        return self.total / self.weight

    def merged(self, starts: NDArray[np.bool_]) -> _Blocks:
        """Returns one block per start, each merging the blocks up to the next start."""
        at = np.flatnonzero(starts)
        if not at.size:
            return self
        ends = np.append(at[1:], len(starts)) - 1
        return _Blocks(
            self.row[at],
            self.first[at],
            self.last[ends],
            np.add.reduceat(self.weight, at),
            np.add.reduceat(self.total, at),
        )


def isotonic_curves(x: Floats, y: Floats, w: Floats) -> Curve:
    """Returns the isotonic regression of labels on scores for each row, (R, n).

    Entries of weight 0 do not count; a row without any that count gets one knot at 0.
    """
    order = np.argsort(x, axis=1, kind="stable")
    x, y, w = (np.take_along_axis(values, order, axis=1) for values in (x, y, w))
    row, column = np.nonzero(w > 0)
    score, weight = x[row, column], w[row, column].astype(np.float64)
    blocks = _Blocks(row, score, score, weight, weight * y[row, column])
    new_row = row[1:] != row[:-1]
    blocks = blocks.merged(_starts(new_row | (score[1:] != score[:-1]), len(row)))
    while True:
        mean = blocks.mean()
        # Neighbours out of order end up in one block, so whole runs of them merge at once.
        rising = (mean[1:] > mean[:-1]) | (blocks.row[1:] != blocks.row[:-1])
        if np.all(rising):
            return _curve(blocks, len(x))
        blocks = blocks.merged(_starts(rising, len(mean)))


def _starts(differs: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    return np.concatenate([np.ones(min(count, 1), bool), differs])


def _curve(blocks: _Blocks, rows: int) -> Curve:
    """Returns curves with the first and the last score of every block as knots."""
    # A block with a single score becomes the same knot twice.
    count = np.bincount(blocks.row, minlength=rows)
    size = 2 * max(int(count.max()), 1)
    begins = np.cumsum(count) - count
    place = 2 * (np.arange(len(blocks.row)) - begins[blocks.row])
    knots, values = np.zeros((2, rows, size))
    known = np.zeros((rows, size), bool)
    mean = blocks.mean()
    for offset, scores in enumerate((blocks.first, blocks.last)):
        at = blocks.row, place + offset
        knots[at], values[at], known[at] = scores, mean, True
    last = np.maximum.accumulate(np.where(known, np.arange(size), 0), axis=1)
    return Curve(np.take_along_axis(knots, last, 1), np.take_along_axis(values, last, 1))
