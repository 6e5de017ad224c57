"""Sums over the positives of a label of a soft maximum over its negatives.

The exponential of a surrogate of a difference does not factor, but for one case. So all pairs are
evaluated: one positive of each label at a time, against all of its samples, so that no array of all
pairs is in memory.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.numerics import sigmoid_pair, softplus, tempered, with_slope
from mllosses_jax._core.ordering import by_row, in_place, sort_with_places
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.softmax import log_sum_exp
from mllosses_jax._core.types import AxisName

_LARGEST = 1e15  # its square, divided by the smallest temperature, is finite in float32


def _surrogate(name: str, gap: Array, top: Array, margin: Array) -> tuple[Array, Array, Array]:
    """Returns φ at the largest gap, how far φ at each gap is below, and the slope at each gap.

    Args:
        name: "logistic" or "squared_hinge".
        gap: x_j − x_i, (R, n).
        top: the largest of the gaps, (R, 1).
        margin: m, of the squared hinge.
    """
    if name == "logistic":
        highest = softplus(top)
        return highest, softplus(gap) - highest, sigmoid_pair(gap)[0]
    hinge, highest = jnp.maximum(gap + margin, 0), jnp.maximum(top + margin, 0)
    # A difference of squares, which are infinite for huge logits.
    return highest * highest, (hinge - highest) * (hinge + highest), 2 * hinge


@with_slope(over_labels=True)
def robust_sum(
    x: Array, positives: Array, negatives: Array, surrogate: str, margin: Array, temperature: Array
) -> tuple[Array, Array]:
    """Returns Σ_{i∈P} λ·log(1/|N|·Σ_{j∈N} exp(φ(x_i − x_j)/λ)) of each row, and its slope.

    The time is O(|P|·n), the memory O(n) per row.

    Args:
        x: (R, n).
        positives: bool (R, n), the set P.
        negatives: bool (R, n), the set N; without one, the sum is 0.
        surrogate: φ, "logistic" or "squared_hinge".
        margin: m, a scalar, of the squared hinge.
        temperature: λ, a scalar.
    """
    x = jnp.clip(x, -_LARGEST, _LARGEST)
    number = jnp.sum(negatives, axis=-1).astype(x.dtype)
    highest = jnp.max(jnp.where(negatives, x, -jnp.inf), axis=-1, initial=-jnp.inf)
    highest = jnp.where(number > 0, highest, 0)[:, None]
    log_number = jnp.log(jnp.maximum(number, 1))
    below = jnp.where(negatives, x, highest)  # what is no negative stays finite
    positives = positives & (number > 0)[:, None]
    _, order = sort_with_places((~positives).astype(jnp.int32))  # positives come first
    own, valid = (jnp.moveaxis(by_row(jnp.take)(a, order), -1, 0) for a in (x, positives))

    def of_one(pushed: Array, entry: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        own, valid = entry

        def pairs(pushed: Array) -> tuple[Array, Array, Array]:
            at = own[:, None]
            top, lower, slope = _surrogate(surrogate, below - at, highest - at, margin)
            share = jnp.where(negatives, jnp.exp(tempered(lower, temperature)), 0)
            total = jnp.where(valid, jnp.sum(share, axis=-1), 1)
            value = top[:, 0] + temperature * (jnp.log(total) - log_number)
            push = share * slope * jnp.where(valid, 1 / total, 0)[:, None]
            return pushed + push, jnp.where(valid, value, 0), -jnp.sum(push, axis=-1)

        def nothing(pushed: Array) -> tuple[Array, Array, Array]:
            return pushed, jnp.zeros_like(own), jnp.zeros_like(own)

        pushed, value, slope = lax.cond(jnp.any(valid), pairs, nothing, pushed)
        return pushed, (value, slope)

    pushed, (values, slopes) = lax.scan(of_one, jnp.zeros_like(x), (own, valid))
    return jnp.sum(values, axis=0), pushed + in_place(jnp.moveaxis(slopes, 0, -1), order)


def factored_sum(
    x: Array, positives: Array, negatives: Array, number: Array, axis_name: AxisName
) -> Array:
    """Returns `robust_sum` of each label for the logistic surrogate and λ = 1, in O(n).

    There, mean_N exp(φ(x_i − x_j)) = 1 + exp(−x_i)·mean_N exp(x_j).

    Args:
        x: (..., L), of this device; all leading axes are one batch.
        positives: bool (..., L).
        negatives: bool (..., L).
        number: the number of negatives of each label, (L,), over all devices.
        axis_name: mesh axes over which the batch continues.
    """
    batch = tuple(range(x.ndim - 1))
    log_mean = log_sum_exp(x, negatives, batch, axis_name) - jnp.log(jnp.maximum(number, 1))
    log_mean = jnp.where(number > 0, log_mean, 0).reshape((1,) * len(batch) + number.shape)

    def terms(x: Array, positive: Array, log_mean: Array) -> Array:
        return jnp.where(positive, softplus(log_mean - x), 0)

    return all_sum(sum_of_terms(terms, (x, positives, log_mean), batch), axis_name)
