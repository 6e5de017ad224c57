"""Statistics of the ranking of each row, and the engine that computes them.

On a CPU, numpy computes the statistics of long rows without ranking them. All other rows are
sorted, by XLA or numpy, and XLA computes the statistic from the sorted rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import step
from mllosses_jax._core.ordering import (
    Packed,
    Ranking,
    packed,
    ranking_keys,
    ranking_of,
    sort_rows,
)
from mllosses_jax._core.platforms import on_host
from mllosses_jax._core.sets import Scored
from mllosses_jax.metrics._averaging import Average
from mllosses_jax.metrics._long_rows import Block, Standing, of_long_rows
from mllosses_jax.metrics._rows import Facts, facts_of, row_size, rows_of

R = TypeVar("R")

_LONG = 4096  # the fewest entries that make a row worth a call of numpy


def value_per_row(
    of_ranking: Callable[[Ranking, Facts], Array],
    of_standing: Callable[[Standing], float],
    inputs: Scored,
    average: Average,
) -> tuple[Array, Facts]:
    """Returns a value per row, (R,), and the facts about the rows.

    Args:
        of_ranking: a function that returns the values of ranked rows, (R,).
        of_standing: a function that returns the value of one long row, in numpy.
        inputs: scores and labels, (N, L).
        average: the average, which says what the rows are.
    """
    if on_host(inputs.scores) and row_size(inputs, average) >= _LONG:
        return _of_long_rows(of_standing, rows_of(inputs, average))  # XLA transposes fastest
    facts = facts_of(inputs, average=average)
    return of_ranked_rows(of_ranking, inputs, facts, average), facts


def of_ranked_rows(
    of_ranking: Callable[..., R],
    inputs: Scored,
    facts: Facts,
    average: Average,
    *parameters: ArrayLike,
) -> R:
    """Returns the value of a function of the ranked rows, their facts and some parameters."""
    sorted_rows = sort_rows(_unsorted(inputs, average=average))
    return _of_sorted_rows(of_ranking, sorted_rows, facts, *parameters)


def _of_long_rows(of_standing: Callable[[Standing], float], rows: Scored) -> tuple[Array, Facts]:
    def of_block(block: Block) -> Iterator[tuple[float, int, int, bool]]:
        for row in block.standings():
            yield of_standing(row), row.num_entries, row.positives.size, row.broken

    values, num_entries, num_positives, broken = zip(*of_long_rows(of_block, *rows), strict=True)
    facts = Facts(jnp.int32(num_entries), jnp.int32(num_positives), jnp.asarray(broken))
    return jnp.asarray(np.array(values, rows.scores.dtype)), facts


@step("average")
def _unsorted(inputs: Scored, *, average: Average) -> Packed:
    rows = rows_of(inputs, average)
    return packed(ranking_keys(rows.scores, rows.where), rows.actual)


@step("of_ranking")
def _of_sorted_rows(
    of_ranking: Callable[..., R], rows: Packed, facts: Facts, *parameters: ArrayLike
) -> R:
    return of_ranking(ranking_of(rows), facts, *parameters)
