"""One pass over the labels in chunks: the losses of the samples, and all gradients on request.

The gradient of a separable loss in the logits of a chunk needs only this chunk. So one pass gives
the losses, the gradient of the features and that of the kernel with three matrix products per
chunk, and no array holds more than one chunk of logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.platforms import total_over_labels
from mllosses_jax.heads._chunks import over_chunks, over_chunks_again
from mllosses_jax.heads._entries import Parameters
from mllosses_jax.heads._kernel import (
    Kernel,
    chunk_dtype,
    in_loop,
    product,
    read,
    wide_dtype,
    write,
)
from mllosses_jax.heads._mesh import zeros_like
from mllosses_jax.heads._problem import Ids, PerLabel, Plan, Shared
from mllosses_jax.heads._two_sweep import Rows, TwoSweep

Tree = TypeVar("Tree")


class Arrays(NamedTuple):
    """The arrays of a head, or their gradients, of which those that nobody wants are None.

    Attributes:
        features: (B, D), or None if the kernel holds logits.
        kernel: (L, D) or (D, L), or logits (B, L), whose labels are axis 1.
        per_label: arrays (L,).
        shared: arrays of all chunks.
    """

    features: Any
    kernel: Any
    per_label: PerLabel
    shared: Shared


def sample_losses(plan: Plan, arrays: Arrays, ids: Ids) -> Array:
    """Returns the sum over the labels of the losses of each sample, (B,)."""

    def add_chunk(start: Array | int, size: int, carry: tuple[Kernel, Array]) -> Any:
        kernel = in_loop(carry[0])
        losses = losses_of_chunk(plan, arrays._replace(kernel=kernel), ids, start, size)
        return kernel, carry[1] + losses

    start = arrays.kernel, no_sums(plan, arrays, ids)
    losses: Array
    _, losses = over_chunks(plan.num_rows(arrays.kernel), plan.chunk_size, add_chunk, start)
    return losses


def differentiable_sample_losses(plan: Plan, arrays: Arrays, ids: Ids) -> Array:
    """Returns `sample_losses` in a form that any number of derivatives can be taken of."""

    def add_chunk(start: Array | int, size: int, sums: Array) -> Array:
        return sums + losses_of_chunk(plan, arrays, ids, start, size)

    rows = plan.num_rows(arrays.kernel)
    sums: Array = no_sums(plan, arrays, ids)
    return over_chunks_again(rows, plan.chunk_size, add_chunk, sums)


def losses_and_gradients(
    plan: Plan, arrays: Arrays, ids: Ids, cotangent: Any, wanted: Any
) -> tuple[Any, Any]:
    """Returns `sample_losses`, and the gradients of their product with `cotangent`.

    For a loss in two sweeps these are, in place of the losses, its statistics `Rows`.

    Args:
        plan: the constants.
        arrays: what the gradients are taken of.
        ids: the labels.
        cotangent: float (B,), or `Rows`.
        wanted: Arrays of bools: which gradients are computed; the others are None.
    """

    def add_chunk(start: Array | int, size: int, carry: tuple[Kernel, Any, Arrays]) -> Any:
        kernel, sums, gradients = carry
        kernel = in_loop(kernel)
        rows = read(kernel, start, size, plan.label_axis)
        losses, of_chunk = gradients_of_chunk(
            plan, arrays, rows, ids, start, size, cotangent, wanted
        )
        return (
            kernel,
            add(sums, losses),
            Arrays(
                add(gradients.features, of_chunk.features),
                write(gradients.kernel, of_chunk.kernel, start, plan.label_axis)
                if wanted.kernel is True
                else gradients.kernel,  # which holds no arrays
                put_labels(gradients.per_label, of_chunk.per_label, start),
                add(gradients.shared, of_chunk.shared),
            ),
        )

    sums = no_sums(plan, arrays, ids)
    start = jax.tree.map(lambda x, want: zeros_like(x, x.dtype) if want else None, arrays, wanted)
    if wanted.features:
        start = start._replace(features=zeros_like(arrays.features, _wide(arrays)))
    _, sums, gradients = over_chunks(
        plan.num_rows(arrays.kernel), plan.chunk_size, add_chunk, (arrays.kernel, sums, start)
    )
    if wanted.features:
        of_features = gradients.features.astype(arrays.features.dtype)
        gradients = gradients._replace(features=of_features)
    return sums, gradients


def gradients_of_chunk(
    plan: Plan,
    arrays: Arrays,
    rows: Array,
    ids: Ids,
    start: Array | int,
    size: int,
    cotangent: Any,
    wanted: Any,
) -> tuple[Any, Arrays]:
    """Returns the losses of the samples in a chunk, (B,), and the gradients it adds.

    For a loss in two sweeps these are, in place of the losses, its statistics `Rows`.

    Args:
        plan: the constants.
        arrays: those of all labels, whose kernel is not used.
        rows: the rows of the kernel in this chunk, (C, D).
        ids: the labels.
        start: the first label of the chunk.
        size: C.
        cotangent: float (B,), the factors of the losses, or `Rows`.
        wanted: Arrays of bools: which gradients are computed; the others are None.
    """
    h = arrays.features
    per_label = slice_labels(arrays.per_label, start, size)

    def losses(logits: Array, per_label: PerLabel, shared: Shared) -> Any:
        return _losses(plan, logits, per_label, shared, ids, start, size)

    value, (slope, of_labels, of_shared) = _value_and_pullback(
        losses,
        (logits_of(h, rows), per_label, arrays.shared),
        (wanted.features or wanted.kernel is True, wanted.per_label, wanted.shared),
        cotangent,
    )
    of_features = of_rows = None
    if slope is not None:
        if h is not None and h.dtype == rows.dtype and _reaches_as_far(rows.dtype):
            slope = slope.astype(rows.dtype)
        of_features = product(slope, rows, (1, 0)) if wanted.features else None
        if wanted.kernel is True:
            of_rows = slope.T if h is None else product(slope, h, (0, 0))
    return value, Arrays(of_features, of_rows, of_labels, of_shared)


def _value_and_pullback(
    function: Callable[..., Any], arguments: Any, wanted: Any, cotangent: Any
) -> tuple[Any, Any]:
    """Returns function(*arguments), and the gradients that are wanted; the others are None."""
    leaves, tree = jax.tree.flatten(arguments)
    flags = jax.tree.leaves(wanted)

    def of_wanted(chosen: list[Array]) -> Any:
        rest = iter(chosen)
        every = [next(rest) if flag else x for flag, x in zip(flags, leaves, strict=True)]
        return function(*jax.tree.unflatten(tree, every))

    value, pull = jax.vjp(of_wanted, [x for flag, x in zip(flags, leaves, strict=True) if flag])
    found = iter(pull(cotangent)[0])
    return value, jax.tree.unflatten(tree, [next(found) if flag else None for flag in flags])


def losses_of_chunk(
    plan: Plan,
    arrays: Arrays,
    ids: Ids,
    start: Array | int,
    size: int,
) -> Array:
    """Returns the sums over the labels of a chunk of the losses of each sample, (B,)."""
    rows = read(arrays.kernel, start, size, plan.label_axis)
    logits = logits_of(arrays.features, rows)
    per_label = slice_labels(arrays.per_label, start, size)
    losses: Array = _losses(plan, logits, per_label, arrays.shared, ids, start, size)
    return losses


def put_labels(whole: Tree, part: Tree, start: Array | int) -> Tree:
    """Returns arrays (L,) with the entries of a chunk replaced."""
    result: Tree = jax.tree.map(
        lambda x, new: lax.dynamic_update_slice_in_dim(x, new.astype(x.dtype), start, 0),
        whole,
        part,
    )
    return result


def add(sums: Tree, terms: Tree) -> Tree:
    """Returns sums of arrays, where there are any."""
    result: Tree = jax.tree.map(jnp.add, sums, terms)
    return result


def _losses(
    plan: Plan,
    logits: Array,
    per_label: PerLabel,
    shared: Shared,
    ids: Ids,
    start: Array | int,
    size: int,
) -> Any:
    """Returns the sums over the labels of a chunk of the weighted losses, (B,), or `Rows`."""
    logits, labels, counted = chunk_inputs(plan, logits, per_label, ids, start, size)
    if isinstance(plan.entries, TwoSweep):
        negatives = ~labels if counted is None else ~labels & counted
        local = ids.positives - ids.first - start
        top = shared.numbers["top"]
        return plan.entries.rows(logits, negatives, local, top, shared.parameters)
    parameters = Parameters(per_label.parameters, shared.parameters)
    losses = plan.entries(logits, labels, parameters, shared.numbers)
    if per_label.weights is not None:
        losses = losses * per_label.weights[None]
    if counted is not None:
        losses = jnp.where(counted, losses, 0)
    return total_over_labels(losses)


def chunk_inputs(
    plan: Plan, logits: Array, per_label: PerLabel, ids: Ids, start: Array | int, size: int
) -> tuple[Array, Array, Array | None]:
    """Returns the logits of a chunk with their bias, the labels, and which entries count."""
    if per_label.bias is not None:
        logits = logits + per_label.bias.astype(logits.dtype)[None]
    counted = plan.counted(ids, start, size)
    if counted is not None:  # before the loss, since the slope of a masked NaN would be 0 · NaN
        logits = jnp.where(counted, logits, 0)
    return logits, plan.labels(ids, start, size), counted


def logits_of(features: Array | None, rows: Array) -> Array:
    """Returns the logits of a chunk, (B, C), from the rows of its kernel, (C, D).

    Without features these are the logits themselves, (C, B).
    """
    if features is None:
        return rows.T.astype(wide_dtype(rows.dtype))
    return product(features, rows, (1, 1))


def slice_labels(per_label: Tree, start: Array | int, size: int) -> Tree:
    """Returns the entries of a chunk of arrays (L,)."""
    result: Tree = jax.tree.map(lambda x: lax.dynamic_slice_in_dim(x, start, size), per_label)
    return result


def no_sums(plan: Plan, arrays: Arrays, ids: Ids) -> Any:
    """Returns the sums over no labels: zeros (B,), or `Rows` of zeros."""
    like = arrays.kernel[:, 0] if arrays.features is None else arrays.features[:, 0]
    zeros = zeros_like(like, _wide(arrays))
    if isinstance(plan.entries, TwoSweep):
        return Rows(zeros, zeros_like(ids.positives, zeros.dtype))
    return zeros


def _reaches_as_far(dtype: jnp.dtype) -> bool:
    """Returns whether a dtype holds numbers as small as float32 does, as slopes of means are."""
    return bool(jnp.finfo(dtype).minexp <= jnp.finfo(jnp.float32).minexp)


def _wide(arrays: Arrays) -> jnp.dtype:
    """Returns the dtype in which logits are computed."""
    dtypes = [chunk_dtype(arrays.kernel)]
    if arrays.features is not None:
        dtypes.append(arrays.features.dtype)
    return wide_dtype(*dtypes)
