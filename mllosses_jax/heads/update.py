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
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.types import AxisName
from mllosses_jax.heads._chunks import over_chunks
from mllosses_jax.heads._factors import factors_of
from mllosses_jax.heads._kernel import Kernel, read, write
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
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.memory import choose_chunk_size
from mllosses_jax.losses import asymmetric_loss

__all__ = ["HeadState", "HeadStep", "init_linear_head", "linear_head_sgd_step"]


class HeadState(NamedTuple):
    """Everything that a head which updates itself carries from step to step.

    It is a pytree of arrays: saved and loaded as one, a run goes on to the bit.

    Attributes:
        kernel: (L, D), or (D, L) with `label_axis=1`.
        bias: float32 (L,), or None.
        kernel_momentum: of the shape of the kernel, or None without momentum.
        bias_momentum: (L,), or None.
        key: the random key of stochastic rounding, or None to round to the nearest.
    """

    kernel: Kernel
    bias: Array | None = None
    kernel_momentum: Kernel | None = None
    bias_momentum: Array | None = None
    key: Array | None = None


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


def init_linear_head(
    key: Array,
    num_labels: int,
    num_features: int,
    *,
    dtype: DTypeLike | Literal["float8"] = jnp.float32,
    bias: bool = True,
    momentum: bool = False,
    stochastic_rounding: bool | None = None,
    stddev: float | None = None,
    label_axis: int = 0,
) -> HeadState:
    """Returns the state of a new head, made chunk by chunk.

    Args:
        key: a JAX random key.
        num_labels: L.
        num_features: D.
        dtype: of the kernel: a float dtype, or "float8" for `Float8Kernel`.
        bias: whether there is a bias, which starts at 0.
        momentum: whether there is momentum, in bfloat16 for narrow kernels, else in
            float32.
        stochastic_rounding: whether updates are rounded at random; None: if the kernel is narrow.
        stddev: the standard deviation of the weights; 1/√D by default.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.

    Returns:
        The state.

    Raises:
        ValueError: if a size is below 1.

    Example:
        >>> import jax
        >>> from mllosses_jax.heads import init_linear_head
        >>> state = init_linear_head(jax.random.key(0), 1000, 8, dtype="bfloat16")
        >>> state.kernel.shape, state.kernel.dtype.name, state.bias.shape
        ((1000, 8), 'bfloat16', (1000,))
    """
    checks.integer("num_labels", num_labels, least=1)
    checks.integer("num_features", num_features, least=1)
    checks.one_of("label_axis", label_axis, (0, 1))
    deviation = num_features**-0.5 if stddev is None else stddev
    is_float8 = isinstance(dtype, str) and dtype == "float8"
    stored = jnp.dtype(jnp.uint8) if is_float8 else jnp.dtype(dtype)
    shape = (num_labels, num_features) if label_axis == 0 else (num_features, num_labels)
    weights_key, state_key = jax.random.split(key)
    kernel = _random_kernel(weights_key, shape, stored, is_float8, label_axis, deviation)
    narrow = stored.itemsize < 4
    moving = jnp.bfloat16 if narrow else jnp.float32
    return HeadState(
        kernel,
        jnp.zeros(num_labels) if bias else None,
        jnp.zeros(shape, moving) if momentum else None,
        jnp.zeros(num_labels) if bias and momentum else None,
        state_key if (narrow if stochastic_rounding is None else stochastic_rounding) else None,
    )


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _random_kernel(
    key: Array,
    shape: tuple[int, int],
    stored: jnp.dtype,
    is_float8: bool,
    label_axis: int,
    deviation: Array,
) -> Kernel:
    empty = jnp.zeros(shape, stored)
    kernel: Kernel = Float8Kernel(empty) if is_float8 else empty
    num_labels, num_features = shape[label_axis], shape[1 - label_axis]

    def fill(start: Array | int, size: int, kernel: Kernel) -> Kernel:
        normal = jax.random.normal(jax.random.fold_in(key, start), (size, num_features))
        return write(kernel, deviation * normal, start, label_axis)

    return over_chunks(num_labels, choose_chunk_size(num_features, num_labels), fill, kernel)


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
        learning_rate: η > 0, a scalar.
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
    checks.one_of("reduction", reduction, ("sum", "mean", "batchmean", "weighted_mean"))
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
        chunk_size = choose_chunk_size(max(jnp.shape(features)), rows)
    checks.integer("chunk_size", chunk_size, least=1)
    plan = Plan(entries, total_labels, chunk_size, label_axis, num_labels is not None)
    rates = Rates(
        *(
            checks.scalar(name, value, found.rows.dtype)
            for name, value in zip(
                Rates._fields, (learning_rate, momentum, weight_decay), strict=True
            )
        )
    )
    # The state is donated, so its arrays must not be there twice.
    found = found._replace(kernel=None, per_label=found.per_label._replace(bias=None))
    result: HeadStep = _step(plan, reduction, axis_name, label_axis_name, state, found, rates)
    return result


class Rates(NamedTuple):
    """The numbers of a step, ()."""

    learning_rate: Array
    momentum: Array
    weight_decay: Array


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
        of_chunk, gradients = gradients_of_chunk(
            plan, arrays, rows, ids, start, size, cotangent, wanted
        )
        key = None if step_key is None else jax.random.fold_in(step_key, found.ids.first + start)
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
    """Returns the state with the kernel, bias and momentum of a chunk updated."""
    rows = rows.astype(gradients.kernel.dtype)
    slope = all_sum(gradients.kernel, axis_name) + rates.weight_decay * rows
    if state.kernel_momentum is not None:
        before = read(state.kernel_momentum, start, len(rows), plan.label_axis)
        slope = rates.momentum * before.astype(slope.dtype) + slope
        other = None if key is None else jax.random.fold_in(key, 1)
        moved = write(state.kernel_momentum, slope, start, plan.label_axis, other)
        state = state._replace(kernel_momentum=moved)
    stepped = rows - rates.learning_rate * slope
    state = state._replace(kernel=write(state.kernel, stepped, start, plan.label_axis, key))
    of_bias, bias = gradients.per_label.bias, state.bias
    if of_bias is None or bias is None:
        return state
    slope = all_sum(of_bias, axis_name)
    if state.bias_momentum is not None:
        slope = rates.momentum * slice_labels(state.bias_momentum, start, len(rows)) + slope
        state = state._replace(bias_momentum=put_labels(state.bias_momentum, slope, start))
    stepped = slice_labels(bias, start, len(rows)) - rates.learning_rate * slope
    return state._replace(bias=put_labels(bias, stepped, start))
