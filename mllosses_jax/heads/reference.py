"""The head as its formula reads: all logits, the label matrix, and the loss of both.

No other file of the package uses this one. It says in a few lines what `linear_head_loss` computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.types import AnyReduction, LossValue
from mllosses_jax.heads._two_sweep import TWO_SWEEP
from mllosses_jax.heads.sparse_labels import positives_to_dense
from mllosses_jax.losses import asymmetric_loss

__all__ = ["dense_head_loss"]


def dense_head_loss(
    features: Array,
    kernel: Array,
    positives: Array,
    *,
    bias: Array | None = None,
    loss: Callable[..., Any] = asymmetric_loss,
    loss_kwargs: Mapping[str, Any] | None = None,
    unknown: Array | None = None,
    where: Array | None = None,
    label_weights: ArrayLike = 1.0,
    sample_weights: ArrayLike = 1.0,
    reduction: AnyReduction = "mean",
) -> LossValue:
    """The loss of a linear layer from all of its logits, which `linear_head_loss` equals.

    Formula:
        x = h·Wᵀ + b,  ℓ = Σ_c ℓ_c(x_c, y_c)  or  ℓ(x, y)

    Args:
        features: h, float array (B, D).
        kernel: W, float array (L, D).
        positives: integer array (B, K), the ids of the positive labels, padded with -1.
        bias: b, float array (L,), or None.
        loss: as for `linear_head_loss`.
        loss_kwargs: parameters of the loss.
        unknown: integer array (B, U), the ids of labels that are not known, padded with -1.
        where: bool array (B,): which samples count.
        label_weights: scale factors, () or (L,).
        sample_weights: scale factors, () or (B,).
        reduction: as for the loss itself; with "none" the loss of each sample.

    Returns:
        The loss in nats: (B,) per sample with "none", a pair with "sum_and_count", else ().

    Example:
        >>> import jax.numpy as jnp
        >>> import mllosses_jax as mll
        >>> features, kernel = jnp.ones((1, 2)), jnp.array([[1.0, 1.0], [-1.0, 0.0], [0.0, -3.0]])
        >>> loss = mll.heads.dense_head_loss(
        ...     features, kernel, jnp.array([[0]]), loss=mll.sigmoid_binary_cross_entropy)
        >>> print(f"{loss:.4f}")
        0.1629
    """
    num_labels = kernel.shape[0]
    weights = jnp.asarray(sample_weights)
    if loss not in TWO_SWEEP:  # one loss per entry, else per sample
        weights = jnp.reshape(weights, (-1, 1)) * jnp.reshape(label_weights, (1, -1))
    logits = features @ kernel.T
    if bias is not None:
        logits = logits + bias[None]
    counted = jnp.ones((len(features), 1), bool) if where is None else where[:, None]
    if unknown is not None:
        counted = counted & ~positives_to_dense(unknown, num_labels)
    result = loss(
        logits,
        positives_to_dense(positives, num_labels),
        weights=weights,
        where=counted,
        reduction=reduction,
        **(loss_kwargs or {}),
    )
    return jnp.sum(result, axis=1) if reduction == "none" and loss not in TWO_SWEEP else result
