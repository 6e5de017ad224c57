"""Sums of sigmoids and softpluses over all pairs of a row, in O(n log n), without the pairs.

On [0, 1], log(1 + u), u/(1 + u) and their derivatives are polynomials in u, up to rounding. With
u = exp(−gap), the powers of u are exponentials, and so a sum over all entries z_j below an entry
z_i factors: Σ_j w_j·exp(−k·(z_i − z_j)) = exp(−k·(z_i − a))·Σ_j w_j·exp(−k·(a − z_j)), for any a
between them. The last sum is called a moment here. A sorted row is cut into blocks; each block
computes the moments of its own entries, a scan over the blocks adds up those of all blocks below
and of all above, and each entry evaluates one polynomial for either side. The few pairs within a
block are evaluated one by one. So there are two loops over the entries for moments and one for each
function.

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
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

from mllosses_jax._core.numerics import log1p_unit, tempered
from mllosses_jax._core.ordering import in_place
from mllosses_jax.losses._pairs import sorted_pairs

_SIZE = 8  # entries of a block
_BLOCKS = 256  # blocks of a group
_DECAY = 3 + 2 * math.sqrt(2)  # each term of a polynomial on [0, 1] divides its error by this
_FARTHEST = 1e4  # beyond this gap exp(−gap) is 0

T = TypeVar("T")


class Function(NamedTuple):
    """A function of the difference t of two logits: constant + sign·P(u), with u = exp(−|t|)."""

    order: int  # the place of P in `_POLYNOMIALS`
    below: tuple[int, int]  # constant and sign where t < 0
    above: tuple[int, int]  # constant and sign where t > 0

    def slope(self) -> Function:
        """Returns the derivative in t."""
        return Function(self.order + 1, (0, self.below[1]), (0, -self.above[1]))


def _share(u: Array) -> Array:
    return u * jnp.minimum(1 / (1 + u), 1)  # the bound makes XLA recompute it, as `unwritten` does


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
LOG = Function(0, (0, 1), (0, 1))  # log(1 + exp(−|t|))
SIGMOID = Function(1, (0, 1), (1, -1))  # σ(t)
SIGMOID_OF_MINUS = Function(1, (1, -1), (0, 1))  # σ(−t)
SIGMOID_SLOPE = SIGMOID.slope()  # σ(t)·σ(−t)


@functools.cache
def coefficients(quotient: Callable[[np.ndarray], np.ndarray], dtype: np.dtype) -> list[float]:
    """Returns the coefficients of a function P(u)/u, as many as change a result in the dtype."""
    nodes = (np.cos(np.pi * (np.arange(400) + 0.5) / 400) + 1) / 2
    degree = _terms(dtype) - 1
    fit = np.polynomial.Chebyshev.fit(nodes, quotient(nodes), degree, domain=[0, 1])
    powers = fit.convert(domain=[-1, 1], kind=np.polynomial.Polynomial, window=[-1, 1])
    return powers.coef.tolist()


def _terms(dtype: np.dtype) -> int:
    return math.ceil(-math.log(np.finfo(dtype).eps) / math.log(_DECAY))


class SortedRows(NamedTuple):
    """Rows (..., n) in ascending order, cut into groups of blocks (blocks, size, groups, ...)."""

    z: Array  # filled up with the last entry of each row
    positives: Array  # bool, filled up with False
    negatives: Array  # bool, filled up with False
    own: Array  # bool, the positives of this device
    order: Array  # int32 (..., n)

    def restored(self, values: Array) -> Array:
        """Returns values in the shape of z in the shape and order of the rows."""
        rows = jnp.moveaxis(values, 2, 0)
        rows = rows.reshape(rows.shape[0] * rows.shape[1] * rows.shape[2], *rows.shape[3:])
        return in_place(jnp.moveaxis(rows[: self.order.shape[-1]], 0, -1), self.order)


def total_of_rows(values: Array) -> Array:
    """Returns the sum of values in the shape of z over each row.

    One sum after the other, over blocks, places and groups, keeps the digits that one long sum
    would lose. The barrier keeps XLA from making them one.
    """
    for _ in range(3):
        values = lax.optimization_barrier(jnp.sum(values, axis=0))
    return values


def sorted_rows(
    x: Array, positives: Array, negatives: Array, places: Array | None = None
) -> SortedRows:
    """Sorts logits (..., n).

    Args:
        x: logits.
        positives: a bool array in the shape of the logits.
        negatives: a bool array in the shape of the logits.
        places: the first place in each row that belongs to this device, and the first after it,
            int32 (2,); None means all of them.
    """
    row = sorted_pairs(x, positives, negatives)
    largest, own = jnp.finfo(x.dtype).max, row.positives
    # The bounds keep differences from being inf − inf; entries of neither kind come last.
    z = jnp.where(row.positives | row.negatives, jnp.clip(row.z, -largest, largest), largest)
    if places is not None:
        own = own & (row.order >= places[0]) & (row.order < places[1])
    flags = (row.positives, row.negatives, own)
    kind = jnp.zeros_like(own, dtype=jnp.int8)
    for bit, flag in enumerate(flags):
        kind = kind | flag.astype(jnp.int8) << bit

    # Apart from other operations, the transposition reads blocks. Fused with them, it would read
    # an entry of each row in turn; in a cache, all take the same place if n is a power of two.
    def cut(z: Array, kind: Array) -> tuple[Array, Array]:
        return _cut(z, z[..., -1:]), _cut(kind, jnp.zeros_like(kind[..., -1:]))

    def nothing(z: Array, kind: Array) -> tuple[Array, Array]:
        like, _ = jax.eval_shape(cut, z, kind)
        z = jnp.broadcast_to(jnp.sum(z * 0, axis=-1), like.shape)  # NaN stays NaN
        return z, jnp.zeros_like(z, dtype=kind.dtype)

    z, kind = apart(jnp.any(positives), cut, nothing, z, kind)
    of_positives, of_negatives, of_own = ((kind >> bit & 1) == 1 for bit in range(len(flags)))
    return SortedRows(z, of_positives, of_negatives, of_own, row.order)


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
        weights: w in the shape of z, complex: see `two_kinds`. So are the results.
        temperature: τ, a scalar; None is 1.
    """
    if any(function.order + 1 == len(_POLYNOMIALS) for function in functions):
        return _pair_sums(functions, z, weights, temperature)
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
            of_others = pair_sums(slopes, z, times(dz, w), temperature)
            own = pair_sums(slopes, z, w, temperature)
            changes = [a - times(dz, b) for a, b in zip(of_others, own, strict=True)]
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
    return sums(z, weights, temperature)


