"""Sums over all pairs of a positive and a negative in a row, without an array of all pairs.

Sums of hinges need one sort: each gap between two neighbors in the sorted row adds its length to
every pair that spans it, so the sum is one of gaps times counts. All terms are positive, so
nothing cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mllosses_jax._core.numerics import with_slope
from mllosses_jax._core.ordering import ranking_keys

_HALF = 31  # bits in an index


class _Gaps(NamedTuple):
    """A row in ascending order, negatives before the positives that tie with them."""

    order: Array  # int32 (..., n)
    gaps: Array  # (..., n - 1), z of the next entry minus z of this one
    positives: Array  # bool (..., n)
    negatives: Array
    before: Array  # the sum of the weights of the positives up to and including each entry
    after: Array  # int32, the number of negatives after each entry
    weights: Array  # the weight of each entry; only those of positives are used


def _sorted(z: Array, positives: Array, negatives: Array, by_rank: bool) -> _Gaps:
    order = _order(lax.stop_gradient(z), positives)
    z, positives, negatives = (_by_row(jnp.take)(a, order) for a in (z, positives, negatives))
    after = jnp.sum(negatives, axis=-1, keepdims=True, dtype=jnp.int32) - jnp.cumsum(
        negatives, axis=-1, dtype=jnp.int32
    )
    if by_rank:
        # Each row has its own copy of the table, so that it is sharded like the row.
        table = jnp.asarray(_rank_weights(z.shape[-1]), z.dtype)
        table = jnp.zeros_like(z) + jnp.broadcast_to(table, z.shape)
        weights = _by_row(jnp.take)(table, after)
        before = jnp.cumsum(jnp.where(positives, weights, 0), axis=-1)
    else:
        weights = jnp.ones_like(z)
        before = jnp.cumsum(positives, axis=-1, dtype=jnp.int32).astype(z.dtype)
    above, below = z[..., 1:], z[..., :-1]
    gaps = jnp.where(jnp.isinf(above) & (above == below), 0, above - below)
    return _Gaps(order, gaps, positives, negatives, before, after, weights)


def _order(z: Array, positives: Array) -> Array:
    """Returns the indices that sort z (..., n), negatives first among equals."""
    keys = ranking_keys(-z)
    index = lax.broadcasted_iota(jnp.int32, z.shape, z.ndim - 1)
    if keys.dtype != jnp.int32:
        operands = (keys, positives.astype(jnp.int32), index)
        return lax.sort(operands, dimension=z.ndim - 1, num_keys=2)[2]
    # Key, label and index are packed in one integer, which sorts several times faster than three.
    low = lax.bitcast_convert_type(index, jnp.uint32) | (positives.astype(jnp.uint32) << _HALF)
    with jax.enable_x64(True):  # plain lax operations only: they keep the dtypes they are given
        high = lax.convert_element_type(keys, jnp.int64)
        high = lax.shift_left(high, lax.full_like(high, 32))
        packed = lax.bitwise_or(high, lax.convert_element_type(low, jnp.int64))
        packed = lax.sort(packed, dimension=z.ndim - 1)
        mask = lax.full_like(packed, 2**_HALF - 1)
        return lax.convert_element_type(lax.bitwise_and(packed, mask), jnp.int32)


def _times(length: Array, count: Array) -> Array:
    """Returns length * count, and 0 where the count is 0, even for an infinite length."""
    return jnp.where(count == 0, 0, length * count)


def _rank_weights(n: int) -> np.ndarray:
    """Returns L(r)/max(r, 1) for the ranks r below n, L(r) = 1 + 1/2 + ... + 1/r."""
    ranks = np.maximum(np.arange(n), 1)
    return np.where(np.arange(n) > 0, np.cumsum(1 / ranks) - 1, 0) / ranks


def _by_row(function: Callable[..., Array]) -> Callable[..., Array]:
    """Maps a function of rows (n,) over all leading axes."""

    def mapped(*arrays: Array) -> Array:
        result = function
        for _ in range(arrays[0].ndim - 1):
            result = jax.vmap(result)
        return result(*arrays)

    return mapped


def _restored(values: Array, order: Array) -> Array:
    """Returns the values of sorted entries in the original order."""
    put = _by_row(lambda v, o: jnp.zeros_like(v).at[o].set(v, unique_indices=True))
    return put(values, order)


def _hinge_slope(z: Array, positives: Array, negatives: Array, by_rank: bool) -> Array:
    row = _sorted(z, positives, negatives, by_rank)
    pulled = -row.weights * row.after.astype(z.dtype)
    slope = jnp.where(row.positives, pulled, jnp.where(row.negatives, row.before, 0))
    return _restored(slope, row.order)


@with_slope(_hinge_slope, share=True, over_labels=True)
def hinge_sum(z: Array, positives: Array, negatives: Array, by_rank: bool) -> Array:
    """Returns Σ_{i∈P} w_i·Σ_{j∈N} (z_j − z_i)₊ along the last axis, in O(n log n).

    Args:
        z: (..., n); the caller has subtracted the margin from the positives.
        positives: bool (..., n), the set P.
        negatives: bool (..., n), the set N.
        by_rank: whether w_i is L(r)/r, with r the number of negatives above z_i and
            L(r) = 1 + 1/2 + ... + 1/r, held constant in the gradient; otherwise w_i is 1.
    """
    row = _sorted(z, positives, negatives, by_rank)
    spanning = (row.before * row.after.astype(z.dtype))[..., :-1]
    return jnp.sum(_times(row.gaps, spanning), axis=-1)


def _distances(row: _Gaps) -> tuple[Array, Array]:
    """Returns the sums of distances to all positives before and all negatives after, (..., n)."""
    zero = jnp.zeros_like(row.before[..., :1])
    after = row.after.astype(zero.dtype)
    to_positives = jnp.cumsum(_times(row.gaps, row.before[..., :-1]), axis=-1)
    spans = _times(row.gaps, after[..., :-1])
    to_negatives = lax.cumsum(spans, axis=zero.ndim - 1, reverse=True)
    return (
        jnp.concatenate([zero, to_positives], axis=-1),
        jnp.concatenate([to_negatives, zero], axis=-1),
    )


def _squared_hinge_slope(z: Array, positives: Array, negatives: Array) -> Array:
    row = _sorted(z, positives, negatives, False)
    to_positives, to_negatives = _distances(row)
    pushed = jnp.where(row.negatives, 2 * to_positives, 0)
    return _restored(jnp.where(row.positives, -2 * to_negatives, pushed), row.order)


@with_slope(_squared_hinge_slope, share=True, over_labels=True)
def squared_hinge_sum(z: Array, positives: Array, negatives: Array) -> Array:
    """Returns Σ_{i∈P} Σ_{j∈N} (z_j − z_i)₊² along the last axis, in O(n log n)."""
    row = _sorted(z, positives, negatives, False)
    after = row.after.astype(z.dtype)[..., :-1]
    distances = _distances(row)[0][..., :-1]
    growth = 2 * _times(distances, after) + _times(row.gaps, row.before[..., :-1] * after)
    growth = jnp.where(row.gaps == 0, 0, growth)  # an infinite growth would give 0 * inf below
    return jnp.sum(_times(row.gaps, growth), axis=-1)
