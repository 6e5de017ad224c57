"""Metrics on samples of the rows: how rows are drawn, and any function of them on each sample."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Metric = Callable[..., Any]
RowsOf = Callable[..., Array]

# A device is busy with so many entries; more samples at a time would only take memory.
_ENTRIES = 1 << 16


class Strata(NamedTuple):
    """Rows in the order of their strata, and where the stratum of each row is, int32 (N,)."""

    order: Any
    first: Any
    size: Any


def strata_of(number: np.ndarray) -> Strata:
    """Returns the strata of rows from the number of the stratum of each, (N,)."""
    _, place, sizes = np.unique(number, return_inverse=True, return_counts=True)
    first = np.cumsum(sizes) - sizes
    order = np.argsort(place, kind="stable")
    return Strata(*(each.astype(np.int32) for each in (order, first[place], sizes[place])))


def drawn(key: Array, strata: Strata) -> Array:
    """Returns the rows of a bootstrap sample: in the place of each, one of its stratum, (N,)."""
    offset = jax.random.randint(key, jnp.shape(strata.size), 0, strata.size, jnp.int32)
    return jnp.asarray(strata.order)[strata.first + offset]


def given(rows: Array) -> Array:
    """Returns rows that were drawn before."""
    return rows


def values_on(
    metric: Metric, arrays: Any, draws: Any, *constants: Any, rows_of: RowsOf = given
) -> Any:
    """Returns a metric on each of several samples of the rows.

    All samples are one compiled program, which holds a few of them at a time. A function that
    cannot be compiled, such as one in numpy, is called once for each sample instead.

    Args:
        metric: a hashable function of the arrays, which returns numbers or arrays of numbers.
        arrays: a tuple of pytrees of arrays (N, ...).
        draws: an array of one entry for each sample.
        *constants: what else `rows_of` takes.
        rows_of: a function of a draw and the constants that returns the rows of the sample, (N,).

    Returns:
        What the metric returns, with an additional first axis for the samples, as numpy arrays.
    """
    most = _ENTRIES // max(leaf.size for leaf in jax.tree.leaves(arrays))
    # A divisor, because a remainder would be compiled as a second program.
    together = next((k for k in range(min(most, len(draws)), 1, -1) if len(draws) % k == 0), None)
    try:
        program = _program(metric, rows_of, together)
        return jax.device_get(program(jax.tree.map(jnp.asarray, arrays), draws, *constants))
    except Exception:  # Whatever is wrong beyond tracing, the calls below raise as well.
        found = []
        for draw in draws:
            rows = np.asarray(rows_of(draw, *constants))
            found.append(metric(*jax.tree.map(lambda array, rows=rows: array[rows], arrays)))
        return jax.tree.map(lambda *each: np.stack([np.asarray(value) for value in each]), *found)


@functools.lru_cache(maxsize=16)
def _program(metric: Hashable, rows_of: RowsOf, together: int | None) -> Callable[..., Any]:
    """Returns the compiled function of arrays, draws and constants."""

    def on_all(arrays: Any, draws: Any, *constants: Any) -> Any:
        def on_rows(draw: Any) -> Any:
            rows = rows_of(draw, *constants)
            return metric(*jax.tree.map(lambda array: array[rows], arrays))  # type: ignore[operator]

        return jax.lax.map(on_rows, draws, batch_size=together)

    return jax.jit(on_all)
