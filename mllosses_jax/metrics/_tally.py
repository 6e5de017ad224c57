"""True positives, predictions and positives, counted in one pass, and the mean of their ratios.

Counts are int32, exact up to 2³¹ − 1 (floating point only where sample weights are given).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from mllosses_jax._core.sets import Sets, count_cells, result_dtype, sample_weights
from mllosses_jax.metrics._averaging import Average, check_average, check_zero_division, mean_over

Array = jax.Array


class Tally(NamedTuple):
    """Counts per label (L,), per sample (N,), or over everything (1,)."""

    hits: Array  # predicted and actual
    predicted: Array
    actual: Array
    exists: Array  # bool: has an entry that counts
    weights: Array | None  # of the average over these counts


def tally_of(inputs: Sets, average: Average, weights: ArrayLike | None) -> Tally:
    """Returns the counts that an average is made of."""
    check_average(average)
    w = sample_weights(weights, inputs.actual.shape[0])
    axis = 1 if average == "samples" else 0
    kinds = (inputs.predicted & inputs.actual, inputs.predicted, inputs.actual)
    if w is None or axis == 1:
        counts = count_together(kinds, axis)
    else:
        counts = [weighted_count(kind, w) for kind in kinds]
    exists = count_cells(inputs.where, inputs.actual.shape, axis) > 0
    if average == "micro":
        counts = [jnp.sum(count, keepdims=True, dtype=count.dtype) for count in counts]
        exists = jnp.any(exists, keepdims=True)
    mean_weights = {"weighted": counts[2], "samples": w}.get(average or "")
    return Tally(counts[0], counts[1], counts[2], exists, mean_weights)


def count_together(kinds: Sequence[Array], axis: int) -> list[Array]:
    """Returns how often each bool array is true along an axis, int32."""
    # One reduction of all: XLA's CPU backend runs several fused ones many times slower.
    return lax.reduce(  # type: ignore[no-any-return]
        [kind.astype(jnp.int32) for kind in kinds],
        [jnp.int32(0)] * len(kinds),
        lambda totals, entries: [a + b for a, b in zip(totals, entries, strict=True)],
        (axis,),
    )


def weighted_count(kind: Array, weights: Array) -> Array:
    """Returns the weight of the samples for which each label is true, (L,)."""
    return jnp.sum(jnp.where(kind, weights[:, None], 0), axis=0)


def average_ratio(
    numerator: Array,
    denominator: Array,
    tally: Tally,
    average: Average,
    zero_division: ArrayLike,
) -> Array:
    """Returns the average of a ratio of counts, `zero_division` where its denominator is 0."""
    check_zero_division(zero_division)
    dtype = result_dtype()
    defined = denominator != 0
    ratio = numerator.astype(dtype) / jnp.where(defined, denominator, 1).astype(dtype)
    values = jnp.where(defined, ratio, jnp.asarray(zero_division, dtype))
    values = jnp.where(tally.exists, values, jnp.nan)
    if average is None:
        return values
    if average == "micro":
        return values[0]
    return mean_over(values, ~jnp.isnan(values), tally.weights)
