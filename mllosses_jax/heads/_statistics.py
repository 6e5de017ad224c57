"""Two sweeps over the labels in chunks, for losses of samples whose negatives act together.

The first sweep keeps the largest logit of the negatives so far, and sums relative to it. The
second is the sweep of `_sweep`, which takes the gradients of these sums.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.types import AxisName
from mllosses_jax.heads._chunks import over_chunks, over_chunks_again
from mllosses_jax.heads._gradients import as_shapes, from_shapes, value_of, wanted_of
from mllosses_jax.heads._kernel import Kernel, in_loop, read
from mllosses_jax.heads._problem import Ids, Plan, Problem, Shared
from mllosses_jax.heads._sweep import (
    Arrays,
    chunk_inputs,
    logits_of,
    losses_and_gradients,
    no_sums,
    slice_labels,
)
from mllosses_jax.heads._two_sweep import Rows, TwoSweep
from mllosses_jax.heads.memory import Implementation
from mllosses_jax.heads.sparse_labels import PADDING, distinct


def row_losses(
    implementation: Implementation,
    plan: Plan,
    arrays: Arrays,
    ids: Ids,
    found: Problem,
    label_axis_name: AxisName,
) -> Array:
    """Returns the loss of each sample, (B,), equal on all devices of the labels."""
    ids = each_once(ids)
    if implementation == "recompute":
        top, rows = statistics(plan, arrays, ids)
    elif implementation == "checkpoint":
        top, rows = differentiable_statistics(plan, arrays, ids)
    else:
        start = _nothing(plan, arrays, ids)
        top, rows = _with_chunk(plan, arrays, ids, 0, plan.num_rows(arrays.kernel), *start)
    return losses_of_rows(plan, top, rows, found, label_axis_name)


def losses_of_rows(
    plan: Plan, top: Array, rows: Rows, found: Problem, label_axis_name: AxisName
) -> Array:
    """Returns the loss of each sample, (B,), from the statistics of this device's labels."""
    entries, scalars = _entries(plan), found.shared.parameters
    top = lax.stop_gradient(top)  # only a scale, on which no result depends
    top, rows = entries.of_all_devices(top, rows, scalars, label_axis_name)
    ids = each_once(found.ids).positives
    return entries.losses(top, rows, (ids >= 0) & (ids < plan.num_labels), scalars)


def each_once(ids: Ids) -> Ids:
    """Returns ids of which each positive is there once."""
    return ids._replace(positives=jnp.where(distinct(ids.positives), ids.positives, PADDING))


def first_sweep(plan: Plan, arrays: Arrays, ids: Ids) -> tuple[Kernel, Array, Rows]:
    """Returns the kernel, the largest logits of the negatives, (B,), and the sums.

    What is done with the kernel afterwards is done with the one that is returned, so that it need
    not be there twice.
    """

    def add_chunk(start: Array | int, size: int, carry: tuple[Kernel, Array, Rows]) -> Any:
        kernel, top, rows = carry
        kernel = in_loop(kernel)
        chunk = arrays._replace(kernel=kernel)
        return kernel, *_with_chunk(plan, chunk, ids, start, size, top, rows)

    start = arrays.kernel, *_nothing(plan, arrays, ids)
    return over_chunks(plan.num_rows(arrays.kernel), plan.chunk_size, add_chunk, start)


def differentiable_statistics(plan: Plan, arrays: Arrays, ids: Ids) -> tuple[Array, Rows]:
    """Returns the statistics in a form that any number of derivatives can be taken of."""

    def add_chunk(start: Array | int, size: int, so_far: tuple[Array, Rows]) -> Any:
        return _with_chunk(plan, arrays, ids, start, size, *so_far)

    nothing = _nothing(plan, arrays, ids)
    return over_chunks_again(plan.num_rows(arrays.kernel), plan.chunk_size, add_chunk, nothing)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def statistics(plan: Plan, arrays: Arrays, ids: Ids) -> tuple[Array, Rows]:
    """Returns the largest logits of the negatives, (B,), a constant, and the sums."""
    return first_sweep(plan, arrays, ids)[1:]


def _forward(plan: Plan, arrays: Any, ids: Any) -> tuple[Any, Any]:
    wanted = wanted_of(arrays)
    arrays, ids = value_of((arrays, ids))
    _, top, rows = first_sweep(plan, arrays, ids)
    return (top, rows), (arrays, ids, top, as_shapes(wanted))


def _backward(plan: Plan, saved: Any, cotangent: tuple[Array, Rows]) -> tuple[Any, ...]:
    arrays, ids, top, flags = saved
    wanted = from_shapes(flags)
    _, gradients = losses_and_gradients(
        plan, relative_to(top, arrays), ids, cotangent[1], relative_to(False, wanted)
    )
    shared = gradients.shared._replace(numbers={})
    return gradients._replace(shared=shared), None


statistics.defvjp(_forward, _backward, symbolic_zeros=True)


def relative_to(top: Any, arrays: Any) -> Any:
    """Returns the arrays of a second sweep, which gives the sums relative to `top`."""
    return arrays._replace(shared=Shared(arrays.shared.parameters, {"top": top}))


def _with_chunk(
    plan: Plan, arrays: Arrays, ids: Ids, start: Array | int, size: int, top: Array, rows: Rows
) -> tuple[Array, Rows]:
    """Returns the statistics with those of a chunk added."""
    of_chunk = read(arrays.kernel, start, size, plan.label_axis)
    per_label = slice_labels(arrays.per_label, start, size)
    logits, labels, counted = chunk_inputs(
        plan, logits_of(arrays.features, of_chunk), per_label, ids, start, size
    )
    negatives = ~labels if counted is None else ~labels & counted
    lowest = jnp.finfo(logits.dtype).min
    largest = jnp.max(jnp.where(negatives, logits, lowest), axis=1, initial=lowest)
    new_top = jnp.maximum(top, lax.stop_gradient(largest))
    entries, scalars = _entries(plan), arrays.shared.parameters
    new = entries.rows(logits, negatives, ids.positives - ids.first - start, new_top, scalars)
    return new_top, entries.added(top, rows, new_top, scalars, new)


def _nothing(plan: Plan, arrays: Arrays, ids: Ids) -> tuple[Array, Rows]:
    rows = no_sums(plan, arrays, ids)
    return rows.total + jnp.finfo(rows.total.dtype).min, rows


def _entries(plan: Plan) -> TwoSweep:
    assert isinstance(plan.entries, TwoSweep)
    return plan.entries
