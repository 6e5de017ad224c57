"""Statistics of rows: of labels, of samples, or of everything as one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mllosses_jax._core.compile import step
from mllosses_jax._core.long_rows import Block, Standing, of_long_rows
from mllosses_jax._core.ordering import (
    Packed,
    Ranking,
    packed,
    ranking_keys,
    ranking_of,
    sort_rows,
)
from mllosses_jax._core.sets import Scored, count_cells, scored
from mllosses_jax._core.values import on_host
from mllosses_jax.metrics._averaging import (
    Average,
    Undefined,
    check_average,
    check_undefined,
    mean_of_defined,
)

R = TypeVar("R")
Array = jax.Array

_LONG = 4096  # entries from which a row is worth a call of numpy


class Facts(NamedTuple):
    """What is in each row, (R,), whatever its order."""

    cells: Array  # int32: entries that count
    positives: Array  # int32
    broken: Array  # bool: a NaN score counts

    def pairs(self, dtype: jnp.dtype) -> Array:
        """Returns the number of pairs of a positive and a negative in each row, (R,)."""
        return self.positives.astype(dtype) * (self.cells - self.positives).astype(dtype)


def checked(
    scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None, average: Average
) -> Scored:
    """Checks scores and labels, both (N, L), and their average."""
    check_average(average)
    return scored(scores, labels, where)


def prepared(
    scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None, *, average: Average
) -> tuple[Scored, Facts]:
    """Checks scores and labels, both (N, L), and counts along the rows of an average."""
    inputs = checked(scores, labels, where, average)
    return inputs, _facts(inputs, average=average)


def ranked_rows(inputs: Scored, average: Average) -> Packed:
    """Returns the sorted rows of an average, for `ranking_of`."""
    return sort_rows(_packed(inputs, average=average))


def of_rows(
    of_ranking: Callable[[Ranking, Facts], Array],
    of_standing: Callable[[Standing], float],
    inputs: Scored,
    average: Average,
) -> tuple[Array, Facts]:
    """Returns a statistic of each row, (R,): the second function is that of one long row."""
    if on_host(inputs.scores) and _row_size(inputs, average) >= _LONG:
        return _of_long_rows(of_standing, _rows(inputs, average))  # XLA transposes fastest
    facts = _facts(inputs, average=average)
    return of_ranked_rows(of_ranking, ranked_rows(inputs, average), facts), facts


def _of_long_rows(of_standing: Callable[[Standing], float], rows: Scored) -> tuple[Array, Facts]:
    def of_block(block: Block) -> Iterator[tuple[float, int, int, bool]]:
        for row in block.standings():
            yield of_standing(row), row.cells, row.positives.size, row.broken

    values, cells, positives, broken = zip(*of_long_rows(of_block, *rows), strict=True)
    facts = Facts(jnp.int32(cells), jnp.int32(positives), jnp.asarray(broken))
    return jnp.asarray(np.array(values, rows.scores.dtype)), facts


@step("of_ranking")
def of_ranked_rows(of_ranking: Callable[[Ranking, Facts], R], rows: Packed, facts: Facts) -> R:
    """Returns a statistic of the rows that `ranked_rows` has sorted."""
    return of_ranking(ranking_of(rows), facts)


@step("average", "undefined")
def averaged(
    values: Array, defined: Array, facts: Facts, *, average: Average, undefined: Undefined
) -> Array:
    """Returns the average of values of rows, (R,) to (), or with average=None the values."""
    check_undefined(undefined)
    exists, broken = facts.cells > 0, facts.broken
    return mean_of_defined(values, defined, exists, broken, average, undefined, facts.positives)


@step("average")
def _facts(inputs: Scored, *, average: Average) -> Facts:
    rows, axis = inputs, 0  # XLA reduces columns in place, and would copy them to rows
    if average in ("micro", "samples"):
        rows, axis = _rows(inputs, average), 1
    nan = jnp.isnan(rows.scores) if rows.where is None else jnp.isnan(rows.scores) & rows.where
    return Facts(
        count_cells(rows.where, rows.scores.shape, axis),
        jnp.sum(rows.actual, axis=axis, dtype=jnp.int32),
        jnp.any(nan, axis=axis),
    )


@step("average")
def _packed(inputs: Scored, *, average: Average) -> Packed:
    rows = _rows(inputs, average)
    return packed(ranking_keys(rows.scores, rows.where), rows.actual)


def _rows(inputs: Scored, average: Average) -> Scored:
    if average == "micro":
        return inputs.flattened()
    return inputs if average == "samples" else inputs.transposed()


def _row_size(inputs: Scored, average: Average) -> int:
    if average == "micro":
        return inputs.scores.size
    return inputs.scores.shape[1 if average == "samples" else 0]
