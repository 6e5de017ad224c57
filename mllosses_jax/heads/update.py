"""A step of gradient descent that updates the kernel chunk by chunk, in place.

Neither the gradient of the kernel nor a copy of it in float32 exists: the gradient of a chunk is
used as soon as it is there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import REDUCTIONS_TO_A_NUMBER, all_sum
from mllosses_jax._core.types import AxisName
from mllosses_jax._core.values import check_bounds
from mllosses_jax.heads._chunks import over_chunks
from mllosses_jax.heads._factors import factors_of
from mllosses_jax.heads._kernel import in_loop, read, wide_dtype, write
from mllosses_jax.heads._mesh import axes, varying, zeros_like
from mllosses_jax.heads._problem import Options, Plan, Problem, checked_problem
from mllosses_jax.heads._statistics import (
    each_once,
    first_sweep,
    losses_of_rows,
    relative_to,
)
from mllosses_jax.heads._sweep import (
    Arrays,
    add,
    gradients_of_chunk,
    no_sums,
    put_labels,
    slice_labels,
)
from mllosses_jax.heads._two_sweep import Rows, TwoSweep
from mllosses_jax.heads.memory import choose_chunk_size, known_size
from mllosses_jax.heads.state import HeadState, check_state
from mllosses_jax.losses import asymmetric_loss

__all__ = ["HeadStep", "linear_head_sgd_step"]


class HeadStep(NamedTuple):
    """The results of a step.

    Attributes:
        state: the state after the step.
        loss: the loss before the step, ().
        features_gradient: its gradient in the features, (B, D), for the encoder.
    """

    state: HeadState
    loss: Array
    features_gradient: Array


def linear_head_sgd_step(
    state: HeadState,
    features: ArrayLike,
    positives: ArrayLike,
    *,
    learning_rate: ArrayLike,
    momentum: ArrayLike = 0.9,
    weight_decay: ArrayLike = 0.0,
    loss: Callable[..., Any] = asymmetric_loss,
    loss_kwargs: Mapping[str, Any] | None = None,
    unknown: ArrayLike | None = None,
    where: ArrayLike | None = None,
    label_weights: ArrayLike | None = None,
    sample_weights: ArrayLike | None = None,
    reduction: Literal["sum", "mean", "batchmean", "weighted_mean"] = "batchmean",
    label_axis: int = 0,
    num_labels: int | None = None,
    chunk_size: int | None = None,
    axis_name: AxisName = None,
    label_axis_name: AxisName = None,
) -> HeadStep:
    """Makes a step of gradient descent on a head, and gives the gradient for the encoder.

    Each chunk of the kernel is read, used and updated in place. Beside the kernel and, if there is
    any, its momentum, only arrays of the size of a chunk are held. Called outside `jit`, the
    function donates the state, which must not be used again.

    Formula:
        g = ∂ℓ/∂W + λ·W,  m ← μ·m + g,  W ← round(W − η·m)

    Args:
        state: what `init_linear_head` or the previous step returned.
        features: h, float array (B, D), the output of the encoder.
        positives: integer array (B, K), the ids of the positive labels, padded with -1.
        learning_rate: η ≥ 0, a scalar.
        momentum: μ ≥ 0, a scalar, used if the state holds momentum.
        weight_decay: λ ≥ 0, a scalar: of the kernel, not of the bias.
        loss: as for `linear_head_loss`; one of samples reads the kernel twice.
        loss_kwargs: parameters of the loss; arrays are () or (L,).
        unknown: integer array (B, U), the ids of labels that are not known, padded with -1.
        where: bool array (B,): which samples count.
        label_weights: scale factors (L,).
        sample_weights: scale factors (B,).
        reduction: as for the loss. The default sums over the labels and averages over the samples,
            so that a learning rate does not depend on the number of labels.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.
        num_labels: L, if the kernel has more rows than there are labels.
        chunk_size: how many labels are computed at a time; None for `choose_chunk_size`.
        axis_name: mesh axis over which the samples are split inside `shard_map`.
        label_axis_name: mesh axis over which the labels are split inside `shard_map`.

    Returns:
        The new state, the loss before the step in nats, (), and its gradient in the features,
        (B, D).

    Raises:
        TypeError: if an array has the wrong dtype or a keyword does not fit the loss.
        ValueError: if a shape, an id or an option is wrong, or the loss is not
            one of `linear_head_loss`.

    Reference:
        The update of each chunk follows J. Zhang, N. Ullah, E. Schultheis and R. Babbar, "ELMO:
        Efficiency via Low-precision and Peak Memory Optimization in Large Output Spaces", 2025.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads, sigmoid_binary_cross_entropy
        >>> state = heads.init_linear_head(jax.random.key(0), num_labels=1000, num_features=4)
        >>> for _ in range(3):
        ...     state, loss, gradient = heads.linear_head_sgd_step(
        ...         state, jnp.ones((1, 4)), jnp.array([[7]]), learning_rate=1.0,
        ...         loss=sigmoid_binary_cross_entropy)
        >>> print(loss < 150, gradient.shape)
        True (1, 4)
    """
    checks.one_of("reduction", reduction, REDUCTIONS_TO_A_NUMBER)
    check_state(state)
    options = Options(
        loss=loss,
        loss_kwargs=loss_kwargs,
        bias=state.bias,
        unknown=unknown,
        where=where,
        label_weights=label_weights,
        sample_weights=sample_weights,
        label_axis=label_axis,
        num_labels=num_labels,
        axis_name=axis_name,
        label_axis_name=label_axis_name,
    )
    entries, total_labels, found = checked_problem(features, state.kernel, positives, options)
    rows = found.kernel.shape[label_axis]
    if chunk_size is None:
        width = max(1, *map(known_size, jnp.shape(features)))
        random = state.key is not None  # an update takes twice the room with its random numbers
        chunk_size = choose_chunk_size(2 * width if random else width, rows)
    checks.integer("chunk_size", chunk_size, least=1)
    plan = Plan(entries, total_labels, chunk_size, label_axis, num_labels is not None)
    given = zip(Rates._fields, (learning_rate, momentum, weight_decay), strict=True)
    rates = Rates(*(_rate(name, value, found.rows.dtype) for name, value in given))
    # The state is donated, so its arrays must not be there twice.
    found = found._replace(kernel=None, per_label=found.per_label._replace(bias=None))
    result: HeadStep = _step(plan, reduction, axis_name, label_axis_name, state, found, rates)
    return result


class Rates(NamedTuple):
    """The numbers of a step, ()."""

    learning_rate: Array
    momentum: Array
    weight_decay: Array


def _rate(name: str, value: ArrayLike, dtype: jnp.dtype) -> Array:
    check_bounds("linear_head_sgd_step", name, value, (0, float("inf")))
    return checks.scalar(name, value, dtype)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3), donate_argnums=4, inline=True)
def _step(
    plan: Plan,
    reduction: Any,
    axis_name: AxisName,
    label_axis_name: AxisName,
    state: HeadState,
    found: Problem,
    rates: Rates,
) -> HeadStep:
    names = (axis_name, label_axis_name)
    given, _ = factors_of(plan, found, reduction, axis_name, label_axis_name)
    per_label = found.per_label._replace(bias=state.bias)
    arrays, ids, factors = varying(
        (Arrays(found.features, None, per_label, found.shared), found.ids, given), *names
    )
    wanted = jax.tree.map(lambda _: False, arrays)._replace(features=True, kernel=True)
    if state.bias is not None:
        wanted = wanted._replace(per_label=wanted.per_label._replace(bias=True))
    cotangent: Any = factors
    if isinstance(plan.entries, TwoSweep):
        ids = each_once(ids)
        kernel, top, rows = first_sweep(plan, arrays._replace(kernel=state.kernel), ids)
        state = state._replace(kernel=kernel)

        def weighted_sum(rows: Rows) -> Array:
            return jnp.sum(given * losses_of_rows(plan, top, rows, found, label_axis_name))

        loss, cotangent = jax.value_and_grad(weighted_sum)(rows)
        loss = all_sum(loss, axis_name)
        arrays, wanted = relative_to(top, arrays), relative_to(False, wanted)
    next_key, step_key = (None, None) if state.key is None else jax.random.split(state.key)

    def update_chunk(
        start: Array | int, size: int, carry: tuple[HeadState, Any, Array]
    ) -> tuple[HeadState, Any, Array]:
        state, losses, of_features = carry
        rows = read(state.kernel, start, size, plan.label_axis)
        per_label = arrays.per_label._replace(bias=varying(state.bias, *names))
        now = arrays._replace(per_label=per_label)
        of_chunk, gradients = gradients_of_chunk(
            plan, now, rows, ids, start, size, cotangent, wanted
        )
        key = None if step_key is None else jax.random.fold_in(step_key, found.ids.first + start)
        start = _after(of_chunk, start, axis_name)
        state = _updated(plan, state, rows, gradients, start, key, rates, axis_name)
        return state, add(losses, of_chunk), of_features + gradients.features

    zeros = zeros_like(arrays.features, factors.dtype)
    whole = arrays._replace(kernel=state.kernel)
    num_rows = plan.num_rows(state.kernel)
    state, losses, of_features = over_chunks(
        num_rows, plan.chunk_size, update_chunk, (state, no_sums(plan, whole, ids), zeros)
    )
    if not isinstance(plan.entries, TwoSweep):
        loss = all_sum(jnp.sum(factors * losses), axes(*names))
    return HeadStep(
        state._replace(key=next_key),
        loss,
        all_sum(of_features, label_axis_name).astype(jnp.result_type(arrays.features)),
    )


def _updated(
    plan: Plan,
    state: HeadState,
    rows: Array,
    gradients: Arrays,
    start: Array | int,
    key: Array | None,
    rates: Rates,
    axis_name: AxisName,
) -> HeadState:
    """Returns the state with the kernel, bias and momentum of a chunk updated.

    What is computed of an array as it was before it was written, XLA may compute again afterwards,
    from a copy of the whole. So the momentum is read again before the kernel is written.
    """
    rows = rows.astype(gradients.kernel.dtype)
    slope = all_sum(gradients.kernel, axis_name) + rates.weight_decay * rows
    if state.kernel_momentum is not None:
        before = read(state.kernel_momentum, start, len(rows), plan.label_axis)
        slope = rates.momentum * before.astype(slope.dtype) + slope
        other = None if key is None else jax.random.fold_in(key, 1)
        moved = write(state.kernel_momentum, slope, start, plan.label_axis, other)
        if isinstance(moved, Array) and moved.dtype.itemsize >= 4:
            moved = in_loop(moved)
            slope = read(moved, start, len(rows), plan.label_axis).astype(slope.dtype)
        state = state._replace(kernel_momentum=moved)
    stepped = rows - rates.learning_rate * slope
    state = state._replace(kernel=write(state.kernel, stepped, start, plan.label_axis, key))
    of_bias, bias = gradients.per_label.bias, state.bias
    if of_bias is None or bias is None:
        return state
    wide = wide_dtype(bias.dtype, rates.learning_rate.dtype)
    rates = Rates(*(rate.astype(wide) for rate in rates))
    slope = all_sum(of_bias, axis_name).astype(wide)
    if state.bias_momentum is not None:
        before = slice_labels(state.bias_momentum, start, len(rows)).astype(wide)
        moved = put_labels(state.bias_momentum, rates.momentum * before + slope, start)
        moved = lax.optimization_barrier(moved)
        slope = slice_labels(moved, start, len(rows)).astype(wide)
        state = state._replace(bias_momentum=moved)
    stepped = slice_labels(bias, start, len(rows)).astype(wide) - rates.learning_rate * slope
    return state._replace(bias=put_labels(bias, stepped, start))


def _after(losses: Any, start: Array | int, axis_name: AxisName) -> Array:
    """Returns the first label of a chunk in a form that XLA cannot know before the losses.

    Otherwise it might compute them again after what they are computed of has been written, from a
    copy of the whole, in each chunk.
    """
    total = jnp.asarray(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(losses)))
    some = all_sum((total > 0).astype(total.dtype), axis_name)  # floats join the sums of gradients
    return jnp.minimum(start, start + (some > 0).astype(jnp.result_type(start)))
