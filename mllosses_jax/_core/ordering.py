"""Exact ranking of rows by descending score, with ties grouped: one sort, then running counts.

Scores are mapped to integers that ascend as scores descend. A float32 key and its label are packed
in one 64-bit integer, because single integers sort several times faster than pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mllosses_jax._core.platforms import (
    largest_integers,
    on_host,
    running_count_of_groups,
    sorted_integers,
)
from mllosses_jax._core.sharding import whole_rows

Packed = Array | tuple[Array, Array]


class Ranking(NamedTuple):
    """Rows (R, n) in ranked order; entries that do not count come last, as one tied group."""

    keys: Array  # int, ascending: see `ranking_keys`
    positive: Array  # int32, 1 for a positive
    group_end: Array  # bool, at the last entry of each group of tied scores
    rank: Array  # int32, 1, 2, ..., n in every row

    def score_dtype(self) -> jnp.dtype:
        """Returns the dtype of the scores that were ranked."""
        return np.dtype(np.float64 if self.keys.dtype == np.int64 else np.float32)

    def running_count(self, flags: Array) -> tuple[Array, Array]:
        """Counts int32 flags in {0, 1} (R, n) along each row.

        Returns:
            The counts up to and including each entry, and the counts up to the end of the previous
            group of tied scores, both (R, n).
        """
        return running_count_of_groups(flags, self.group_end)


def ranking_keys(scores: Array, where: Array | None = None) -> Array:
    """Returns integers that ascend as scores descend and are equal for equal scores (-0 and 0 too).

    Entries that do not count get the largest integer, which otherwise only a NaN can have.
    """
    signed = jnp.int64 if scores.dtype == jnp.float64 else jnp.int32
    largest = jnp.iinfo(signed).max
    bits = lax.bitcast_convert_type(scores, signed)
    magnitude = bits & largest
    keys = jnp.where(bits < 0, magnitude, ~magnitude)
    keys = jnp.where(magnitude == 0, -1, keys)
    return keys if where is None else jnp.where(where, keys, largest)


def scores_of_keys(keys: Array, dtype: jnp.dtype) -> Array:
    """Returns the scores that `ranking_keys` maps to these keys."""
    smallest = jnp.iinfo(keys.dtype).min
    bits = jnp.where(keys < 0, ~keys, keys | smallest)
    return lax.bitcast_convert_type(bits, dtype)


def smallest(keys: Array, k: int) -> Array:
    """Returns the indices of the k smallest keys per row, int32 (R, k); ties go to the first."""
    return largest_integers(~keys, k)


def ranked(keys: Array, positive: Array) -> Ranking:
    """Sorts each row of keys (R, n); equal keys are sorted by label, bool (R, n), false first."""
    return ranking_of(sort_rows(packed(keys, positive)))


def packed(keys: Array, positive: Array) -> Packed:
    """Returns keys and labels packed in one int64 array, or unpacked if a key has 64 bits."""
    if keys.dtype != jnp.int32:
        return keys, positive.astype(jnp.int32)
    with jax.enable_x64(True):  # plain lax operations only: they keep the dtypes they are given
        wide = lax.convert_element_type(keys, jnp.int64)
        return lax.bitwise_or(
            lax.shift_left(wide, lax.full_like(wide, 1)),
            lax.convert_element_type(positive, jnp.int64),
        )


def sort_rows(rows: Packed) -> Packed:
    """Sorts each row of a result of `packed`, with numpy on the host."""
    if isinstance(rows, tuple):
        keys, positive = lax.sort([*map(whole_rows, rows)], dimension=1, num_keys=2)
        return keys, positive
    with jax.enable_x64(True):
        if on_host(rows):
            return jnp.asarray(np.sort(np.asarray(rows), axis=1))
        return sorted_integers(whole_rows(rows))


def sort_with(keys: Array, payload: Array) -> tuple[Array, Array]:
    """Sorts each row of keys (..., n) and its payload, uint32; the payload decides between ties.

    A 32-bit key and its payload are packed in one integer, which sorts as fast as the key alone.
    """
    keys, payload = whole_rows(keys), whole_rows(payload)
    if keys.dtype != jnp.int32:
        keys, payload = lax.sort((keys, payload), dimension=keys.ndim - 1, num_keys=2)
        return keys, payload
    with jax.enable_x64(True):  # plain lax operations only: they keep the dtypes they are given
        wide = lax.convert_element_type(keys, jnp.int64)
        half = lax.full_like(wide, 32)
        low = lax.convert_element_type(payload, jnp.int64)
        rows = sorted_integers(lax.bitwise_or(lax.shift_left(wide, half), low))
        keys = lax.convert_element_type(lax.shift_right_arithmetic(rows, half), jnp.int32)
        low = lax.bitwise_and(rows, lax.full_like(rows, 2**32 - 1))
        return keys, lax.convert_element_type(low, jnp.uint32)


def sort_with_places(keys: Array) -> tuple[Array, Array]:
    """Sorts each row of keys (..., n), and returns also the index of each in its row, int32."""
    keys, order = sort_with(keys, places(keys).astype(jnp.uint32))
    return keys, order.astype(jnp.int32)


def places(like: Array) -> Array:
    """Returns the index of each entry in its row, 0, 1, ..., n - 1 along the last axis, int32."""
    return lax.broadcasted_iota(jnp.int32, like.shape, like.ndim - 1)


def by_row(function: Callable[..., Array]) -> Callable[..., Array]:
    """Maps a function of rows (n,) over all leading axes."""

    def mapped(*arrays: Array) -> Array:
        result = function
        for _ in range(arrays[0].ndim - 1):
            result = jax.vmap(result)
        return result(*arrays)

    return mapped


def in_place(values: Array, order: Array) -> Array:
    """Returns sorted values (..., n) in the original order, given the index of each, int32."""
    put = by_row(lambda v, o: jnp.zeros_like(v).at[o].set(v, unique_indices=True))
    return put(values, order)


def running_count(flags: Array) -> Array:
    """Returns how many flags (..., n) hold up to and including each entry, int32."""
    n = flags.shape[-1]
    return _count_bits(flags) if isinstance(n, int) else jnp.cumsum(flags, -1, dtype=jnp.int32)


def _count_bits(flags: Array) -> Array:
    """Counts in words of 32 flags.

    The words are a 32nd of the flags, and a count within one is an operation on its bits, which
    XLA fuses with what uses it: no array of counts is written. On a CPU `jnp.cumsum` takes five
    times as long.
    """
    (*lead, n), padding = flags.shape, -flags.shape[-1] % 32
    bits = jnp.pad(flags, [(0, 0)] * len(lead) + [(0, padding)])
    bits = bits.reshape(*lead, (n + padding) // 32, 32).astype(jnp.uint32)
    lane = places(bits).astype(jnp.uint32)
    words = jnp.sum(bits << lane, axis=-1, dtype=jnp.uint32)
    totals = lax.population_count(words).astype(jnp.int32)
    before = jnp.cumsum(totals, axis=-1) - totals
    up_to = (jnp.uint32(2) << lane) - 1
    within = lax.population_count(words[..., None] & up_to).astype(jnp.int32)
    count: Array = before[..., None] + within
    return count.reshape(*lead, n + padding)[..., :n]


def ranking_of(rows: Packed) -> Ranking:
    """Returns the ranking of sorted rows."""
    keys, positive = rows if isinstance(rows, tuple) else _unpacked(rows)
    rank = lax.broadcasted_iota(jnp.int32, keys.shape, 1) + 1
    return Ranking(keys, positive, group_ends(keys), rank)


def group_ends(keys: Array) -> Array:
    """Returns which sorted keys (R, n) are the last of their group of equal keys, bool."""
    last = jnp.ones_like(keys[:, :1], dtype=bool)
    return jnp.concatenate([keys[:, 1:] != keys[:, :-1], last], axis=1)


def _unpacked(rows: Array) -> tuple[Array, Array]:
    with jax.enable_x64(True):
        one = lax.full_like(rows, 1)
        keys = lax.convert_element_type(lax.shift_right_arithmetic(rows, one), jnp.int32)
        return keys, lax.convert_element_type(lax.bitwise_and(rows, one), jnp.int32)
