"""Losses that learn a threshold of each sample: a second output t of the model, beside its logits.

A label is predicted where its logit is above t. No threshold is tuned afterwards.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import softplus, with_slope
from mllosses_jax._core.reduction import count_entries, masked_mean, masked_sum, reduce_samples
from mllosses_jax._core.softmax import log_sum_exp, only, softmax_pair, softmax_terms
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._asymmetric import asymmetric_kernel
from mllosses_jax.losses._cross_entropy import softmax_entropy

__all__ = ["adaptive_threshold_loss", "none_class_ranking_loss"]


def _margins(inputs: LossInputs, threshold_logits: ArrayLike) -> Array:
    """Returns x − t, which is 0 for samples in which nothing counts."""
    t = checks.per_sample("threshold_logits", threshold_logits, inputs.x)
    if inputs.where is not None:
        t = jnp.where(jnp.any(inputs.where, axis=-1), t, 0)
    return inputs.x - t[..., None]


def _softmax(x: Array) -> Array:
    return softmax_pair(x)[0]


@with_slope(_softmax, share=True, over_labels=True)
def _highest(x: Array) -> Array:
    """Returns log Σ exp(x) along the last axis, from the terms that `softmax_entropy` sums too."""
    top = jnp.max(x, axis=-1, initial=-jnp.inf)
    top = jnp.clip(top, jnp.finfo(x.dtype).min, jnp.finfo(x.dtype).max)
    return top + jnp.log1p(softmax_terms(x).rest)


@compiled_loss()
def adaptive_threshold_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    threshold_logits: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Adaptive threshold loss (ATL): positives above a learned threshold, negatives below it.

    Formula:
        ℓ = −Σ_{p∈P} log(e^{x_p} / (e^t + Σ_{c∈P} e^{x_c})) + log(1 + Σ_{c∈N} e^{x_c − t})

    The threshold is a class with the logit t: positives compete with it, and it competes with the
    negatives. The second term is that of ZLPR for negatives, with t in place of 0.

    Args:
        logits: float array (..., L); the prediction is x > t.
        labels: bool, integer or float array (..., L); positive where above 0.
        threshold_logits: t, float array (...), the output of a second head. It is not used for
            samples without a label that counts.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (); the authors' code is "mean". An
        empty or a full label set has the other term alone.

    Reference:
        W. Zhou, K. Huang, T. Ma and J. Huang, "Document-Level Relation Extraction with Adaptive
        Thresholding and Localized Context Pooling", 2021 (AAAI), arXiv:2010.11304.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import adaptive_threshold_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> t = jnp.array([1.0])
        >>> print(f"{adaptive_threshold_loss(logits, labels, threshold_logits=t):.4f}")
        0.7209
    """
    inputs = loss_inputs(logits, labels, where)
    z = _margins(inputs, threshold_logits)
    positives = inputs.positives()
    size = count_entries(z, positives, None, axis=-1).astype(z.dtype)
    # With M = LSE_P(x − t), the positives have −Σ_P log softmax_P + |P|·softplus(−M), where no term
    # is negative, so nothing cancels. With the gradient these are twelve passes over (B, L) arrays:
    # the number of positives; their masked logits, the five passes of `softmax_entropy`,
    # from which M comes too; the same without its last two for the negatives; and the gradient.
    among = only(z, positives | (size == 0)[..., None])
    competition = softmax_entropy(among, positives, jnp.ones_like(size), size)
    highest = jnp.where(size > 0, _highest(among), 0)
    losses = competition + size * softplus(-highest)
    losses = losses + softplus(log_sum_exp(z, inputs.negatives(), -1))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(shift=(0, 1))
def none_class_ranking_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    threshold_logits: ArrayLike,
    shift: ArrayLike = 0.0,
    regularize: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """None-class ranking loss (NCRL): each label against the class of samples without a label.

    Formula:
        ℓ = −Σ_{p∈P} log σ(x_p − t) − Σ_{c∈N} log(1 − max(σ(x_c − t) − m, 0)) + r
        r = −n·log σ(t − x̄) − (1 − n)·log(1 − max(σ(t − x̄) − m, 0))
        n = 1 for an empty label set, else 0

    The logit t of the none class ranks last among the labels of a sample: below its positives and
    above its negatives. With r, it is above or below the mean logit too.

    Args:
        logits: float array (..., L); the prediction is x > t.
        labels: bool, integer or float array (..., L); positive where above 0.
        threshold_logits: t, float array (...), the output of a second head. It is not used for
            samples without a label that counts.
        shift: m in [0, 1], a scalar: negatives with σ(x − t) ≤ m have loss 0.
        regularize: whether r is added.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (); the authors' code is "mean".

    Reference:
        Y. Zhou and W. S. Lee, "None Class Ranking Loss for Document-Level Relation Extraction",
        2022 (IJCAI), arXiv:2205.00476.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import none_class_ranking_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> t = jnp.array([1.0])
        >>> print(f"{none_class_ranking_loss(logits, labels, threshold_logits=t):.4f}")
        1.8345
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    z = _margins(inputs, threshold_logits)
    positives = inputs.positives()
    m = shift if isinstance(shift, int) else checks.scalar("shift", shift, z.dtype)
    entropy = asymmetric_kernel(hard=True, detach_focus=True)  # with exponents of 0 for the focus
    losses = masked_sum(entropy(z, positives, 0, 0, m), inputs.where, None, axis=-1)
    if regularize:
        mean = masked_mean(z, inputs.where, None, axis=-1)
        losses = losses + entropy(-mean, ~jnp.any(positives, axis=-1), 0, 0, m)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
