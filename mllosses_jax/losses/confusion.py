"""Losses of all four soft counts, true negatives among them: correlation and balanced accuracy."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import signed_tail
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._soft_counts import Average, Confusion, confusion_loss, share

__all__ = ["soft_balanced_accuracy_loss", "soft_mcc_loss"]


def _one_minus_correlation(counts: Confusion, smooth: Array) -> Array:
    """Returns 1 − √(PPV·TPR·TNR·NPV) + √(FDR·FNR·FPR·FOR), where all factors are in [0, 1].

    Unlike TP·TN and the product of four sums, no factor can overflow. The roots of the factors do
    not underflow either, because the smoothing keeps a factor above 0.
    """
    tp, fp, fn, tn = (count + smooth for count in counts)
    right = _root(tp, fp) * _root(tp, fn) * _root(tn, fp) * _root(tn, fn)
    wrong = _root(fp, tp) * _root(fn, tp) * _root(fp, tn) * _root(fn, tn)
    return 1 - right + wrong


def _root(part: Array, rest: Array) -> Array:
    return jnp.sqrt(share(part, rest))


@compiled_loss(smooth=(1e-7, 1e30))
def soft_mcc_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: ArrayLike = 1e-5,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Soft MCC loss: one minus Matthews' correlation of counts in which probabilities decide.

    Formula:
        ℓ = 1 − (TP·TN − FP·FN) / √((TP + FP)·(TP + FN)·(TN + FP)·(TN + FN))
        TP = s + Σ p·y,  FP = s + Σ p·(1 − y),  FN = s + Σ (1 − p)·y,  TN = s + Σ (1 − p)·(1 − y)

    Unlike F1 it treats positives and negatives alike, so predicting every label gains nothing where
    most of the labels are positive.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        smooth: s ≥ 1e-7, a scalar: the smoothing of each count.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 2], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample whose entries are all positive or all negative has a loss close
        to 1, with hardly any gradient while s is small beside the counts. The code of
        segmentation_models_pytorch is "micro".

    Reference:
        K. Abhishek and G. Hamarneh, "Matthews Correlation Coefficient Loss for Deep Convolutional
        Networks: Application to Skin Lesion Segmentation", 2021 (ISBI), arXiv:2010.13454.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_mcc_loss
        >>> logits, labels = jnp.array([[1.0], [-1.0]]), jnp.array([[1], [0]])
        >>> print(f"{soft_mcc_loss(logits, labels):.4f}")
        0.5379
    """
    inputs = loss_inputs(logits, labels, where)
    s = checks.scalar("smooth", smooth, inputs.x.dtype)
    return confusion_loss(
        lambda counts: _one_minus_correlation(counts, s),
        signed_tail(inputs.x),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


def _balanced_error(counts: Confusion) -> Array:
    return (share(counts.fn, counts.tp) + share(counts.fp, counts.tn)) / 2


@compiled_loss()
def soft_balanced_accuracy_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Soft balanced accuracy loss: the mean of the soft miss rate and the soft false alarm rate.

    Formula:
        ℓ = 1 − ½·(TPR + TNR) = ½·FN / (FN + TP) + ½·FP / (FP + TN)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y,  TN = Σ (1 − p)·(1 − y)

    Positives and negatives weigh the same in each label, however rare it is. As the loss is linear
    in p, it drives probabilities to 0 and 1, and they stay no estimates.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). Where there are no positives, or no negatives, their rate is 0 with zero gradient.

    Reference:
        D. Han, N. Moniz and N. V. Chawla, "AnyLoss: Transforming Classification Metrics into Loss
        Functions", 2024 (KDD), arXiv:2405.14745; K. H. Brodersen, C. S. Ong, K. E. Stephan and J.
        M. Buhmann, "The Balanced Accuracy and Its Posterior Distribution", 2010 (ICPR).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_balanced_accuracy_loss
        >>> logits, labels = jnp.array([[1.0], [-1.0], [0.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{soft_balanced_accuracy_loss(logits, labels):.4f}")
        0.3267
    """
    inputs = loss_inputs(logits, labels, where)
    return confusion_loss(
        _balanced_error,
        signed_tail(inputs.x),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )
