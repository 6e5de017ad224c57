"""The only place where losses are weighted, summed and averaged.

Each kind of loss has its own function, which determines what one unreduced entry is, which entries
count and what shape weights have; the six reductions are then the same for all. Losses that need
sums, counts and means over their batch use the helpers here too.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import step
from mllosses_jax._core.platforms import sum_of_terms, total
from mllosses_jax._core.types import AnyReduction, AxisName, LossValue

REDUCTIONS_TO_A_NUMBER = ("sum", "mean", "batchmean", "weighted_mean")
REDUCTIONS = ("none", *REDUCTIONS_TO_A_NUMBER, "sum_and_count")


def reduce_elements(
    losses: Array,
    where: Array | None,
    weights: ArrayLike | None,
    reduction: AnyReduction,
    axis_name: AxisName,
) -> LossValue:
    """Reduces element losses (..., L); weights are (L,), or have the same rank, axes equal or 1."""
    scale = None if weights is None else _element_weights(weights, losses)
    # A count takes half as long as `jnp.any` on a CPU, and no longer elsewhere.
    samples = None if where is None else masked_count(where, None, axis=-1) > 0
    return _reduce(losses, scale, where, samples, losses.shape[:-1], reduction, axis_name)


def reduce_samples(
    losses: Array,
    where: Array | None,
    weights: ArrayLike | None,
    reduction: AnyReduction,
    axis_name: AxisName,
) -> LossValue:
    """Reduces sample losses (...); a sample counts if `where` (..., L) holds for a label in it."""
    scale = None if weights is None else _weights_of_shape(weights, losses, "sample")
    # A count takes half as long as `jnp.any` on a CPU, and no longer elsewhere.
    samples = None if where is None else masked_count(where, None, axis=-1) > 0
    return _reduce(losses, scale, samples, samples, losses.shape, reduction, axis_name)


def reduce_labels(
    losses: Array,
    where: Array | None,
    weights: ArrayLike | None,
    reduction: AnyReduction,
    axis_name: AxisName,
) -> LossValue:
    """Reduces label losses (L,), which are equal on all devices of `axis_name`.

    A label counts if `where` (..., L) holds for any of its entries on any device. For losses of
    shape (), all entries belong to one label.
    """
    if reduction == "batchmean":
        raise ValueError('reduction="batchmean" averages over samples; label losses (L,) have none')
    scale = None if weights is None else _weights_of_shape(weights, losses, "label")
    counted = None
    if where is not None:
        batch = tuple(range(where.ndim - losses.ndim))
        counted = masked_count(where, axis_name, axis=batch) > 0
    return _reduce(losses, scale, counted, None, (), reduction, None)


def all_sum(value: Array, axis_name: AxisName) -> Array:
    """Returns the sum of `value` over the devices of `axis_name`, or `value` if that is None."""
    return value if axis_name is None else jax.lax.psum(value, axis_name)


def masked_sum(
    values: Array,
    where: Array | None,
    axis_name: AxisName,
    *,
    axis: int | tuple[int, ...] | None = None,
) -> Array:
    """Returns the sum of the values that count along `axis`, over all devices."""
    counted = values if where is None else jnp.where(where, values, 0)
    return all_sum(jnp.sum(counted, axis=axis), axis_name)


@step("axis_name", "axis")
def masked_count(
    where: Array, axis_name: AxisName, *, axis: int | tuple[int, ...] | None = None
) -> Array:
    """Returns how many entries count along `axis`, over all devices, as int32.

    Integers stay exact where float32 does not, above 2 ** 24.
    """
    axes = range(where.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(axis % where.ndim for axis in axes)
    return all_sum(sum_of_terms(lambda w: w.astype(jnp.int32), (where,), axes), axis_name)


def count_entries(
    like: Array,
    where: Array | None,
    axis_name: AxisName,
    *,
    axis: int | tuple[int, ...] | None = None,
) -> Array:
    """Returns how many entries count along `axis`, over all devices, as int32.

    Without a mask all entries of `like` do, and nothing is added up.
    """
    if where is not None:
        return masked_count(where, axis_name, axis=axis)
    axes = range(like.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return size_of(tuple(like.shape[a] for a in axes), jnp.dtype(jnp.int32)) * number_of_devices(
        axis_name
    )


def masked_mean(
    values: Array,
    where: Array | None,
    axis_name: AxisName,
    *,
    axis: int | tuple[int, ...] | None = None,
) -> Array:
    """Returns the mean of the values that count along `axis`, over all devices; 0 if none does."""
    number = count_entries(values, where, axis_name, axis=axis).astype(values.dtype)
    return safe_divide(masked_sum(values, where, axis_name, axis=axis), number)


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """Returns numerator / denominator, and 0 with zero gradient where the denominator is 0."""
    nothing = denominator == 0
    quotient = numerator / jnp.where(nothing, jnp.ones_like(denominator), denominator)
    return jnp.where(nothing, jnp.zeros_like(quotient), quotient)


def size_of(shape: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """Returns the product of axes, whose symbolic sizes are known when the program runs."""
    known = math.prod(axis for axis in shape if isinstance(axis, int))
    size = jnp.asarray(known, dtype)
    for axis in shape:
        size = size if isinstance(axis, int) else size * jnp.asarray(axis).astype(dtype)
    return size


def number_of_devices(axis_name: AxisName) -> int:
    """Returns over how many devices the axis runs, 1 for None."""
    return 1 if axis_name is None else jax.lax.axis_size(axis_name)


@step("sample_shape", "reduction", "axis_name")
def _reduce(
    losses: Array,
    weights: Array | None,
    counted: Array | None,
    samples: Array | None,
    sample_shape: tuple[int, ...],
    reduction: AnyReduction,
    axis_name: AxisName,
) -> LossValue:
    checks.one_of("reduction", reduction, REDUCTIONS)
    if weights is not None:
        weights = weights if counted is None else jnp.where(counted, weights, 0)
        losses = losses * weights
    if counted is not None:
        losses = jnp.where(counted, losses, jnp.zeros_like(losses))
    if reduction == "none":
        return losses
    summed = all_sum(total(losses), axis_name)
    if reduction == "sum":
        return summed
    if reduction == "batchmean":
        count = _count(samples, sample_shape, losses, axis_name)
    elif reduction == "weighted_mean" and weights is not None:
        count = all_sum(jnp.sum(weights), axis_name)
    else:
        count = _count(counted, losses.shape, losses, axis_name)
    if reduction == "sum_and_count":
        return summed, count
    return safe_divide(summed, count)


def _count(
    counted: Array | None, shape: tuple[int, ...], losses: Array, axis_name: AxisName
) -> Array:
    """Returns how many entries count, or the size of `shape` where all do."""
    if counted is None:
        return size_of(shape, losses.dtype) * number_of_devices(axis_name)
    return masked_count(counted, axis_name).astype(losses.dtype)


def _element_weights(weights: ArrayLike, losses: Array) -> Array:
    result = checks.array("weights", weights).astype(losses.dtype)
    shape = losses.shape
    if result.ndim == 0 or result.shape == shape[-1:]:
        return jnp.broadcast_to(result, shape)
    same_rank = result.ndim == losses.ndim
    if not same_rank or any(w not in (1, n) for w, n in zip(result.shape, shape, strict=True)):
        raise ValueError(
            f"weights must be a scalar, have shape ({shape[-1]},) (per label), or have as many "
            f"axes as the logits, each equal to theirs or 1 (per sample: {(*shape[:-1], 1)}): "
            f"got {result.shape} for logits {shape}"
        )
    return jnp.broadcast_to(result, shape)


def _weights_of_shape(weights: ArrayLike, losses: Array, entry: str) -> Array:
    result = checks.array("weights", weights).astype(losses.dtype)
    if result.ndim != 0 and result.shape != losses.shape:
        raise ValueError(
            f"weights must be a scalar or have one entry per {entry}: "
            f"expected {losses.shape}, got {result.shape}"
        )
    return jnp.broadcast_to(result, losses.shape)
