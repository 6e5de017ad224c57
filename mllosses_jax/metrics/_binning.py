"""Bins of probabilities: which bin each probability falls into, and what the bins hold.

Bins are intervals (a, b]; the first one includes its lower end.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mllosses_jax._core import checks
from mllosses_jax._core.ordering import ranking_keys, scores_of_keys
from mllosses_jax._core.sets import Scored
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax.metrics._averaging import mean_over

Binning = Literal["uniform", "quantile"]
BinnedAverage = Literal["macro", "micro"] | None

_RUN = 256  # terms are added one by one in runs of this length; longer sums would lose digits


class Binned(NamedTuple):
    """Rows of probabilities (R, n) in bins."""

    bin_of: Array  # int32 (R, n)
    counts: Array  # int32 (R, bins): the entries that count
    num_positives: Array  # int32 (R, bins)
    predicted: Array  # float (R, bins): mean probability, 0 in an empty bin
    observed: Array  # float (R, bins): fraction of positives, 0 in an empty bin

    def at_entries(self, per_bin: Array) -> Array:
        """Returns the value that a table (R, bins) holds for the bin of each entry, (R, n)."""
        return jnp.take_along_axis(per_bin, self.bin_of, axis=1)


def binned(rows: Scored, bins: int, binning: Binning) -> Binned:
    """Returns the bins of rows of probabilities (R, n)."""
    p = rows.scores
    _check_bins(bins)
    checks.one_of("binning", binning, get_args(Binning))
    if binning == "uniform":
        edges = jnp.asarray(_uniform_edges(bins, p.dtype))[None, :]
    else:
        edges = _quantile_edges(rows, bins)
    bin_of = _edges_below(p, edges)
    counted = rows.counted()
    counts = _bin_sums(counted.astype(jnp.int32), bin_of, bins)
    num_positives = _bin_sums(rows.actual.astype(jnp.int32), bin_of, bins)
    total = _bin_sums(jnp.where(counted, p, 0), bin_of, bins)
    size = jnp.maximum(counts, 1).astype(p.dtype)
    observed = num_positives.astype(p.dtype) / size
    return Binned(bin_of, counts, num_positives, total / size, observed)


def rows_of(inputs: Scored, average: object) -> Scored:
    """Returns one row per label, or with "micro" one row of all entries."""
    rows = inputs.flattened() if average == "micro" else inputs.transposed()
    whole: Scored = jax.tree.map(whole_rows, rows)
    return whole


def averaged(values: Array, rows: Scored, defined: Array, average: BinnedAverage) -> Array:
    """Returns the average of a value per row, (R,); means leave undefined values out."""
    exists, broken = rows.num_entries() > 0, rows.has_nan()
    values = jnp.where(exists & defined & ~broken, values, jnp.nan)
    if average is None:
        return values
    if average == "micro":
        return values[0]
    return mean_over(values, exists & (defined | broken))


def _check_bins(bins: object) -> None:
    if not isinstance(bins, int) or isinstance(bins, bool):
        kind = "an array or a fraction" if isinstance(bins, jax.Array) else type(bins).__name__
        raise TypeError(f"bins must be a Python integer (it sets a shape), got {kind}")
    if bins < 1:
        raise ValueError(f"bins must be 1 or more, got {bins}")


def _uniform_edges(bins: int, dtype: jnp.dtype) -> np.ndarray:
    """Returns the upper ends of all bins of equal width except the last, (bins - 1,)."""
    exact = np.linspace(0, 1, bins + 1)[1:-1]
    edges = exact.astype(dtype)
    # Rounding down makes a comparison with the edge agree with one with the exact edge.
    return np.where(edges > exact, np.nextafter(edges, edges.dtype.type(0)), edges)


def _quantile_edges(rows: Scored, bins: int) -> Array:
    """Returns the upper ends of all bins of equal mass except the last, (R, bins - 1).

    The edge of quantile k/bins is the probability at place ⌊(n − 1)·k/bins⌋ in ascending order,
    counted from 0. An edge interpolated between this and the next place would divide the entries
    in the same way.
    """
    keys = lax.sort(ranking_keys(rows.scores, rows.where), dimension=1)  # descending scores
    last = jnp.maximum(rows.num_entries() - 1, 0)[:, None]
    k = jnp.arange(1, bins, dtype=jnp.int32)[None, :]
    place = last // bins * k + last % bins * k // bins  # no product overflows
    return scores_of_keys(jnp.take_along_axis(keys, last - place, axis=1), rows.scores.dtype)


def _edges_below(p: Array, edges: Array) -> Array:
    """Returns the number of edges, (R, E) or (1, E), below each p, int32 (R, n)."""
    p = lax.stop_gradient(p)
    zero = jnp.zeros_like(p, jnp.int32)
    if edges.shape[1] == 0:
        return zero

    # One edge at a time, because XLA may hold an array (R, n, E) for all edges at once.
    def count(k: Array, below: Array) -> Array:
        above: Array = p > lax.dynamic_index_in_dim(edges, k, axis=1)
        return below + above.astype(below.dtype)

    return lax.fori_loop(0, edges.shape[1], count, zero)  # type: ignore[no-any-return]


def _bin_sums(values: Array, bin_of: Array, bins: int) -> Array:
    """Returns the sum of the values (R, n) in each bin, (R, bins)."""
    rows, n = bin_of.shape
    runs = -(-n // _RUN)
    row, place = (lax.broadcasted_iota(jnp.int32, bin_of.shape, axis) for axis in (0, 1))
    cell = (row * runs + place // _RUN) * bins + bin_of
    sums = jnp.zeros(rows * runs * bins, values.dtype)
    # An explicit mesh needs to know where the sum ends up: on all devices.
    sums = sums.at[cell].add(values, out_sharding=jax.typeof(sums).sharding)
    return jnp.sum(sums.reshape(rows, runs, bins), axis=1, dtype=values.dtype)
