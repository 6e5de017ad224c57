"""Parts that keep the rows of a group together, with rows and labels shared out as well as it can.

Let h be the share of a label's positives, or of all rows, that a part has, and s the share that it
should have. Groups are dealt one by one, the largest first, each to the part that makes the sum of
h^2 / s smallest over parts and labels, which is least where every h equals its s. Rows count as
much as all labels together. Groups are then moved as long as that makes the sum smaller. No part is
left without a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.data._dense import dense
from mllosses_jax.data._table import is_missing
from mllosses_jax.data.errors import DataError

PASSES = 5  # at most so many times every group is moved to a better part, if there is one


def checked_groups(groups: ArrayLike, num_rows: int, part: str = "train") -> NDArray[Any]:
    """Returns the group of each row as a vector of numbers or texts; raises a DataError otherwise.

    Example:
        >>> checked_groups(["b", "a", "b"], 3).tolist()
        ['b', 'a', 'b']
    """
    rows = {"train": "training"}.get(part, part)
    array = dense(groups, "groups")
    if array.shape != (num_rows,):
        raise DataError(
            f"the groups have shape {array.shape}, but there are {num_rows} {rows} rows; give "
            "one group for each (groups)"
        )
    if array.dtype.kind == "O":
        missing = np.array([is_missing(each) for each in array.tolist()], bool)
        array = array.astype(str)
    else:
        missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(num_rows, bool)
    if missing.any():
        raise DataError(
            f"the group of row {int(missing.argmax())} (from 0) is missing; give each row a group "
            "of its own where none is known (groups)"
        )
    return array


def number_groups(
    groups: Sequence[NDArray[Any]], names: Sequence[str] = ()
) -> tuple[list[NDArray[np.intp]], tuple[str, ...]]:
    """Returns the number of each row's group in several parts, and the name of each number.

    Args:
        groups: the groups of the rows of each part.
        names: groups that have their numbers already; others get those that follow.

    Example:
        >>> number_groups([np.array(["b", "a"]), np.array(["c", "a"])])
        ([array([1, 0]), array([2, 0])], ('a', 'b', 'c'))
    """
    values, codes = np.unique(np.concatenate(groups), return_inverse=True)
    place = {name: number for number, name in enumerate(names)}
    numbers = [place.setdefault(name, len(place)) for name in values.astype(str).tolist()]
    ends = np.cumsum([len(each) for each in groups])[:-1]
    return np.split(np.array(numbers, np.intp)[codes.reshape(-1)], ends), tuple(place)


def split_groups(
    positive: NDArray[np.bool_],
    groups: NDArray[np.intp],
    shares: Sequence[float],
    *,
    seed: int = 0,
) -> list[NDArray[np.intp]]:
    """Splits rows into parts, with all rows of a group in one of them.

    Args:
        positive: (N, L), True where a label is known and positive; L may be 0.
        groups: (N,), the number of each row's group.
        shares: the share of the rows that each part should have; they sum to 1.
        seed: the seed that decides between groups of equal size.

    Returns:
        The rows of each part, in increasing order.

    Raises:
        ValueError: there are fewer groups than parts.

    Example:
        >>> y = np.array([[True], [True], [False], [True], [True], [False]])
        >>> [part.tolist() for part in split_groups(y, np.array([0, 0, 0, 1, 1, 1]), (0.5, 0.5))]
        [[0, 1, 2], [3, 4, 5]]
    """
    _, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < len(shares):
        raise ValueError(f"{len(sizes)} groups cannot be dealt to {len(shares)} parts")
    deal = _Deal(positive, group_of.reshape(-1), sizes, np.array(shares))
    # The raw stream of a bit generator is the same in every version of NumPy.
    drawn = np.random.PCG64(seed).random_raw(len(sizes))
    order = np.lexsort((drawn, -sizes))
    deal.greedily(order)
    deal.improve(order[::-1])
    return [np.flatnonzero(deal.part[deal.group_of] == k) for k in range(len(shares))]


class _Deal:
    """The assignment of groups to parts, with the share of each label and of the rows in each."""

    def __init__(
        self,
        positive: NDArray[np.bool_],
        group_of: NDArray[np.intp],
        sizes: NDArray[np.intp],
        shares: NDArray[np.float64],
    ) -> None:
        num_rows, num_labels = positive.shape
        rows, labels = np.nonzero(positive)
        total = np.bincount(labels, minlength=num_labels)
        cells, counts = np.unique(group_of[rows] * num_labels + labels, return_counts=True)
        group, label = np.divmod(cells, max(num_labels, 1))
        ends = np.searchsorted(group, np.arange(1, len(sizes)))
        # The last column stands for the rows.
        self.columns = [np.append(each, num_labels) for each in np.split(label, ends)]
        self.amounts = [
            np.append(each, size / num_rows)
            for each, size in zip(np.split(counts / total[label], ends), sizes, strict=True)
        ]
        self.weights = np.append(np.ones(num_labels), [max(np.count_nonzero(total), 1)])
        self.group_of, self.shares = group_of, shares
        self.part = np.full(len(sizes), -1)
        self.have = np.zeros((len(shares), num_labels + 1))
        self.num_groups = np.zeros(len(shares), np.int64)

    def put(self, group: int, part: int, sign: int = 1) -> None:
        """Puts a group into a part, or takes it out if the sign is -1."""
        self.have[part, self.columns[group]] += sign * self.amounts[group]
        self.num_groups[part] += sign
        self.part[group] = part

    def costs(self, group: int) -> NDArray[np.float64]:
        """Returns by how much the sum grows if a group is put into each part."""
        columns, amounts = self.columns[group], self.amounts[group]
        grown = (2 * self.have[:, columns] + amounts) @ (self.weights[columns] * amounts)
        costs: NDArray[np.float64] = grown / self.shares
        return costs

    def greedily(self, order: NDArray[np.intp]) -> None:
        """Puts each group where it costs least, in this order; the last ones fill empty parts."""
        for number, group in enumerate(order):
            costs, empty = self.costs(group), self.num_groups == 0
            if len(order) - number == empty.sum():
                costs[~empty] = np.inf
            self.put(group, int(costs.argmin()))

    def improve(self, order: NDArray[np.intp]) -> None:
        """Moves groups where they cost less, as long as one can be moved."""
        for _ in range(PASSES):
            moved = False
            for group in order:
                here = int(self.part[group])
                if self.num_groups[here] == 1:
                    continue
                self.put(group, here, -1)
                costs = self.costs(group)
                best = int(costs.argmin())
                if not costs[best] < costs[here] * (1 - 1e-9):  # rounding moves nothing
                    best = here
                self.put(group, best)
                moved |= best != here
            if not moved:
                return