def two_kinds(z: Array, a: Array, b: Array) -> Array:
    """Returns a + i·b in the dtype of z: two sets of weights, of which real sums are taken at once.

    XLA's CPU backend computes one array in a loop, and so the exponentials that both need once.
    """
    return lax.complex(a.astype(z.dtype), b.astype(z.dtype))


def times(a: Array | float, b: Array) -> Array:
    """Returns the product of real numbers and complex ones."""
    return lax.complex(a * b.real, a * b.imag)


def _pair_sums(
    functions: Sequence[Function], z: Array, w: Array, temperature: Array | None
) -> tuple[Array, ...]:
    def sums(z: Array, w: Array) -> tuple[Array, ...]:
        blocks = Blocks.of(z, w, temperature)
        received = blocks.received()
        return tuple(blocks.sums(function, received) for function in functions)

    def nothing(z: Array, w: Array) -> tuple[Array, ...]:
        return (two_kinds(z, z * 0, z * 0),) * len(functions)  # NaN stays NaN

    # This nearly always holds, which XLA does not know.
    return apart(jnp.any(~jnp.isnan(z)), sums, nothing, z, w)


def apart(
    where: Array, function: Callable[..., T], otherwise: Callable[..., T], *arrays: Array
) -> T:
    """Returns function(*arrays) or otherwise(*arrays), depending on `where`, a scalar.

    XLA fuses nothing into a branch or out of it. Otherwise its CPU backend would compute a long sum
    anew for each of its uses, and in the order in which a later transposition reads it.
    """
    results: T = lax.cond(where, function, otherwise, *arrays)
    return results


