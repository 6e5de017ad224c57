"""Which entries of a batch are its largest, over all devices: no sort, no reshape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import Inputs
from mllosses_jax._core.numerics import AxisName
from mllosses_jax._core.ordering import ranking_keys, scores_of_keys
from mllosses_jax._core.reduction import all_sum

Array = jax.Array


def largest(values: Array, among: Array, k: Array | int, axis_name: AxisName) -> Array:
    """Returns which of the entries `among` are the k largest, with all that equal the k-th.

    The k-th largest is found by halving the interval in which it lies, counted in floats: k may
    be traced, devices exchange one count per bit, and nothing is kept or differentiated.

    Args:
        values: floats of any shape.
        among: bool, of the same shape.
        k: how many; more than there are selects all of them.
        axis_name: mesh axes over which the batch continues.
    """
    values = lax.stop_gradient(values)
    top = jnp.max(jnp.where(among, values, -jnp.inf), initial=-jnp.inf)
    bottom = jnp.min(jnp.where(among, values, jnp.inf), initial=jnp.inf)
    if axis_name is not None:
        top, bottom = lax.pmax(top, axis_name), lax.pmin(bottom, axis_name)

    def from_key(key: Array) -> Array:
        return among & (values >= scores_of_keys(key, values.dtype))

    def halve(_: int, keys: tuple[Array, Array]) -> tuple[Array, Array]:
        first, last = keys  # they ascend as values descend
        middle = (first & last) + ((first ^ last) >> 1)  # their mean, without overflow
        enough = all_sum(jnp.sum(from_key(middle), dtype=jnp.int32), axis_name) >= k
        return jnp.where(enough, first, middle + 1), jnp.where(enough, middle, last)

    keys = ranking_keys(top), ranking_keys(bottom)
    _, last = lax.fori_loop(0, jnp.iinfo(keys[0].dtype).bits, halve, keys)
    return from_key(last) & (k > 0)


def large_losses(
    inputs: Inputs, annotated: ArrayLike | None, relative_rate: ArrayLike, axis_name: AxisName
) -> Array:
    """Returns which unknown labels have the largest losses as negatives, bool (..., L).

    Args:
        inputs: of the loss; labels that are not positive are unknown, unless annotated.
        annotated: bool, of the rank of the logits, or None.
        relative_rate: how many, as a share of all entries that count, rounded up.
        axis_name: mesh axes over which the batch continues.
    """
    unknown, known = inputs.negatives(), checks.mask("annotated", annotated, inputs.x.shape)
    unknown = unknown if known is None else unknown & ~known
    rate = checks.scalar("relative_rate", relative_rate, inputs.x.dtype)
    size = all_sum(jnp.sum(inputs.counted(), dtype=jnp.int32), axis_name).astype(rate.dtype)
    # A rate that was rounded up to a float must not reach beyond the next integer.
    k = jnp.ceil(size * rate * (1 - 2 * jnp.finfo(rate.dtype).eps)).astype(jnp.int32)
    # As negatives, their losses are in the order of their logits.
    return largest(inputs.x, unknown, k, axis_name)
