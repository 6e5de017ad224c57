"""The bins of a score histogram: half of them uniform in probability, half in logit over ±16.

A uniform grid of either kind alone fails: in probability all scores of a rare label share the
lowest bin, and in logit those of a label with flat scores share a few. A score is turned into an
integer key by exact operations, which are monotone and the same on every device. All edges lie
between keys, so the bin of a key can be looked up in a table. (A search among 1024 edges costs five
times as much, and bins from computed sigmoids could swap two scores, which would break the bounds.)
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mllosses_jax._core.probabilities import ScoreKind

HostArray = np.ndarray[Any, np.dtype[Any]]

_REACH = 16  # the largest logit of the grid, where 1 − sigmoid is 1e-7
_OCTAVES = 23  # the octaves of keys of a probability, from 2⁻²⁴ to 1/2
_LARGEST_BINS = 2**16


class Grid(NamedTuple):
    """The edges of the bins, and the table from keys to bins.

    Attributes:
        edges: the least float32 score of each bin except the lowest, ascending, (T - 1,).
        bin_of_key: the bin of each key and, last, of an invalid score, unsigned (K + 1,).
    """

    edges: HostArray
    bin_of_key: HostArray


def check_bins(bins: object) -> None:
    """Raises ValueError unless the number of bins is an even integer in the supported range."""
    known = isinstance(bins, int) and not isinstance(bins, bool)
    if not (known and 4 <= bins <= _LARGEST_BINS and bins % 2 == 0):  # type: ignore[operator]
        raise ValueError(f"bins must be an even integer from 4 to {_LARGEST_BINS}, got {bins!r}")


@functools.lru_cache(maxsize=16)
def grid(bins: int, inputs: ScoreKind) -> Grid:
    """Returns the grid with the given number of bins, on the scale of the scores."""
    half = bins // 2
    probabilities = np.arange(1, half) / half
    logits = np.log(probabilities) - np.log1p(-probabilities)
    wanted = np.sort(np.concatenate([logits, np.linspace(-_REACH, _REACH, half)]))
    if inputs == "probabilities":
        wanted = 1 / (1 + np.exp(-wanted))
    starts = _key_starts(_bits(bins), inputs)
    first_keys = np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)
    edges = _round_up(starts[first_keys])
    bin_of_key = np.append(np.searchsorted(first_keys, np.arange(len(starts)), "right"), bins)
    return Grid(edges, bin_of_key.astype(np.min_scalar_type(bins)))  # small, for the cache


def bins_of(scores: Array, bins: int, inputs: ScoreKind) -> Array:
    """Returns the bin of each float32 score, int32; `bins` for an invalid score."""
    if inputs == "logits":
        keys, valid = _logit_keys(scores, _bits(bins)), ~jnp.isnan(scores)
    else:
        keys, valid = _probability_keys(scores, _bits(bins)), (scores >= 0) & (scores <= 1)
    table = jnp.asarray(grid(bins, inputs).bin_of_key)
    found = table.at[jnp.where(valid, keys, table.size - 1)].get(
        mode="promise_in_bounds",
        out_sharding=jax.typeof(keys).sharding,
        wrap_negative_indices=False,
    )
    return found.astype(jnp.int32)


def _bits(bins: int) -> int:
    """Returns how finely keys resolve scores: a bin at the center spans at least 4 keys."""
    return (bins - 1).bit_length() - 1


def _key_starts(bits: int, inputs: ScoreKind) -> HostArray:
    """Returns the score at which each key starts, float64; -inf for the first."""
    if inputs == "logits":
        reach = _REACH << bits
        starts = np.arange(-reach - 1, reach + 1) / 2.0**bits
    else:
        size, shift = _OCTAVES << bits, 23 - bits
        patterns = _smallest_pattern() + (np.arange(size + 1) << shift)
        small = patterns.astype(np.int32).view(np.float32).astype(np.float64)
        starts = np.concatenate([small[:-1], 1 - small[:0:-1]])
    starts[0] = -np.inf
    return starts


def _logit_keys(logits: Array, bits: int) -> Array:
    """Returns ⌊x·2^bits⌋ clipped to the reach of the grid, from 0."""
    reach = _REACH << bits
    scaled = jnp.floor(logits * 2.0**bits)  # scaling by a power of two is exact
    return jnp.clip(scaled, -reach - 1, reach).astype(jnp.int32) + (reach + 1)


def _probability_keys(probabilities: Array, bits: int) -> Array:
    """Returns the leading bits of p below 1/2 and, from the other end, of 1 - p above it."""
    size, shift = _OCTAVES << bits, 23 - bits

    def pattern(p: Array) -> Array:
        return lax.bitcast_convert_type(p, jnp.int32) - _smallest_pattern()

    low = pattern(jnp.abs(probabilities)) >> shift  # -0 has the bits of a negative number
    # 1 - p is exact from 1/2 on. Its keys include their upper end and not the lower one, so that
    # the keys of p include their lower end.
    high = 2 * size - 1 - ((pattern(1 - probabilities) - 1) >> shift)
    return jnp.clip(jnp.where(probabilities < 0.5, low, high), 0, 2 * size - 1)


def _smallest_pattern() -> int:
    return int(np.float32(2.0 ** -(_OCTAVES + 1)).view(np.int32))


def _round_up(values: HostArray) -> HostArray:
    """Returns the least float32 that is not below each value."""
    nearest = values.astype(np.float32)
    return np.where(nearest < values, np.nextafter(nearest, np.float32(np.inf)), nearest)
