"""All choices that depend on the platform, each with what was measured for it.

A program may be lowered for another platform than this host's, so an operation whose fastest form
differs is chosen when it is lowered. Only an eager call may ask for the device that it runs on.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from mllosses_jax._core.sharding import spec_of

T = TypeVar("T")

_SHORT = 1024  # along a longer axis, a product with ones would lose digits
# Terms that a CPU adds up before it writes them to memory. Each row is compiled anew: with eight
# instead of four, asymmetric losses compiled 1.4 times as long. Most losses then took as long to
# compute, within 6 %; the lightest, such as the equalization loss, up to an eighth less.
_ADDED_ROWS, _ADDED_COLUMNS = 4, 8
# Terms of few operations compile fast enough to add up more rows, of which the loop writes the sums
# only: losses of three or four sums took .75 to 1 of the time with eight instead of four. Sixteen
# gained nothing, and compiled 1.3 times as long. Neither did more columns.
_ADDED_LIGHT_ROWS = 8
_FEW_ROWS, _FEW_COLUMNS = 64, 512
_BLOCK = 64  # a loop over a multiple of so many columns has no rest that is not vectorised
_PARTS = 8  # sorts that a CPU may run at the same time; each one takes 15 ms to compile


def on_host(value: object) -> bool:
    """Returns whether a value is not a tracer and JAX would compute with it on one CPU device.

    There, numpy sorts several times faster than XLA.
    """
    if isinstance(value, jax.core.Tracer) or hasattr(value, "__jax_array__"):
        return False
    if isinstance(value, jax.Array):
        return [cast(Any, device).platform for device in value.devices()] == ["cpu"]
    default = cast(Any, jax.config).jax_default_device  # a device, a platform's name, or None
    return (getattr(default, "platform", default) or jax.default_backend()) == "cpu"


def total(values: Array) -> Array:
    """Returns the sum of all entries.

    Terms are added up as `sum_of_terms` does. Before a product with ones, XLA's CPU backend writes
    all of them: value and gradient then took 1.7 times the CPU time for the squared hinge loss, and
    1.2 times for the robust asymmetric loss.
    """
    if values.ndim < 2:
        return jnp.sum(values)
    result: Array = sum_of_terms(lambda values: values, (values,), tuple(range(values.ndim)))
    return result


@jax.custom_jvp
def total_over_labels(values: Array) -> Array:
    """Returns the sums along the last axis.

    XLA's CPU backend recomputes or slows down a long expression that is fused into a sum; before a
    product with ones, it is written once and read once. The derivative is that of the sum. The
    product adds up terms one after another, so it is used for a short axis only.
    """
    if values.ndim < 2 or not _is_short(values.shape[-1]):
        return jnp.sum(values, axis=-1)

    def by_product(values: Array) -> Array:
        ones = jnp.ones(values.shape[-1], values.dtype)
        return jnp.tensordot(values, ones, (-1, 0), precision="highest")

    def by_sum(values: Array) -> Array:
        return jnp.sum(values, axis=-1)

    return lax.platform_dependent(  # type: ignore[no-any-return]
        values, cpu=by_product, default=by_sum
    )


@total_over_labels.defjvp
def _total_over_labels_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return total_over_labels(*primals), jnp.sum(*tangents, axis=-1)


def _is_short(size: int) -> bool:
    """Returns whether an axis is known to be short; in an exported program it may be symbolic."""
    return isinstance(size, int) and size <= _SHORT


def _split(x: Array, axis: tuple[int, ...], rows: int = _ADDED_ROWS) -> tuple[int, int]:
    """Returns the axis along which a CPU splits an array to sum over `axis`, and in how many parts.

    If that is the first axis, there are at most as many parts as `rows` says. An axis that is split
    over devices or whose size is unknown stays whole.
    """

    def long(axis: int, few: int) -> bool:
        size = x.shape[axis]
        return isinstance(size, int) and size > few and spec_of(x)[axis] is None

    if 0 in axis:
        return 0, math.gcd(x.shape[0], rows) if long(0, _FEW_ROWS) else 1
    last = x.ndim - 1
    if axis != (last,) or not long(last, _FEW_COLUMNS):
        return 0, 1
    return last, math.ceil(x.shape[last] / _width(x.shape[last]))


def _width(size: int) -> int:
    """Returns how many columns a part has, of which a CPU adds up the terms."""
    return _BLOCK * math.ceil(size / (_ADDED_COLUMNS * _BLOCK))


def sum_of_terms(
    terms: Callable[..., T],
    arrays: tuple[Array, ...],
    axis: tuple[int, ...],
    *,
    light: bool = False,
) -> T:
    """Returns the sum of terms(*arrays) along some axes; the derivative is that of the sum.

    XLA's CPU backend writes all terms to memory and then reads them. Along the first axis, the
    terms of a few rows are added up as soon as they are computed, so that it writes fewer; along
    the last axis alone, those of a few blocks of columns. The last block overlaps with the one
    before, so that no block has a rest that is not vectorised: with it, a sum of products took 1.4
    times as long. Several sums over rows are written to one array, which is then added up at once;
    each is computed by a loop of its own.

    Args:
        terms: an elementwise function of the arrays, which needs no other arrays. It returns the
            terms of one sum, or a tuple with those of several.
        arrays: arrays of one shape, and others that broadcast against each row of them, or against
            each column if the axis is the last one.
        axis: the axes to sum over, not negative.
        light: whether the terms take so few operations that memory determines the time.
    """
    split, parts = _split(arrays[0], axis, _ADDED_LIGHT_ROWS if light else _ADDED_ROWS)

    def added_up(values: Array) -> Array:
        return jnp.sum(values, axis=axis, dtype=values.dtype)

    def plain(*arrays: Array) -> T:
        return cast(T, jax.tree.map(added_up, terms(*arrays)))

    def by_parts(*arrays: Array) -> T:
        of_parts = _of_parts(terms, arrays, split, parts, 0)
        sums = jax.tree.map(lambda *values: _in_one_loop(jnp.add, values), *of_parts)
        leaves, form = jax.tree.flatten(sums)
        if split or parts == 1 or len(leaves) == 1:
            totals = jax.tree.map(added_up, sums)
        else:
            stacked = jnp.stack(leaves, axis=1)
            stacked = jnp.sum(stacked, axis=tuple(a + 1 if a else 0 for a in axis))
            totals = jax.tree.unflatten(form, [stacked[k] for k in range(len(leaves))])
        return cast(T, totals)

    @jax.custom_jvp
    def summed(*arrays: Array) -> Any:
        return lax.platform_dependent(*arrays, cpu=by_parts, default=plain)

    def rule(primals: Any, tangents: Any) -> Any:
        moving = [i for i, t in enumerate(tangents) if not isinstance(t, SymbolicZero)]

        def of_moving(*values: Array) -> T:
            given = dict(zip(moving, values, strict=True))
            return plain(*(given.get(i, a) for i, a in enumerate(primals)))

        at, towards = [primals[i] for i in moving], [tangents[i] for i in moving]
        return summed(*primals), jax.jvp(of_moving, at, towards)[1]

    summed.defjvp(rule, symbolic_zeros=True)
    return cast(T, summed(*arrays))


def largest_of_terms(
    terms: Callable[..., T], arrays: tuple[Array, ...], axis: tuple[int, ...]
) -> T:
    """Returns the largest of terms(*arrays) along some axes, -inf of none, without a derivative.

    As for sums, XLA's CPU backend would write all terms to memory and then read them: the largest
    of each of two sets in a row took 1.8 times as long.

    Args:
        terms: an elementwise function of the arrays, as for `sum_of_terms`.
        arrays: arrays as for `sum_of_terms`.
        axis: the axes, not negative.
    """
    split, parts = _split(arrays[0], axis)

    def largest(values: Array) -> Array:
        return jnp.max(values, axis=axis, initial=-jnp.inf)

    def plain(*arrays: Array) -> T:
        return cast(T, jax.tree.map(largest, terms(*arrays)))

    def by_parts(*arrays: Array) -> T:
        of_parts = _of_parts(terms, arrays, split, parts, -jnp.inf)
        highest = jax.tree.map(lambda *values: _in_one_loop(jnp.maximum, values), *of_parts)
        return cast(T, jax.tree.map(largest, highest))

    constants = (lax.stop_gradient(array) for array in arrays)
    return cast(T, lax.platform_dependent(*constants, cpu=by_parts, default=plain))


def _of_parts(
    terms: Callable[..., T], arrays: tuple[Array, ...], split: int, parts: int, neutral: float
) -> list[T]:
    """Returns the terms of each part of the arrays; see `_split`.

    Args:
        terms: see `sum_of_terms`.
        arrays: see `sum_of_terms`.
        split: the axis that is split.
        parts: the number of parts.
        neutral: what stands for a column that the part before holds too.
    """
    shape = arrays[0].shape

    def part_of_columns(start: int) -> T:
        size, width = shape[split], _width(shape[split])
        first = min(start, size - width)
        part = [
            lax.slice_in_dim(array, first, first + width, axis=split)
            if array.shape == shape
            else array
            for array in arrays
        ]
        of_part = terms(*part)
        if first == start:
            return of_part
        column = lax.broadcasted_iota(jnp.int32, (1,) * split + (width,), split)
        new = column >= start - first  # the others are in the part before
        return cast(T, jax.tree.map(lambda values: jnp.where(new, values, neutral), of_part))

    # Neighbors go to different parts, so a split over devices stays as it is.
    def part_of_rows(array: Array, part: int) -> Array:
        if parts == 1 or array.shape != shape:
            return array
        rows = lax.reshape(array, (shape[0] // parts, parts, *shape[1:]))
        return lax.index_in_dim(rows, part, axis=1, keepdims=False)

    if split:
        return [part_of_columns(start) for start in range(0, shape[split], _width(shape[split]))]
    return [terms(*(part_of_rows(array, part) for array in arrays)) for part in range(parts)]


def _in_one_loop(combine: Callable[[Array, Array], Array], values: tuple[Array, ...]) -> Array:
    result = functools.reduce(combine, values)
    if jnp.issubdtype(result.dtype, jnp.floating):
        # This changes nothing. Without a select XLA would write each of the values.
        result = jnp.where(result < jnp.finfo(result.dtype).min, -jnp.inf, result)
    return result


def rounded_to_bfloat16(x: Array) -> Array:
    """Returns float32 numbers as bfloat16, rounded to the nearest, ties to even.

    A loop that ends in a conversion to bfloat16 takes twice as long by XLA's CPU backend. With
    integers it takes a third longer.
    """

    def by_integers(x: Array) -> Array:
        bits = lax.bitcast_convert_type(x, jnp.uint32)
        rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16  # the upper half; a carry goes upward
        upper = jnp.where(jnp.isnan(x), jnp.uint32(0x7FC0), rounded).astype(jnp.uint16)
        return lax.bitcast_convert_type(upper, jnp.bfloat16)

    def convert(x: Array) -> Array:
        return x.astype(jnp.bfloat16)

    return lax.platform_dependent(x, cpu=by_integers, default=convert)  # type: ignore[no-any-return]


def beside_bytes(values: Array) -> Array:
    """Returns values, read beside a row of bytes by XLA's CPU backend.

    It takes as many float32 numbers at once as fit in 256 bits, unless it reads a byte with each of
    them: then it takes 16, even where vectors have 512 bits. With float32 labels, the focal loss
    took .6 of the time by this, the generalized robust loss .55; with vectors of 256 bits .99 and
    .75. Losses bound by memory, such as the hinge loss, took 1.05 to 1.4 times as long instead.
    """
    if values.ndim == 0 or not isinstance(values.shape[-1], int):
        return values
    # XLA does not see what is behind the barrier. Bytes that are equal would be made one number.
    ones_and_twos = np.resize(np.array([1, 2], np.uint8), values.shape[-1])

    def masked(values: Array) -> Array:
        row = lax.optimization_barrier(jnp.asarray(ones_and_twos))
        return jnp.where(row > 0, values, jnp.zeros_like(values))

    return lax.platform_dependent(  # type: ignore[no-any-return]
        values, cpu=masked, default=lambda values: values
    )


def largest_integers(values: Array, k: int) -> Array:
    """Returns the indices of the k largest integers per row, int32 (R, k); ties go to the first.

    XLA's CPU backend has a selection for floats, but sorts integers, which is 20 times slower. So
    it gets the floats whose total order, in which a negative NaN is the lowest, is that of the
    integers.
    """

    def select(values: Array) -> Array:
        return lax.top_k(values, k)[1]

    def select_floats(values: Array) -> Array:
        bits = jnp.where(values >= 0, values, ~values | jnp.iinfo(jnp.int32).min)
        return select(lax.bitcast_convert_type(bits, jnp.float32))

    if values.dtype != jnp.int32:
        return select(values)
    return lax.platform_dependent(  # type: ignore[no-any-return]
        values, cpu=select_floats, default=select
    )


def sorted_integers(rows: Array) -> Array:
    """Sorts integers along the last axis.

    XLA's CPU backend runs a sort on one thread, but several sorts at the same time.
    """
    result: Array = lax.platform_dependent(rows, cpu=_sort_in_parts, default=_sort)
    return result


def _sort(rows: Array) -> Array:
    result: Array = lax.sort(rows, dimension=rows.ndim - 1)
    return result


def _sort_in_parts(rows: Array) -> Array:
    lead, n = rows.shape[:-1], rows.shape[-1]
    known = len(lead) > 0 and isinstance(lead[0], int) and spec_of(rows)[0] is None
    parts = math.gcd(lead[0], _PARTS) if known else 1
    if parts == 1:
        return _sort(rows)
    # Neighbors go to different parts, so a split over devices stays as it is.
    rows = lax.reshape(rows, (lead[0] // parts, parts, *lead[1:], n))
    sorted_parts = [_sort(lax.slice_in_dim(rows, part, part + 1, axis=1)) for part in range(parts)]
    # The barrier keeps the reshape apart from what follows, so that value and slope stay equal
    # programs up to where they differ, and XLA computes them once.
    whole: Array = lax.reshape(lax.concatenate(sorted_parts, 1), (*lead, n))
    result: Array = lax.optimization_barrier(whole)
    return result


def running_count_of_groups(flags: Array, group_end: Array) -> tuple[Array, Array]:
    """Counts int32 flags in {0, 1} (R, n) along each row.

    For many rows, a loop is faster than parallel prefix sums, but only on a CPU.

    Args:
        flags: what is counted.
        group_end: bool (R, n), at the last entry of each group.

    Returns:
        The counts up to and including each entry, and the counts up to the end of the previous
        group, both (R, n).
    """
    if flags.shape[0] < _FEW_ROWS:
        return _parallel_count(flags, group_end)
    return lax.platform_dependent(  # type: ignore[no-any-return]
        flags, group_end, cpu=_sequential_count, default=_parallel_count
    )


def _parallel_count(flags: Array, group_end: Array) -> tuple[Array, Array]:
    count = jnp.cumsum(flags, axis=1)
    at_ends = lax.cummax(jnp.where(group_end, count, 0), axis=1)
    return count, jnp.concatenate([jnp.zeros_like(count[:, :1]), at_ends[:, :-1]], axis=1)


def _sequential_count(flags: Array, group_end: Array) -> tuple[Array, Array]:
    Pair = tuple[Array, Array]

    def step(carry: Pair, column: Pair) -> tuple[Pair, Pair]:
        count, before = carry
        flag, end = column
        count = count + flag
        return (count, jnp.where(end, count, before)), (count, before)

    zero = jnp.zeros_like(flags[:, 0])
    _, (count, before) = lax.scan(step, (zero, zero), (flags.T, group_end.T))
    return count.T, before.T
