"""Splits that keep rare labels in both parts, by iterative stratification.

The method is that of K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the Stratification of
Multi-Label Data" (ECML PKDD 2011): rows of the label with the fewest rows left are assigned first,
each to the part that lacks this label most. Two passes follow: one brings labels that ended up in
only one part into the other, and one makes the sizes exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax._core.values import check_labels
from mllosses_jax.data._dense import dense

REST, PART = 0, 1


def split(
    y: ArrayLike, fraction: float, *, seed: int, mask: ArrayLike | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Splits rows into two parts in which every label has about the same frequency.

    The second part has `round(fraction * N)` rows, but at least one and at most N - 1. A label with
    two or more positives is in both parts. There are two exceptions, both rare: if a small part
    cannot hold a positive of every label, it becomes larger than asked for; and if labels
    contradict each other (three labels on three rows, two rows each), one stays in only one part.

    Args:
        y: (N, L) labels, 0 or 1, or soft labels, which count as positive where > 0.
        fraction: the share of the second part, between 0 and 1.
        seed: the seed that decides between equally good rows; the same seed gives the same split.
        mask: (N, L), True where the label is known; unknown labels do not count.

    Returns:
        The rows of the first part and those of the second, each in increasing order.

    Raises:
        ValueError: there are fewer than two rows, the fraction is out of range, shapes disagree,
            the labels are a sparse matrix, or a known label is not in [0, 1] (such as -1 or NaN).

    Example:
        >>> rest, part = split([[1, 0], [1, 0], [0, 1], [0, 1]], 0.5, seed=0)
        >>> len(rest), len(part)
        (2, 2)
    """
    labels = dense(y, "y")
    known = labels > 0
    if known.ndim != 2 or len(known) < 2:
        raise ValueError(f"y must be (N, L) with at least 2 rows, not {known.shape}")
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must be between 0 and 1, not {fraction}")
    if mask is not None:
        counted = dense(mask, "mask").astype(bool)
        if counted.shape != known.shape:
            raise ValueError(f"mask {counted.shape} must have the shape of y {known.shape}")
        known &= counted
    check_labels("split", labels, None if mask is None else counted)
    count = len(known)
    size = min(max(round(fraction * count), 1), count - 1)
    # The raw stream of a bit generator, unlike the methods of Generator, is the same in every
    # version of NumPy.
    order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
    deal = _Deal(known[order], size)
    deal.stratify()
    deal.bring_back_lost_labels()
    deal.even_out()
    in_part = np.empty(count, bool)
    in_part[order] = deal.side == PART
    return np.flatnonzero(~in_part), np.flatnonzero(in_part)


class _Deal:
    """The assignment of rows to two sides, with the number of positives on each side."""

    def __init__(self, known: NDArray[np.bool_], size: int) -> None:
        rows, labels = np.nonzero(known)
        self.labels_of = np.split(labels, np.cumsum(known.sum(1))[:-1])
        by_label = np.argsort(labels, kind="stable")
        self.total = known.sum(0)
        self.rows_of = np.split(rows[by_label], np.cumsum(self.total)[:-1])
        self.side = np.full(len(known), -1)
        self.have = np.zeros((2, known.shape[1]), np.int64)
        self.size = np.array([len(known) - size, size])
        # Each side wants at least one positive of every label that has two or more.
        share = self.total * (size / len(known))
        part = np.where(self.total >= 2, np.clip(share, 1, np.maximum(self.total - 1, 1)), share)
        self.want = np.stack([self.total - part, part])

    def put(self, row: int, side: int) -> None:
        """Puts a row on a side, and removes it from the other side if it was there."""
        labels = self.labels_of[row]
        if self.side[row] >= 0:
            self.have[self.side[row], labels] -= 1
        self.have[side, labels] += 1
        self.side[row] = side

    def stratify(self) -> None:
        """Assigns all rows, starting with those of the label that has the fewest rows left."""
        left = self.total.copy()
        room = self.size.copy()
        nothing_left = len(self.side) + 1
        for _ in range(left.size):
            label = int(np.where(left > 0, left, nothing_left).argmin())
            for row in self.rows_of[label]:
                if self.side[row] >= 0:
                    continue
                lack = self.want[:, label] - self.have[:, label]
                tie = lack[REST] == lack[PART]
                side = int(room[PART] > room[REST]) if tie else int(lack[PART] > lack[REST])
                self.put(row, side)
                room[side] -= 1
                left[self.labels_of[row]] -= 1
        unlabeled = np.flatnonzero(self.side < 0)
        cut = min(max(int(room[PART]), 0), len(unlabeled))
        self.side[unlabeled[:cut]] = PART
        self.side[unlabeled[cut:]] = REST

    def may_leave(self, row: int) -> bool:
        """Returns whether a row can change sides without taking a label's last positive along."""
        labels = self.labels_of[row]
        last = (self.have[self.side[row], labels] == 1) & (self.total[labels] >= 2)
        return not last.any()

    def bring_back_lost_labels(self) -> None:
        """Moves a row to each side that has no positive of a label, if no label loses by it."""
        for label in np.flatnonzero((self.have.min(0) == 0) & (self.total >= 2)):
            lacking = int(self.have[:, label].argmin())
            if self.have[lacking, label]:
                continue  # a row moved for an earlier label brought this one along
            rows = [row for row in self.rows_of[label] if self.may_leave(row)]
            if rows:
                self.put(min(rows, key=lambda row: len(self.labels_of[row])), lacking)

    def even_out(self) -> None:
        """Moves rows off the side with too many, starting with those of labels in excess there."""
        surplus = int((self.side == PART).sum() - self.size[PART])
        crowded = PART if surplus > 0 else REST
        if surplus == 0:
            return
        excess = self.have[crowded] - self.want[crowded]
        rows = np.flatnonzero(self.side == crowded)
        gain = [excess[self.labels_of[row]].sum() for row in rows]
        moved = 0
        for row in rows[np.argsort(gain, kind="stable")[::-1]]:
            if moved == abs(surplus):
                return
            if self.may_leave(row):
                self.put(row, 1 - crowded)
                moved += 1
