"""Statistics of long rows in numpy, whose vectorised sort of plain floats is the fastest on a CPU.

Masked entries are deleted, and only the positives are looked up among the others: nothing is
packed, ranked or padded. Rows are sorted in threads (numpy lets go of the interpreter meanwhile),
so that temporary arrays are as large as a few rows.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jax.typing import ArrayLike

T = TypeVar("T")
Values = np.ndarray[Any, np.dtype[Any]]


class Standing(NamedTuple):
    """Where the positives of a row stand in it; each count is of shape (P,), in ranked order."""

    entries: Values  # the negated scores of all entries that count, ascending
    positives: Values  # those of the P positives, ascending

    def at_or_above(self) -> tuple[Values, Values]:
        """Returns how many entries, and how many positives, score at least as high as each."""
        return self._counts("right")

    def above(self) -> tuple[Values, Values]:
        """Returns how many entries, and how many positives, score higher than each."""
        return self._counts("left")

    def _counts(self, side: Any) -> tuple[Values, Values]:
        return (
            np.searchsorted(self.entries, self.positives, side),
            np.searchsorted(self.positives, self.positives, side),
        )


def of_long_rows(
    statistic: Callable[[Standing], T],
    scores: ArrayLike,
    actual: ArrayLike,
    where: ArrayLike | None,
) -> list[T]:
    """Returns a statistic of each row of scores with labels, both (R, n), false where masked."""
    all_scores, all_actual = np.ascontiguousarray(scores), np.ascontiguousarray(actual)
    counted = None if where is None else np.ascontiguousarray(where)

    def of_row(index: int) -> T:
        entries = -all_scores[index]
        positives = entries[all_actual[index]]
        if counted is not None:
            entries = entries[counted[index]]
        entries.sort()
        positives.sort()
        return statistic(Standing(entries, positives))

    with ThreadPoolExecutor() as pool:
        return [*pool.map(of_row, range(len(all_scores)))]
