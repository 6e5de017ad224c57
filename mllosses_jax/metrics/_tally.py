"""The cells of the confusion matrix, counted in one pass, and averages of ratios of them.

Counts are int32, exact up to 2³¹ − 1 (floating point only where sample weights are given).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.sets import Sets, count_entries, result_dtype, sample_weights
from mllosses_jax.metrics._averaging import Average, check_average, mean_over

_MOST = 2**31 - 1  # the largest int32
_BYTE = 2**8 - 1  # the largest uint8


class Confusion(NamedTuple):
    """The cells of a confusion matrix, per label (L,), per sample (N,), or over everything (1,)."""

    tp: Array  # predicted and actual
    fp: Array  # predicted only
    fn: Array  # actual only
    tn: Array  # neither

    def matrices(self) -> Array:
        """Returns [[TN, FP], [FN, TP]] of each label or sample, (..., 2, 2)."""
        return jnp.stack([self.tn, self.fp, self.fn, self.tp], axis=-1).reshape(-1, 2, 2)


class Tally(NamedTuple):
    """Counts per label (L,), per sample (N,), or over everything (1,)."""

    tp: Array  # predicted and actual
    fp: Array  # predicted only
    fn: Array  # actual only
    tn: Array  # neither
    exists: Array  # bool: whether an entry counts
    weights: Array | None  # weights of the average over these counts

    @property
    def predicted(self) -> Array:
        """The number of entries that are predicted."""
        return self.tp + self.fp

    @property
    def actual(self) -> Array:
        """The number of entries that are true."""
        return self.tp + self.fn

    @property
    def negatives(self) -> Array:
        """The number of entries that are false."""
        return self.tn + self.fp


def tally_of(inputs: Sets, average: Average, weights: ArrayLike | None) -> Tally:
    """Returns the counts from which an average is computed."""
    check_average(average)
    w = sample_weights(weights, inputs.actual.shape[0])
    axis = 1 if average == "samples" else 0
    counts = confusion(inputs, axis, None if axis == 1 else w)
    exists = count_entries(inputs.where, inputs.actual.shape, axis) > 0
    if average == "micro":
        # Counts are rounded if there are more entries than an int32 can count.
        dtype = result_dtype() if inputs.actual.size > _MOST else counts.tp.dtype
        counts = Confusion(*(jnp.sum(count, keepdims=True, dtype=dtype) for count in counts))
        exists = jnp.any(exists, keepdims=True)
    mean_weights = {"weighted": counts.tp + counts.fn, "samples": w}.get(average or "")
    return Tally(*counts, exists, mean_weights)


def confusion(inputs: Sets, axis: int, weights: Array | None) -> Confusion:
    """Returns true positives, false positives, false negatives and true negatives along an axis.

    Args:
        inputs: the predicted and true sets, (N, L).
        axis: 0 for counts per label, 1 for counts per sample.
        weights: the weights of the samples, (N,); only for axis 0.
    """
    predicted, actual, where = inputs
    if weights is None:
        tp, chosen, true = count_together((predicted & actual, predicted, actual), axis)
        return disjoint(tp, chosen, true, count_entries(where, actual.shape, axis))
    # Differences of rounded sums would be wrong where little remains.
    neither = ~(predicted | actual)
    return Confusion(
        _weighted_count(predicted & actual, weights),
        _weighted_count(predicted & ~actual, weights),
        _weighted_count(actual & ~predicted, weights),
        _weighted_count(neither if where is None else neither & where, weights),
    )


def _weighted_count(cell: Array, weights: Array) -> Array:
    return jnp.sum(jnp.where(cell, weights[:, None], 0), axis=0)


def disjoint(tp: Array, predicted: Array, actual: Array, entries: Array) -> Confusion:
    """Returns the cells that `confusion` returns, from integer counts."""
    fn = actual - tp
    return Confusion(tp, predicted - tp, fn, entries - predicted - fn)


def count_together(kinds: Sequence[Array], axis: int) -> list[Array]:
    """Returns how often each of the bool arrays is true along an axis, int32."""
    # A single reduction, because XLA's CPU backend runs several fused ones many times slower.
    return lax.reduce(  # type: ignore[no-any-return]
        [kind.astype(jnp.int32) for kind in kinds],
        [jnp.int32(0)] * len(kinds),
        lambda totals, entries: [a + b for a, b in zip(totals, entries, strict=True)],
        (axis,),
    )


def count_columns(kinds: Sequence[Array]) -> list[Array]:
    """Returns how often each bool array (N, L) is true in every column, int32, on one device.

    It adds up bytes, as many rows at a time as a byte can count. XLA's CPU backend does this
    several times faster than the reduction above, but the blocks ignore how rows are sharded.
    """
    return [_count_blocks(kind.astype(jnp.uint8)) for kind in kinds]


def _count_blocks(ones: Array) -> Array:
    blocks = len(ones) // _BYTE
    whole = blocks * _BYTE
    counts = jnp.sum(ones[:whole].reshape(blocks, _BYTE, ones.shape[1]), axis=1, dtype=jnp.uint8)
    rest = jnp.sum(ones[whole:], axis=0, dtype=jnp.int32)
    return jnp.sum(counts, axis=0, dtype=jnp.int32) + rest


def average_ratio(
    numerator: Array,
    denominator: Array,
    tally: Tally,
    average: Average,
    zero_division: ArrayLike,
) -> Array:
    """Returns the average of a ratio of counts, `zero_division` for a denominator of 0."""
    defined = denominator != 0
    return average_of(ratio(numerator, denominator), defined, tally, average, zero_division)


def average_of(
    values: Array, defined: Array, tally: Tally, average: Average, zero_division: ArrayLike
) -> Array:
    """Returns the average of values, `zero_division` where they are not defined."""
    values = jnp.where(tally.exists, filled(values, defined, zero_division), jnp.nan)
    if average is None:
        return values
    if average == "micro":
        return values[0]
    if average != "samples":
        return mean_over(values, ~jnp.isnan(values), tally.weights)
    nothing = checks.scalar("zero_division", zero_division, values.dtype)
    return mean_over(values, ~jnp.isnan(values), tally.weights, weightless=nothing)


def filled(values: Array, defined: Array, zero_division: ArrayLike) -> Array:
    """Returns the values, with `zero_division` where they are not defined."""
    return jnp.where(defined, values, checks.scalar("zero_division", zero_division, values.dtype))


def ratio(numerator: Array, denominator: Array) -> Array:
    """Returns a ratio of counts in floating point; for a denominator of 0 it is the numerator."""
    dtype = result_dtype()
    safe = jnp.where(denominator == 0, 1, denominator)
    return numerator.astype(dtype) / safe.astype(dtype)