class Blocks(NamedTuple):
    """Entries, and the cuts between which each block lies: (blocks, groups, ...)."""

    z: Array
    weights: tuple[Array, Array]  # two sets in the shape of z: see `two_kinds`
    lower: Array  # the first entry of the block
    upper: Array  # the first entry of the next block
    temperature: Array | None

    @classmethod
    def of(cls, z: Array, weights: Array, temperature: Array | None = None) -> Blocks:
        """Returns the blocks of z with complex weights."""
        first = z[:, 0]
        next_group = jnp.concatenate([first[:1, 1:], z[-1:, -1, -1:]], axis=1)
        upper = jnp.concatenate([first[1:], next_group])
        return cls(z, (weights.real, weights.imag), first, upper, temperature)

    def gap(self, upper: Array, lower: Array) -> Array:
        """Returns the difference of two logits in units of the temperature."""
        length = upper - lower
        length = length if self.temperature is None else tempered(length, self.temperature)
        return jnp.minimum(length, _FARTHEST)

    def own(self, upwards: bool) -> Array:
        """Returns the moments of each block at its upper or its lower cut, complex.

        Only scans may read them: a loop that did would compute these sums again for each use.
        """
        sums = [jnp.zeros((), self.z.dtype)] * 2
        for i in range(self.z.shape[1]):
            z = self.z[:, i]
            gap = self.gap(self.upper, z) if upwards else self.gap(z, self.lower)
            decay = _decay(gap, 1)
            sums = [a + decay * w[:, i][:, None] for a, w in zip(sums, self.weights, strict=True)]
        return lax.complex(*sums)

    def received(self) -> Sequence[Array]:
        """Returns the moments of all blocks below at the lower cut, of those above at the upper."""
        if _at_most_one(self.z.shape[0]) and _at_most_one(self.z.shape[2]):
            return []  # a single block receives nothing
        return [self.before(self.own(upwards), upwards) for upwards in (True, False)]

    def before(self, own: Array, upwards: bool) -> Array:
        """Returns the sum of the moments of all blocks before each one, at the cut between them."""

        def step(before: Array, block: tuple[Array, Array]) -> tuple[Array, Array]:
            gap, own = block
            return times(_decay(gap, 0), before) + own, before

        scan = functools.partial(lax.scan, step, reverse=not upwards)
        before_group = jnp.zeros_like(own[0])
        if not _at_most_one(self.z.shape[2]):
            # The same over the groups: the moments of each, then of all groups before it.
            last, first = self.upper[-1:], self.lower[:1]
            totals = scan(before_group, (self.gap(self.upper, self.lower), own))[0]
            groups = self.gap(last, first)[0], jnp.moveaxis(totals, 1, 0)
            before_group = jnp.moveaxis(scan(jnp.zeros_like(groups[1][0]), groups)[1], 0, 1)
        return scan(before_group, (self.gap(self.upper, self.lower), own))[1]

    def within(self, function: Function) -> Array:
        """Returns the sums of one function over the block of each entry, complex."""
        z, w = self.z, lax.complex(*self.weights)
        place = lax.broadcasted_iota(jnp.int32, z.shape, 1)
        place += jnp.zeros_like(z, dtype=jnp.int32)  # it is sharded like z
        (constant_below, sign_below), (constant_above, sign_above) = function.below, function.above
        total = jnp.zeros_like(w)
        for j in range(z.shape[1]):
            z_j, is_below = z[:, j : j + 1], j < place
            u = jnp.exp(-self.gap(jnp.where(is_below, z, z_j), jnp.where(is_below, z_j, z)))
            value = _POLYNOMIALS[function.order][0](u)
            below, above = constant_below + sign_below * value, constant_above + sign_above * value
            value = jnp.where(is_below, below, jnp.where(j > place, above, 0))
            total += times(value, w[:, j : j + 1])
        return total

    def across(self, function: Function, received: Sequence[Array]) -> Array:
        """Returns the sums of one function over other blocks at each entry, complex."""
        total = lax.complex(jnp.zeros_like(self.z), jnp.zeros_like(self.z))
        gaps = self.gap(self.z, self.lower[:, None]), self.gap(self.upper[:, None], self.z)
        sides = function.below, function.above
        factors = coefficients(_POLYNOMIALS[function.order][1], self.z.dtype)
        for moments, gap, (constant, sign) in zip(received, gaps, sides, strict=False):
            u, polynomial = jnp.exp(-gap), jnp.zeros_like(total)
            for k in range(len(factors), 0, -1):
                moment = moments[:, k][:, None]
                polynomial = times(u, polynomial) + times(factors[k - 1], moment)
            total += times(constant, moments[:, 0][:, None]) + times(sign * u, polynomial)
        return total

    def sums(self, function: Function, received: Sequence[Array]) -> Array:
        """Returns the sums of one function at each entry, complex."""
        return self.within(function) + self.across(function, received)


def _decay(gap: Array, axis: int) -> Array:
    """Returns exp(−k·gap), with all powers k along a new axis."""
    gap = jnp.expand_dims(gap, axis)
    shape = [1] * gap.ndim
    shape[axis] = -1
    return jnp.exp(-jnp.arange(_terms(gap.dtype) + 1, dtype=gap.dtype).reshape(shape) * gap)


def _at_most_one(size: Any) -> bool:
    return isinstance(size, int) and size <= 1
