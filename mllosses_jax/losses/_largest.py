"""Selection of the largest entries of a batch over all devices, without sorting or reshaping."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mllosses_jax._core.ordering import ranking_keys, scores_of_keys
from mllosses_jax._core.reduction import all_sum, masked_count
from mllosses_jax._core.types import AxisName

_WORD = 32  # bits of the integers that hold several counts


def largest(values: Array, among: Array, k: Array | int, axis_name: AxisName) -> Array:
    """Returns which of the entries `among` are the k largest, including all ties with the k-th.

    The k-th largest value is found by a search over the floats: k may be traced, and no
    intermediate value is kept or differentiated. Each round divides the range by one more than the
    number of its cut-offs, whose counts it takes in one pass over the batch: for an axis of 1000
    entries, which has room for 3 counts, there are 16 passes. Devices exchange these counts.

    Args:
        values: float array of any shape.
        among: bool array of the same shape.
        k: the number of entries to select; if there are fewer, all are selected.
        axis_name: mesh axes over which the batch continues.
    """
    values = jnp.where(among, lax.stop_gradient(values), jnp.nan)  # NaN is above no cut-off
    ends = ranking_keys(jnp.asarray([jnp.inf, -jnp.inf], values.dtype))
    axis, field = _shortest_axis(values.shape)
    cuts = _WORD // field
    places = jnp.arange(cuts, dtype=f"uint{jnp.iinfo(ends.dtype).bits}") + 1

    def narrow(_: int, search: tuple[Array, Array]) -> tuple[Array, Array]:
        first, width = search  # keys ascend as values descend; the key is in [first, first + width]
        step = width // (cuts + 1) + 1
        last = jnp.minimum(places * step - 1, width)
        cut_offs = scores_of_keys(first + last.astype(first.dtype), values.dtype)
        counts = _counts(values, cut_offs, axis, field)
        short = jnp.sum(all_sum(counts, axis_name) < k, dtype=width.dtype)
        low = jnp.minimum(short * step, width)
        high = jnp.minimum(short * step + (step - 1), width)
        return first + low.astype(first.dtype), high - low

    rounds = 1
    while (cuts + 1) ** rounds < 2 ** jnp.iinfo(ends.dtype).bits:
        rounds += 1
    zero = masked_count(jnp.zeros_like(values, dtype=bool), axis_name)  # varies as the counts do
    first = ends[0] + zero.astype(ends.dtype)
    key, _ = lax.fori_loop(0, rounds, narrow, (first, (ends[1] - first).astype(places.dtype)))
    return (values >= scores_of_keys(key, values.dtype)) & (k > 0)


def _shortest_axis(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the shortest axis of known size, and the bits of a count along it: at least 8.

    With fewer bits, the comparisons of more cut-offs would cost more than the rounds they save.
    """
    known = [(size, axis) for axis, size in enumerate(shape) if isinstance(size, int)]
    size, axis = min(known, default=(2**_WORD - 1, 0))
    return axis, max(size.bit_length(), 8)


def _counts(values: Array, cut_offs: Array, axis: int, field: int) -> Array:
    """Returns how many values reach each cut-off, int32; along the axis, one sum holds all."""
    shifts = range(0, field * cut_offs.size, field)
    one, most = np.uint32(1), np.uint32(2**field - 1)
    packed = sum(jnp.where(values >= c, one << s, 0) for c, s in zip(cut_offs, shifts, strict=True))
    sums = jnp.sum(packed, axis=axis, dtype=jnp.uint32)
    return jnp.stack([jnp.sum(sums >> s & most, dtype=jnp.int32) for s in shifts])
