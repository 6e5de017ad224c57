"""Losses of dense logits whose positives are ids, without a label matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import REDUCTIONS
from mllosses_jax._core.types import AnyReduction, AxisName, LossValue
from mllosses_jax.heads._problem import Options, checked_problem
from mllosses_jax.heads.loss import evaluated
from mllosses_jax.heads.memory import Implementation
from mllosses_jax.losses import asymmetric_loss

__all__ = ["sparse_label_loss"]


def sparse_label_loss(
    logits: ArrayLike,
    positives: ArrayLike,
    *,
    loss: Callable[..., Any] = asymmetric_loss,
    loss_kwargs: Mapping[str, Any] | None = None,
    unknown: ArrayLike | None = None,
    where: ArrayLike | None = None,
    label_weights: ArrayLike | None = None,
    sample_weights: ArrayLike | None = None,
    reduction: AnyReduction = "mean",
    num_labels: int | None = None,
    chunk_size: int | None = None,
    implementation: Implementation | None = None,
    axis_name: AxisName = None,
    label_axis_name: AxisName = None,
) -> LossValue:
    """The loss of logits that are there already, with the ids of the positives for labels.

    It equals `loss(logits, positives_to_dense(positives, L), **loss_kwargs)` for every loss of
    `linear_head_loss`, in value and gradient. The logits are read in chunks, so that beside them
    and their gradient no array holds more than a chunk.

    Formula:
        ℓ = Σ_c ℓ_c(x_c, y_c)  or  ℓ(x_P, LSE_N(x))

    Args:
        logits: x, float array (B, L).
        positives: integer array (B, K), the ids of the positive labels, padded with -1.
        loss: as for `linear_head_loss`.
        loss_kwargs: parameters of the loss; arrays are () or (L,).
        unknown: integer array (B, U), the ids of labels that are not known, padded with -1. Their
            entries do not count.
        where: bool array (B,): which samples count.
        label_weights: scale factors (L,), not for losses of samples.
        sample_weights: scale factors (B,).
        reduction: as for `linear_head_loss`.
        num_labels: L, if the logits have more columns than there are labels, so that devices have
            equally many.
        chunk_size: how many labels are computed at a time; None for `choose_chunk_size`.
        implementation: as for `linear_head_loss`.
        axis_name: mesh axis over which the samples are split inside `shard_map`.
        label_axis_name: mesh axis over which the labels are split inside `shard_map`. Ids are those
            of all labels on every device.

    Returns:
        The loss in nats: (B,) per sample with "none", a pair with "sum_and_count", else ().

    Raises:
        TypeError: if an array has the wrong dtype or a keyword does not fit the loss.
        ValueError: if a shape, an id or an option is wrong, or the loss can be computed neither in
            one pass over the labels nor in two.

    Example:
        >>> import jax.numpy as jnp
        >>> import mllosses_jax as mll
        >>> logits, positives = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[0, 2]])
        >>> loss = mll.heads.sparse_label_loss(
        ...     logits, positives, loss=mll.decoupled_softmax_loss)
        >>> print(f"{loss:.4f}")
        0.1809
    """
    checks.one_of("reduction", reduction, REDUCTIONS)
    options = Options(
        loss=loss,
        loss_kwargs=loss_kwargs,
        bias=None,
        unknown=unknown,
        where=where,
        label_weights=label_weights,
        sample_weights=sample_weights,
        label_axis=1,
        num_labels=num_labels,
        axis_name=axis_name,
        label_axis_name=label_axis_name,
    )
    problem = checked_problem(None, logits, positives, options)
    return evaluated("sparse_label_loss", problem, options, reduction, chunk_size, implementation)
