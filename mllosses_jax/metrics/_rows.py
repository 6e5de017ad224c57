"""The rows of an average: labels, samples or everything as one row, and facts about each."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.compile import step
from mllosses_jax._core.sets import Scored, count_entries
from mllosses_jax.metrics._averaging import Average, Undefined, check_undefined, mean_of_defined


class Facts(NamedTuple):
    """Facts about each row, (R,), that do not depend on the order of its entries."""

    num_entries: Array  # int32: entries that count
    num_positives: Array  # int32
    broken: Array  # bool: whether a NaN score counts

    def pairs(self, dtype: jnp.dtype) -> Array:
        """Returns the number of pairs of a positive and a negative in each row, (R,)."""
        positives, negatives = self.num_positives, self.num_entries - self.num_positives
        return positives.astype(dtype) * negatives.astype(dtype)


def rows_of(inputs: Scored, average: Average) -> Scored:
    """Returns the rows that an average is taken over."""
    if average == "micro":
        return inputs.flattened()
    return inputs if average == "samples" else inputs.transposed()


def row_size(inputs: Scored, average: Average) -> int:
    """Returns the number of entries of each row of an average."""
    if average == "micro":
        return inputs.scores.size
    return inputs.scores.shape[1 if average == "samples" else 0]


@step("average")
def facts_of(inputs: Scored, *, average: Average) -> Facts:
    """Returns the facts about the rows of an average."""
    rows, axis = inputs, 0  # XLA reduces columns in place, but would copy them to make rows
    if average in ("micro", "samples"):
        rows, axis = rows_of(inputs, average), 1
    nan = jnp.isnan(rows.scores) if rows.where is None else jnp.isnan(rows.scores) & rows.where
    return Facts(
        count_entries(rows.where, rows.scores.shape, axis),
        jnp.sum(rows.actual, axis=axis, dtype=jnp.int32),
        jnp.any(nan, axis=axis),
    )


@step("average", "undefined")
def averaged(
    values: Array,
    defined: Array,
    facts: Facts,
    weights: Array | None = None,
    *,
    average: Average,
    undefined: Undefined,
) -> Array:
    """Returns the average of the values of rows, (R,) to (); with average=None, the values.

    Args:
        values: the value of each row, (R,).
        defined: bool (R,), whether a row has a value.
        facts: the facts about the rows.
        weights: the weights of the samples, (N,).
        average: the kind of average.
        undefined: the rule for rows without a value.
    """
    check_undefined(undefined)
    exists, broken, support = facts.num_entries > 0, facts.broken, facts.num_positives
    return mean_of_defined(values, defined, exists, broken, average, undefined, support, weights)
