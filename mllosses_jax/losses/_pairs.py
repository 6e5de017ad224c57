"""Sums over all pairs of a positive and a negative in a row, without an array of all pairs.

Sums of hinges need one sort: each gap between two neighbors in the sorted row adds its length to
every pair that spans it, so the sum is one of gaps times counts. All terms are positive, so
nothing cancels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import digamma

from mllosses_jax._core.numerics import with_slope
from mllosses_jax._core.ordering import (
    by_row,
    in_place,
    places,
    ranking_keys,
    running_count,
    scores_of_keys,
    sort_with,
)


class SortedPairs(NamedTuple):
    """Rows (..., n) in ascending order, negatives before the positives that tie with them.

    Entries of neither kind come last, as NaN.
    """

    z: Array
    positives: Array  # bool
    negatives: Array  # bool
    order: Array  # int32, the index of each entry


def sorted_pairs(z: Array, positives: Array, negatives: Array) -> SortedPairs:
    """Sorts once; the sort carries labels and indices, and logits are read from its keys."""
    keys = ranking_keys(-lax.stop_gradient(z), positives | negatives)
    kind = (positives.astype(jnp.uint32) << 31) | (negatives.astype(jnp.uint32) << 30)
    keys, payload = sort_with(keys, kind | places(z).astype(jnp.uint32))
    order = (payload & (2**30 - 1)).astype(jnp.int32)
    z = _in_order(z, -scores_of_keys(keys, z.dtype), order)
    return SortedPairs(z, (payload >> 31) == 1, ((payload >> 30) & 1) == 1, order)


class _Gaps(NamedTuple):
    """The gaps of sorted rows, and the weights of the pairs that span them."""

    row: SortedPairs
    gaps: Array  # z of the next entry minus z of this one; 0 if no negative comes later
    before: Array  # the sum of the weights of the positives up to and including each entry
    after: Array  # the number of negatives after each entry
    weights: Array  # the weight of each entry; only those of positives are used


def _gaps(z: Array, positives: Array, negatives: Array, by_rank: bool) -> _Gaps:
    row = sorted_pairs(z, positives, negatives)
    z, count = row.z, running_count(row.positives)
    num_negatives = running_count(row.negatives)[..., -1:]
    after = jnp.maximum(num_negatives - (places(z) + 1 - count), 0).astype(z.dtype)
    weights, before = jnp.ones_like(z), count.astype(z.dtype)
    if by_rank:
        # Each row has its own copy of the table, so that it is sharded like the row.
        table = jnp.zeros_like(z) + jnp.broadcast_to(_rank_weights(z), z.shape)
        weights = by_row(jnp.take)(table, after.astype(jnp.int32))
        before = jnp.cumsum(jnp.where(row.positives, weights, 0), axis=-1)
    above = jnp.concatenate([z[..., 1:], z[..., -1:]], axis=-1)
    apart = (after > 0) & ~(jnp.isinf(above) & (above == z))
    return _Gaps(row, jnp.where(apart, above - z, 0), before, after, weights)


@jax.custom_jvp
def _in_order(z: Array, ordered: Array, order: Array) -> Array:
    """Returns `ordered`, which is z in this order, with the derivative of `z[order]`."""
    return ordered


@_in_order.defjvp
def _in_order_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    # The result is that of this function, so that the next derivative has one too.
    return _in_order(*primals), by_row(jnp.take)(tangents[0], primals[2])


def _times(length: Array, count: Array) -> Array:
    """Returns length * count, and 0 where the count is 0, even for an infinite length."""
    return jnp.where(count == 0, 0, length * count)


def _lost(row: SortedPairs, terms: Array) -> Array:
    """Returns terms, NaN where a positive is: it comes last, and no negative after it counts."""
    return jnp.where(row.positives & jnp.isnan(row.z), row.z, terms)


def _rank_weights(z: Array) -> Array:
    """Returns L(r)/max(r, 1) for the ranks r below n, L(r) = 1 + 1/2 + ... + 1/r."""
    ranks = lax.iota(z.dtype, z.shape[-1])
    return (digamma(ranks + 1) + np.euler_gamma) / jnp.maximum(ranks, 1)


def _hinge_slope(z: Array, positives: Array, negatives: Array, by_rank: bool) -> Array:
    row, _, before, after, weights = _gaps(z, positives, negatives, by_rank)
    slope = jnp.where(row.positives, -weights * after, jnp.where(row.negatives, before, 0))
    return in_place(slope, row.order)


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
    row, gaps, before, after, _ = _gaps(z, positives, negatives, by_rank)
    return jnp.sum(_lost(row, _times(gaps, before * after)), axis=-1)


def _distances(gaps: _Gaps) -> tuple[Array, Array]:
    """Returns the sums of distances to all positives before and all negatives after, (..., n)."""
    to_positives = jnp.cumsum(_times(gaps.gaps, gaps.before), axis=-1)
    to_positives = jnp.concatenate(
        [jnp.zeros_like(to_positives[..., :1]), to_positives[..., :-1]], axis=-1
    )
    spans = _times(gaps.gaps, gaps.after)
    return to_positives, lax.cumsum(spans, axis=spans.ndim - 1, reverse=True)


def _squared_hinge_slope(z: Array, positives: Array, negatives: Array) -> Array:
    gaps = _gaps(z, positives, negatives, False)
    row, (to_positives, to_negatives) = gaps.row, _distances(gaps)
    pushed = jnp.where(row.negatives, to_positives, 0)
    half = jnp.where(row.positives, -to_negatives, pushed)
    # The bound lets the mean over pairs of huge logits have a finite gradient.
    largest = jnp.finfo(half.dtype).max / 2
    return in_place(2 * jnp.clip(half, -largest, largest), row.order)


@with_slope(_squared_hinge_slope, share=True, over_labels=True)
def squared_hinge_sum(z: Array, positives: Array, negatives: Array) -> Array:
    """Returns Σ_{i∈P} Σ_{j∈N} (z_j − z_i)₊² along the last axis, in O(n log n)."""
    gaps = _gaps(z, positives, negatives, False)
    length, distances = gaps.gaps, _distances(gaps)[0]
    growth = 2 * _times(distances, gaps.after) + _times(length, gaps.before * gaps.after)
    growth = jnp.where(length == 0, 0, growth)  # an infinite growth would give 0 * inf below
    return jnp.sum(_lost(gaps.row, _times(length, growth)), axis=-1)
