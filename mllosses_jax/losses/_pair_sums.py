"""Sums of sigmoids and softpluses over all pairs of a row, in O(n log n), without the pairs.

On [0, 1], log(1 + u), u/(1 + u) and their derivatives are polynomials in u, up to rounding. With
u = exp(−gap), the powers of u are exponentials, and so a sum over all entries z_j below an entry
z_i factors: Σ_j w_j·exp(−k·(z_i − z_j)) = exp(−k·(z_i − a))·Σ_j w_j·exp(−k·(a − z_j)), for any a
between them. The last sum is called a moment here. A sorted row is cut into blocks; each block
computes the moments of its own entries, a scan over the blocks adds up those of all blocks below
and of all above, and each entry evaluates one polynomial for either side. The few pairs within a
block are evaluated one by one.

No exponent is positive, so nothing overflows, and each is a difference of two logits. As the scan
is over blocks and then over groups of blocks, a moment of a long row is a sum of few terms.

In float32, the coefficients of log(1 + u) and u/(1 + u) cost no digits. Those of derivatives grow,
and so does rounding where nearly all gaps are far below 1: the gradient of smooth AP is then right
to about 3e-5 of its largest entry, and its curvature to 1e-3.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from mllosses_jax._core.numerics import log1p_unit, tempered, with_slope
from mllosses_jax._core.ordering import by_row, in_place
from mllosses_jax.losses._pairs import hinge_sum, sorted_pairs

_SIZE = 8  # entries of a block
_BLOCKS = 128  # blocks of a group
_DECAY = 3 + 2 * math.sqrt(2)  # each term of a polynomial on [0, 1] divides its error by this
_FARTHEST = 1e4  # beyond this gap exp(−gap) is 0

Gap = Callable[[Array, Array], Array]


class Function(NamedTuple):
    """A function of the difference t of two logits: constant + sign·P(u), with u = exp(−|t|)."""

    order: int  # the place of P in `_POLYNOMIALS`
    below: tuple[int, int]  # constant and sign where t < 0
    above: tuple[int, int]  # constant and sign where t > 0

    def slope(self) -> Function:
        """Returns the derivative in t."""
        return Function(self.order + 1, (0, self.below[1]), (0, -self.above[1]))


def _share(u: Array) -> Array:
    return u * jnp.minimum(1 / (1 + u), 1)  # the bound makes XLA recompute it, as in `exp_unit`


def _share_slope(u: Array) -> Array:
    return _share(u) * (1 - _share(u))


# P(u), and P(u)/u for the fit. Each is u times the derivative of the one before it.
_POLYNOMIALS: tuple[tuple[Callable[[Array], Array], Callable[[np.ndarray], np.ndarray]], ...] = (
    (log1p_unit, lambda u: np.log1p(u) / u),
    (_share, lambda u: 1 / (1 + u)),
    (_share_slope, lambda u: 1 / (1 + u) ** 2),
    (lambda u: _share_slope(u) * (1 - 2 * _share(u)), lambda u: (1 - u) / (1 + u) ** 3),
    (
        lambda u: _share_slope(u) * (1 - 6 * _share_slope(u)),
        lambda u: (1 - 4 * u + u * u) / (1 + u) ** 4,
    ),
)
SOFTPLUS_OF_MINUS_SIZE = Function(0, (0, 1), (0, 1))  # log(1 + exp(−|t|))
SIGMOID = Function(1, (0, 1), (1, -1))  # σ(t)
SIGMOID_OF_MINUS = Function(1, (1, -1), (0, 1))  # σ(−t)
SIGMOID_SLOPE = SIGMOID.slope()  # σ(t)·σ(−t)


@functools.cache
def _coefficients(order: int, dtype: np.dtype) -> list[float]:
    """Returns the coefficients of P(u)/u, as many as change a result in the dtype."""
    nodes = (np.cos(np.pi * (np.arange(400) + 0.5) / 400) + 1) / 2
    values, degree = _POLYNOMIALS[order][1](nodes), _terms(dtype) - 1
    fit = np.polynomial.Chebyshev.fit(nodes, values, degree, domain=[0, 1])
    powers = fit.convert(domain=[-1, 1], kind=np.polynomial.Polynomial, window=[-1, 1])
    return powers.coef.tolist()


def _terms(dtype: np.dtype) -> int:
    return math.ceil(-math.log(np.finfo(dtype).eps) / math.log(_DECAY))


class SortedRows(NamedTuple):
    """Rows (..., n) in ascending order, cut into groups of blocks (blocks, size, groups, ...)."""

    z: Array  # filled up with the last entry of each row
    positives: Array  # bool, filled up with False
    negatives: Array  # bool, filled up with False
    order: Array  # int32 (..., n)

    def cut(self, entries: Array) -> Array:
        """Returns flags (..., n) in the order and shape of z."""
        return _cut_flags(by_row(jnp.take)(entries, self.order))

    def restored(self, values: Array) -> Array:
        """Returns values in the shape of z in the shape and order of the rows."""
        rows = jnp.moveaxis(values, 2, 0)
        rows = rows.reshape(rows.shape[0] * rows.shape[1] * rows.shape[2], *rows.shape[3:])
        return in_place(jnp.moveaxis(rows[: self.order.shape[-1]], 0, -1), self.order)

    def total(self, values: Array) -> Array:
        """Returns the sum of values in the shape of z over each row.

        One sum after the other, over blocks, places and groups, keeps the digits that one long sum
        would lose. The barrier keeps XLA from making them one.
        """
        for _ in range(3):
            values = lax.optimization_barrier(jnp.sum(values, axis=0))
        return values


def sorted_rows(x: Array, positives: Array, negatives: Array) -> SortedRows:
    """Sorts logits (..., n)."""
    row = sorted_pairs(x, positives, negatives)
    largest = jnp.finfo(x.dtype).max
    # The bounds keep differences from being inf − inf; entries of neither kind come last.
    z = jnp.where(row.positives | row.negatives, jnp.clip(row.z, -largest, largest), largest)
    positives, negatives = _cut_flags(row.positives), _cut_flags(row.negatives)
    return SortedRows(_cut(z, z[..., -1:]), positives, negatives, row.order)


def _cut(rows: Array, fill: Array) -> Array:
    """Returns rows (..., n) as (blocks, size, groups, ...), filled up with (..., 1).

    The blocks of one group are neighbors.
    """
    n = rows.shape[-1]
    size, blocks = _SIZE, _BLOCKS
    if isinstance(n, int):
        size = max(1, min(n, _SIZE))
        blocks = max(1, -(-n // size))
        blocks = -(-blocks // -(-blocks // _BLOCKS))
    groups = -(-n // (size * blocks))
    rows = jnp.moveaxis(rows, -1, 0)
    padding = groups * blocks * size - n
    fill = jnp.broadcast_to(jnp.moveaxis(fill, -1, 0), (padding, *rows.shape[1:]))
    rows = jnp.concatenate([rows, fill]).reshape(groups, blocks, size, *rows.shape[1:])
    return jnp.moveaxis(rows, 0, 2)


def _cut_flags(flags: Array) -> Array:
    return _cut(flags, jnp.zeros_like(flags[..., :1]))


def pair_sums(
    functions: Sequence[Function],
    z: Array,
    weights: Array,
    temperature: Array | None = None,
) -> tuple[Array, ...]:
    """Returns Σ_{j≠i} w_j·f((z_j − z_i)/τ) at each entry i, in the shape of z, for each f.

    The derivative in logits and weights is made of such sums too, because that of a polynomial
    would lose digits.

    Args:
        functions: several f, which share their moments.
        z: sorted logits, in the shape of `SortedRows.z`.
        weights: w in the shape of z; a bool array selects a set.
        temperature: τ, a scalar; None is 1.
    """
    if any(function.order + 1 == len(_POLYNOMIALS) for function in functions):
        return _pair_sums(functions, z, weights.astype(z.dtype), temperature)
    slopes = [function.slope() for function in functions]

    @jax.custom_jvp
    def sums(z: Array, w: Array, temperature: Array | None) -> tuple[Array, ...]:
        return _pair_sums(functions, z, w, temperature)

    def rule(primals: Any, tangents: Any) -> Any:
        (z, w, temperature), (dz, dw, dt) = primals, tangents
        results = pair_sums(functions, z, w, temperature)
        changes = [jnp.zeros_like(result) for result in results]
        if not isinstance(dz, SymbolicZero):
            dz = dz if temperature is None else dz / temperature
            of_others = pair_sums(slopes, z, w * dz, temperature)
            own = pair_sums(slopes, z, w, temperature)
            changes = [a - dz * b for a, b in zip(of_others, own, strict=True)]
        if not isinstance(dw, SymbolicZero):
            of_weights = pair_sums(functions, z, dw, temperature)
            changes = [a + b for a, b in zip(changes, of_weights, strict=True)]
        if temperature is not None and not isinstance(dt, SymbolicZero):
            _, by_temperature = jax.jvp(
                functools.partial(_pair_sums, functions, z, w), (temperature,), (dt,)
            )
            changes = [a + b for a, b in zip(changes, by_temperature, strict=True)]
        return results, tuple(changes)

    sums.defjvp(rule, symbolic_zeros=True)
    return sums(z, weights.astype(z.dtype), temperature)


def _pair_sums(
    functions: Sequence[Function], z: Array, w: Array, temperature: Array | None
) -> tuple[Array, ...]:
    def gap(upper: Array, lower: Array) -> Array:
        length = upper - lower
        length = length if temperature is None else tempered(length, temperature)
        return jnp.minimum(length, _FARTHEST)

    def sums(z: Array, w: Array) -> tuple[Array, ...]:
        received = []
        single = _at_most_one(z.shape[0]) and _at_most_one(z.shape[2])
        if not single:  # a single block receives nothing
            received = [_received(gap, z, w, upwards) for upwards in (True, False)]
        return tuple(_sum(function, gap, z, w, received) for function in functions)

    # This nearly always holds, which XLA does not know.
    return apart(jnp.any(~jnp.isnan(z)), sums, len(functions), z, w)


def apart(
    where: Array, function: Callable[..., tuple[Array, ...]], number: int, *arrays: Array
) -> tuple[Array, ...]:
    """Returns function(*arrays), a number of arrays like the first, or 0 times that one.

    Which of the two is computed depends on `where`, a scalar.

    XLA fuses nothing into a branch or out of it. Otherwise its CPU backend would compute a long sum
    anew for each of its uses, and in the order in which a later transposition reads it.
    """

    def nothing(*arrays: Array) -> tuple[Array, ...]:
        return (arrays[0] * 0,) * number  # NaN stays NaN

    results: tuple[Array, ...] = lax.cond(where, function, nothing, *arrays)
    return results


def _sum(
    function: Function, gap: Gap, z: Array, w: Array, received: Sequence[tuple[Array, Array]]
) -> Array:
    total = jnp.zeros_like(z)
    sides = function.below, function.above

    # pairs within a block
    place = lax.broadcasted_iota(jnp.int32, z.shape, 1)
    place += jnp.zeros_like(z, dtype=jnp.int32)  # it is sharded like z
    (constant_below, sign_below), (constant_above, sign_above) = sides
    for j in range(z.shape[1]):
        z_j, is_below = z[:, j : j + 1], j < place
        u = jnp.exp(-gap(jnp.where(is_below, z, z_j), jnp.where(is_below, z_j, z)))
        value = _POLYNOMIALS[function.order][0](u)
        below, above = constant_below + sign_below * value, constant_above + sign_above * value
        value = jnp.where(is_below, below, jnp.where(j > place, above, 0))
        total += w[:, j : j + 1] * value

    # pairs with other blocks
    coefficients = _coefficients(function.order, z.dtype)
    for (moments, u), (constant, sign) in zip(received, sides, strict=False):
        polynomial = jnp.zeros_like(z)
        for k in range(len(coefficients), 0, -1):
            polynomial = polynomial * u + coefficients[k - 1] * moments[:, k][:, None]
        total += constant * moments[:, 0][:, None] + sign * polynomial * u
    return total


def _received(gap: Gap, z: Array, w: Array, upwards: bool) -> tuple[Array, Array]:
    """Returns what each block receives from all blocks below, or from all above.

    Returns:
        The moments at the block's end next to those blocks, (blocks, powers, groups, ...), and
        exp(−gap) of each entry and that end, in the shape of z.
    """
    z = z if upwards else -z  # ascending in the direction of the sum
    start, end = (0, -1) if upwards else (-1, 0)
    starts, ends = z[:, start], z[:, end]
    powers = jnp.arange(_terms(z.dtype) + 1, dtype=z.dtype)

    def decay(upper: Array, lower: Array) -> Array:
        distance = jnp.expand_dims(gap(upper, lower), 1 - z.ndim)
        shape = [1] * distance.ndim
        shape[1 - z.ndim] = -1
        return jnp.exp(-powers.reshape(shape) * distance)

    def step(before: tuple[Array, Array], block: tuple[Array, ...]) -> tuple[Any, Array]:
        (last, moments), (start, end, own) = before, block
        received = moments * decay(start, last)
        return (end, received * decay(end, start) + own), received

    scan = functools.partial(lax.scan, step, reverse=not upwards)
    parts = (w[:, i][:, None] * decay(ends, z[:, i]) for i in range(z.shape[1]))
    own = functools.reduce(jnp.add, parts)
    first = starts[start]
    before_group = jnp.zeros_like(own[0])
    if not _at_most_one(z.shape[2]):
        # The same over the groups: the moments of each whole group, then of all groups before it.
        (last, totals), _ = scan((first, before_group), (starts, ends, own))
        groups = first[:, None], last[:, None], jnp.moveaxis(totals, 1, 0)[:, :, None]
        nothing = groups[0][start], jnp.zeros_like(groups[2][0])
        before_group = jnp.moveaxis(scan(nothing, groups)[1][:, :, 0], 0, 1)
    received = scan((first, before_group), (starts, ends, own))[1]
    return received, jnp.exp(-gap(z, starts[:, None]))


def _at_most_one(size: Any) -> bool:
    return isinstance(size, int) and size <= 1


@with_slope(over_labels=True)
def logistic_sum(x: Array, positives: Array, negatives: Array) -> tuple[Array, Array]:
    """Returns Σ_{i∈P} Σ_{j∈N} softplus(x_j − x_i) along the last axis, in O(n log n)."""
    rows = sorted_rows(x, positives, negatives)

    def sums(z: Array, p: Array, q: Array) -> tuple[Array, Array]:
        rest, pulled = pair_sums((SOFTPLUS_OF_MINUS_SIZE, SIGMOID), z, q)
        (pushed,) = pair_sums((SIGMOID_OF_MINUS,), z, p)
        return jnp.where(p, rest, 0), jnp.where(p, -pulled, jnp.where(q, pushed, 0))

    some = jnp.any(rows.positives)
    rest, slope = apart(some, sums, 2, rows.z, rows.positives, rows.negatives)
    total = hinge_sum(x, positives, negatives, False) + rows.total(rest)
    return total, rows.restored(slope)
