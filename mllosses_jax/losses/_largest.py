"""Selection of the largest entries of a batch over all devices, without sorting or reshaping."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.ordering import ranking_keys, scores_of_keys
from mllosses_jax._core.reduction import masked_count
from mllosses_jax._core.types import AxisName


def largest(values: Array, among: Array, k: Array | int, axis_name: AxisName) -> Array:
    """Returns which of the entries `among` are the k largest, including all ties with the k-th.

    The k-th largest value is found by bisection over the floats: k may be traced, devices exchange
    one count per bit, and no intermediate value is kept or differentiated.

    Args:
        values: float array of any shape.
        among: bool array of the same shape.
        k: the number of entries to select; if there are fewer, all are selected.
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
        first, last = keys  # keys ascend as values descend
        middle = (first & last) + ((first ^ last) >> 1)  # the mean of both, without overflow
        enough = masked_count(from_key(middle), axis_name) >= k
        return jnp.where(enough, first, middle + 1), jnp.where(enough, middle, last)

    keys = ranking_keys(top), ranking_keys(bottom)
    _, last = lax.fori_loop(0, jnp.iinfo(keys[0].dtype).bits, halve, keys)
    return from_key(last) & (k > 0)
