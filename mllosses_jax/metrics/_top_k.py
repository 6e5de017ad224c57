"""The top k of every sample, found once, and the discounts of its ranks."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.ordering import ranking_keys, smallest
from mllosses_jax._core.sets import Scored, Sets, scored
from mllosses_jax._core.sharding import whole_rows


class TopK(NamedTuple):
    """The k best labels of each sample, best first; the lowest index wins a tie.

    If fewer than k labels count, the rest of the k are labels that do not, which are not hits.
    """

    inputs: Scored
    keys: Array  # int (N, L), ascending as scores descend: see `ranking_keys`
    labels: Array  # int32 (N, k)
    hits: Array  # bool (N, k), which of these labels are true

    def count_hits(self) -> Array:
        """Returns the number of true labels in each top k, int32 (N,)."""
        return jnp.sum(self.hits, axis=1, dtype=jnp.int32)

    def sets(self) -> Sets:
        """Returns the top k as predicted sets, without the labels that do not count."""
        actual, where = self.inputs.actual, self.inputs.where
        none = jnp.zeros(actual.shape[1], bool)
        predicted = jax.vmap(lambda labels: none.at[labels].set(True))(self.labels)
        return Sets(predicted if where is None else predicted & where, actual, where)

    def broken(self) -> Array:
        """Returns whether a score that counts is NaN, ()."""
        return jnp.any(self.inputs.has_nan())

    def labels_of_broken_rows(self) -> Array:
        """Returns which labels count in a row with a NaN score (and no top k), bool (L,)."""
        broken = jnp.broadcast_to(self.inputs.has_nan()[:, None], self.inputs.actual.shape)
        return jnp.any(broken if self.inputs.where is None else broken & self.inputs.where, axis=0)


def top_k_of(scores: ArrayLike, labels: ArrayLike, k: int, where: ArrayLike | None) -> TopK:
    """Checks scores and labels, both (N, L), and takes the top k of each row."""
    return top_k_of_inputs(scored(scores, labels, where), k)


def top_k_of_inputs(inputs: Scored, k: int, name: str = "k") -> TopK:
    """Takes the top k of each row; error messages call k by `name`."""
    checks.set_size(k, inputs.actual.shape[1], name)
    inputs = jax.tree.map(whole_rows, inputs)
    keys = ranking_keys(inputs.scores, inputs.where)
    best = smallest(keys, k)
    return TopK(inputs, keys, best, jnp.take_along_axis(inputs.actual, best, axis=1))


def tie_averaged_hits(top: TopK) -> Array:
    """Returns the hits at each rank, averaged over all orders of tied scores, (N, k)."""
    k = top.hits.shape[1]
    keys = jnp.take_along_axis(top.keys, top.labels, axis=1)
    edge = jnp.ones_like(keys[:, :1], bool)
    new = keys[:, 1:] != keys[:, :-1]
    rank = lax.broadcasted_iota(jnp.int32, keys.shape, 1)  # from 0
    starts, ends = (jnp.concatenate(pair, axis=1) for pair in ((edge, new), (new, edge)))
    first = lax.cummax(jnp.where(starts, rank, 0), axis=1)
    last = lax.cummin(jnp.where(ends, rank, k - 1), axis=1, reverse=True)
    count = jnp.cumsum(top.hits, axis=1, dtype=jnp.int32)
    before = count - top.hits.astype(jnp.int32)
    true = jnp.take_along_axis(count, last, axis=1) - jnp.take_along_axis(before, first, axis=1)
    size = last - first + 1
    # The group of ties at the last rank may extend beyond it.
    tied = top.keys == keys[:, -1:]
    true_of_last, size_of_last = (
        jnp.sum(entries, axis=1, keepdims=True, dtype=jnp.int32)
        for entries in (tied & top.inputs.actual, tied)
    )
    true = jnp.where(last == k - 1, true_of_last, true)
    size = jnp.where(last == k - 1, size_of_last, size)
    dtype = top.inputs.scores.dtype
    return true.astype(dtype) / size.astype(dtype)


def discounted(gains: Array) -> Array:
    """Returns Σ_r gains_r / log₂(r + 1) over the ranks of each row, (N, k) to (N,)."""
    discounts = 1 / np.log2(np.arange(2, gains.shape[1] + 2))
    return jnp.sum(gains * jnp.asarray(discounts, gains.dtype)[None, :], axis=1)


def ideal(top: TopK) -> Array:
    """Returns Σ_r 1 / log₂(r + 1) up to rank min(k, |Y|) of each sample, at least 1, (N,)."""
    rank = lax.broadcasted_iota(jnp.int32, top.hits.shape, 1)  # from 0
    gained = rank < jnp.maximum(top.inputs.num_positives(), 1)[:, None]
    return discounted(gained.astype(top.inputs.scores.dtype))
