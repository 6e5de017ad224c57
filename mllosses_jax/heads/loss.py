"""The loss of a linear head, without its logits."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import REDUCTIONS, all_sum
from mllosses_jax._core.types import AnyReduction, AxisName, LossValue
from mllosses_jax.heads._entries import Entries
from mllosses_jax.heads._factors import factors_of
from mllosses_jax.heads._gradients import recomputed_losses, weighted_sum
from mllosses_jax.heads._mesh import axes, varying
from mllosses_jax.heads._problem import Ids, Options, Plan, Problem, checked_problem
from mllosses_jax.heads._statistics import row_losses
from mllosses_jax.heads._sweep import Arrays, differentiable_sample_losses, losses_of_chunk
from mllosses_jax.heads._two_sweep import TwoSweep
from mllosses_jax.heads.memory import Implementation, known_size, memory_estimate
from mllosses_jax.losses import asymmetric_loss

__all__ = ["linear_head_loss"]


def linear_head_loss(
    features: ArrayLike,
    kernel: ArrayLike,
    positives: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    loss: Callable[..., Any] = asymmetric_loss,
    loss_kwargs: Mapping[str, Any] | None = None,
    unknown: ArrayLike | None = None,
    where: ArrayLike | None = None,
    label_weights: ArrayLike | None = None,
    sample_weights: ArrayLike | None = None,
    reduction: AnyReduction = "mean",
    label_axis: int = 0,
    num_labels: int | None = None,
    chunk_size: int | None = None,
    implementation: Implementation | None = None,
    axis_name: AxisName = None,
    label_axis_name: AxisName = None,
) -> LossValue:
    """The loss of a linear layer over very many labels, whose logits never exist all at once.

    It equals `loss(features @ kernel.T + bias, positives_to_dense(positives, L), **loss_kwargs)`
    for every separable loss, in value and gradient. The labels are computed in chunks; one pass
    over the kernel gives the loss and the gradients of features, kernel and bias. For losses of
    samples in which the negatives act only by their log-sum-exp, a first pass computes that; the
    gradient takes a second one.

    Formula:
        x = h·Wᵀ + b,  ℓ = Σ_c ℓ_c(x_c, y_c)  or  ℓ(x_P, LSE_N(x))

    Args:
        features: h, float array (B, D), the output of the encoder.
        kernel: W, float array (L, D), or (D, L) with `label_axis=1` as in Flax. Products of narrow
            kernels, such as bfloat16, are added up in float32.
        positives: integer array (B, K), the ids of the positive labels, padded with -1.
        bias: b, float array (L,), or None.
        loss: a separable loss of `mllosses_jax.catalogue`, whose entries need no other logit; a
            loss of samples: `softmax_cross_entropy`, `decoupled_softmax_loss`, `lsep_loss`,
            `zlpr_loss` or `two_way_sample_loss`; or a function of your own whose entries need no
            other logit, with the arguments `(logits, labels, *, reduction="none")` and the
            parameters in `loss_kwargs`.
        loss_kwargs: parameters of the loss; arrays are () or (L,).
        unknown: integer array (B, U), the ids of labels that are not known, padded with -1. Their
            entries do not count.
        where: bool array (B,): which samples count.
        label_weights: scale factors (L,), not for losses of samples.
        sample_weights: scale factors (B,).
        reduction: "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count", as for the loss
            itself; with "none" the loss of each sample, a sum over its labels.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.
        num_labels: L, if the kernel has more rows than there are labels, so that devices have
            equally many; the rows beyond it have no loss.
        chunk_size: how many labels are computed at a time; None for `choose_chunk_size`.
        implementation: "dense", "one_pass", "recompute" (the logits once more for the gradient),
            "checkpoint" (the same by autodiff, for forward mode and higher derivatives), or None to
            choose by `memory_estimate`, which gives the reason.
        axis_name: mesh axis over which the samples are split inside `shard_map`.
        label_axis_name: mesh axis over which the labels are split inside `shard_map`. Ids are those
            of all labels on every device.

    Returns:
        The loss in nats: (B,) per sample with "none", a pair with "sum_and_count", else ().

    Raises:
        TypeError: if an array has the wrong dtype or a keyword does not fit the loss.
        ValueError: if a shape, an id or an option is wrong, or the loss can be
            computed neither in one pass over the labels nor in two.

    Example:
        >>> import jax.numpy as jnp
        >>> import mllosses_jax as mll
        >>> features, kernel = jnp.ones((1, 2)), jnp.array([[1.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
        >>> positives = jnp.array([[0, -1]])
        >>> loss = mll.heads.linear_head_loss(
        ...     features, kernel, positives, loss=mll.sigmoid_binary_cross_entropy)
        >>> print(f"{loss:.4f}")
        0.1629
    """
    checks.one_of("reduction", reduction, REDUCTIONS)
    options = Options(
        loss=loss,
        loss_kwargs=loss_kwargs,
        bias=bias,
        unknown=unknown,
        where=where,
        label_weights=label_weights,
        sample_weights=sample_weights,
        label_axis=label_axis,
        num_labels=num_labels,
        axis_name=axis_name,
        label_axis_name=label_axis_name,
    )
    problem = checked_problem(features, kernel, positives, options)
    return evaluated("linear_head_loss", problem, options, reduction, chunk_size, implementation)


def evaluated(
    name: str,
    problem: tuple[Entries | TwoSweep, int, Problem],
    options: Options,
    reduction: AnyReduction,
    chunk_size: int | None,
    implementation: Implementation | None,
) -> LossValue:
    """Returns the loss of a checked problem.

    Args:
        name: the function that the user has called.
        problem: what `checked_problem` returned.
        options: from which it was made.
        reduction: of the losses.
        chunk_size: labels of a chunk, or None.
        implementation: the one that was asked for, or None.
    """
    entries, total_labels, found = problem
    estimate = memory_estimate(
        max(known_size(found.rows.shape[0]), 1),
        found.kernel.shape[options.label_axis],
        1 if found.features is None else found.features.shape[1],
        implementation=implementation,
        chunk_size=chunk_size,
        reduction=reduction,
        loss=options.loss,
    )
    if implementation not in (None, estimate.implementation):
        warnings.warn(
            f"{name} takes {estimate.implementation!r} instead of {implementation!r}: "
            f"{estimate.reason}",
            stacklevel=3,
        )
    padded = options.num_labels is not None
    plan = Plan(entries, total_labels, estimate.chunk_size, options.label_axis, padded)
    result: LossValue = _compute(
        plan,
        estimate.implementation,
        reduction,
        options.axis_name,
        options.label_axis_name,
        found,
    )
    return result


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 4), inline=True)
def _compute(
    plan: Plan,
    implementation: Implementation,
    reduction: AnyReduction,
    axis_name: AxisName,
    label_axis_name: AxisName,
    found: Problem,
) -> LossValue:
    names = (axis_name, label_axis_name)
    arrays, ids = varying(
        (Arrays(found.features, found.kernel, found.per_label, found.shared), found.ids), *names
    )
    if isinstance(plan.entries, TwoSweep):
        losses = row_losses(implementation, plan, arrays, ids, found, label_axis_name)
        if reduction == "none":
            return found.rows * losses
        factors, count = factors_of(plan, found, reduction, axis_name, label_axis_name)
        value = all_sum(jnp.sum(factors * losses), axis_name)
        return (value, count) if reduction == "sum_and_count" else value
    if reduction == "none":
        losses = _sample_losses(implementation, plan, arrays, ids)
        return all_sum(found.rows * losses, label_axis_name)
    factors, count = factors_of(plan, found, reduction, axis_name, label_axis_name)
    factors = varying(factors, *names)
    if implementation == "one_pass":
        value = weighted_sum(plan, arrays, factors, ids)
    else:
        value = jnp.sum(factors * _sample_losses(implementation, plan, arrays, ids))
    value = all_sum(value, axes(*names))
    return (value, count) if reduction == "sum_and_count" else value


def _sample_losses(implementation: Implementation, plan: Plan, arrays: Arrays, ids: Ids) -> Array:
    if implementation == "recompute":
        return recomputed_losses(plan, arrays, ids)
    if implementation == "checkpoint":
        return differentiable_sample_losses(plan, arrays, ids)
    return losses_of_chunk(plan, arrays, ids, 0, plan.num_rows(arrays.kernel))
