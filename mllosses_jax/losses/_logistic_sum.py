"""Sums of softpluses over all pairs of a positive and a negative in a row, in O(n log n).

softplus(t) is max(0, t) + log(1 + exp(−|t|)). The hinges of all pairs are the gaps between two
neighbors in the sorted row, each times the pairs that span it. The logarithms are sums as in
`_pair_sums`; within a block, they are the logarithm of one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.numerics import log_share, with_slope
from mllosses_jax.losses._pair_sums import (
    LOG,
    SIGMOID,
    SIGMOID_OF_MINUS,
    SIGMOID_SLOPE,
    Blocks,
    apart,
    pair_sums,
    sorted_rows,
    times,
    total_of_rows,
    two_kinds,
)


@with_slope(over_labels=True)
def logistic_sum(x: Array, positives: Array, negatives: Array) -> tuple[Array, Array]:
    """Returns Σ_{i∈P} Σ_{j∈N} softplus(x_j − x_i) along the last axis."""
    rows = sorted_rows(x, positives, negatives)
    total, slope = _value_and_slope(rows.z, rows.positives, rows.negatives)
    slope = rows.restored(slope)
    return _known(total, x, slope), slope


@jax.custom_jvp
def _known(total: Array, x: Array, slope: Array) -> Array:
    """Returns the total of rows x, whose derivative is known."""
    return total


@_known.defjvp
def _known_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return _known(*primals), jnp.sum(primals[2] * tangents[1], axis=-1)


@jax.custom_jvp
def _value_and_slope(z: Array, positives: Array, negatives: Array) -> tuple[Array, Array]:
    """Returns the total of each row, without a derivative, and the slope in the shape of z.

    There are five loops over the entries: for moments from below and from above, for the slope, and
    for the values of pairs within a block and of others.
    """

    def sums(z: Array, p: Array, q: Array) -> tuple[Array, Array]:
        blocks = Blocks.of(z, two_kinds(z, p, q))
        received = blocks.received()
        pulled = blocks.sums(SIGMOID, received).imag
        pushed = blocks.sums(SIGMOID_OF_MINUS, received).real
        slope = jnp.where(p, -pulled, jnp.where(q, pushed, 0))
        return total_of_rows(_values(blocks, received)), slope

    def nothing(z: Array, p: Array, q: Array) -> tuple[Array, Array]:
        return total_of_rows(z * 0), z * 0  # NaN stays NaN

    return apart(jnp.any(positives), sums, nothing, z, positives, negatives)


@_value_and_slope.defjvp
def _value_and_slope_jvp(primals: Any, tangents: Any) -> Any:
    (z, p, q), (dz, _, _) = primals, tangents
    total, slope = _value_and_slope(z, p, q)
    w = two_kinds(z, p, q)
    (own,) = pair_sums((SIGMOID_SLOPE,), z, w)
    (others,) = pair_sums((SIGMOID_SLOPE,), z, times(dz, w))
    change = times(dz, own) - others
    change = jnp.where(p, change.imag, jnp.where(q, change.real, 0))
    return (total, slope), (jnp.zeros_like(total), change)


def _values(blocks: Blocks, received: Sequence[Array]) -> Array:
    """Returns what each entry adds to the total, by pairs with entries below it, or its block."""
    z, size = blocks.z, blocks.z.shape[1]
    entries = [(z[:, i], *(w[:, i] for w in blocks.weights)) for i in range(size)]

    # pairs within a block: the product of all 1 + u, less 1
    product = jnp.zeros_like(z[:, 0])
    for i, (z_i, p_i, q_i) in enumerate(entries):
        u, lower = jnp.ones_like(product), z_i
        for upper, p_j, q_j in entries[i + 1 :]:
            u *= jnp.exp(-blocks.gap(upper, lower))
            term = u * (p_i * q_j + q_i * p_j)
            product, lower = product + term + term * product, upper
    share = 1 / (1 + product)
    total = -log_share(share, product * share)

    # hinges: each gap adds its length to every pair that spans it
    below, above = jnp.zeros_like(total), sum(q for _, _, q in entries)
    if received:
        below, above = received[0][:, 0].real, received[1][:, 0].imag + above
    largest = jnp.finfo(z.dtype).max
    for i, (lower, p, q) in enumerate(entries):
        upper = entries[i + 1][0] if i + 1 < size else blocks.upper
        below, above = below + p, above - q
        length = jnp.where((upper == largest) | (lower == -largest), jnp.inf, upper - lower)
        total += jnp.where((below * above == 0) | (upper == lower), 0, length * (below * above))

    # pairs with blocks below
    rest = blocks.across(LOG, received[:1])
    p, q = blocks.weights
    return jnp.sum(p * rest.imag + q * rest.real, axis=1, keepdims=True) + total[:, None]
