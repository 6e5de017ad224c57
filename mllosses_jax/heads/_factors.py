"""The reductions of a head: by which factor the loss of each sample counts."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.reduction import all_sum, number_of_devices, safe_divide, size_of
from mllosses_jax._core.types import AnyReduction, AxisName
from mllosses_jax.heads._chunks import over_chunks
from mllosses_jax.heads._mesh import zeros_like
from mllosses_jax.heads._problem import Plan, Problem
from mllosses_jax.heads._two_sweep import TwoSweep
from mllosses_jax.heads.sparse_labels import distinct


def factors_of(
    plan: Plan,
    found: Problem,
    reduction: AnyReduction,
    axis_name: AxisName,
    label_axis_name: AxisName,
) -> tuple[Array, Array]:
    """Returns the factor of each sample's loss, (B,), and the number that "sum_and_count" gives.

    The entries are counted in floats: there may be more than integers of 32 bits can count.
    """
    count = _count(plan, found, reduction, axis_name, label_axis_name)
    if reduction in ("sum", "sum_and_count"):
        return found.rows, count
    return safe_divide(found.rows, count), count


def _count(
    plan: Plan,
    found: Problem,
    reduction: AnyReduction,
    axis_name: AxisName,
    label_axis_name: AxisName,
) -> Array:
    """Returns the number or the weights of what counts; devices add up only what may differ."""
    rows, known = found.rows, found.known
    if isinstance(plan.entries, TwoSweep):  # what counts is samples
        counted = jnp.ones_like(rows) if known is None else (known > 0).astype(rows.dtype)
        if reduction == "weighted_mean":
            counted = counted * rows
        return all_sum(jnp.sum(counted), axis_name)
    if reduction == "weighted_mean":
        weights: Array | int = plan.num_labels if known is None else known
        if found.per_label.weights is not None:
            weights = _label_weights(plan, found, label_axis_name)
        return all_sum(jnp.sum(rows * weights), axis_name)
    if known is None:
        labels = 1 if reduction == "batchmean" else plan.num_labels
        return size_of((*rows.shape, labels), rows.dtype) * number_of_devices(axis_name)
    counted = known > 0 if reduction == "batchmean" else known
    return all_sum(jnp.sum(counted.astype(rows.dtype)), axis_name)


def _sum_of_labels(plan: Plan, weights: Array, first: Array | int) -> Array:
    """Returns the sum of the weights of the labels that exist, of this device, ()."""

    def add_chunk(start: Array | int, size: int, total: Array) -> Array:
        exist = first + start + jnp.arange(size) < plan.num_labels
        chunk = lax.dynamic_slice_in_dim(weights, start, size)
        return total + jnp.sum(jnp.where(exist, chunk, 0))

    nothing = zeros_like(weights[0], weights.dtype)
    return over_chunks(len(weights), plan.chunk_size, add_chunk, nothing)


def _label_weights(plan: Plan, found: Problem, label_axis_name: AxisName) -> Array:
    """Returns the sum of the weights of the labels that count, of all devices, () or (B,)."""
    weights, ids = found.per_label.weights, found.ids
    assert weights is not None
    counted = _sum_of_labels(plan, weights, ids.first) if plan.padded else jnp.sum(weights)
    if ids.unknown is not None:
        here = ids.unknown - ids.first
        is_here = distinct(ids.unknown) & (here >= 0) & (here < len(weights))
        hidden = jnp.where(is_here, weights[jnp.where(is_here, here, 0)], 0)
        counted = counted - jnp.sum(hidden, axis=1)
    return all_sum(counted, label_axis_name)
