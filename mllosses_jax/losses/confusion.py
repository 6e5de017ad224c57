"""Losses of all four soft counts, true negatives among them: correlation and balanced accuracy."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import TINY, pair_of_tail, signed_tail
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._soft_counts import Average, Confusion, Total, confusion_loss, counts_loss

__all__ = ["soft_balanced_accuracy_loss", "soft_mcc_loss"]


class _Rates(NamedTuple):
    """The shares of the counts in the sums of rows and columns, and the roots of two products."""

    ppv: Array  # TP / (TP + FP)
    fdr: Array  # FP / (TP + FP)
    tpr: Array  # TP / (TP + FN)
    fnr: Array  # FN / (TP + FN)
    tnr: Array  # TN / (TN + FP)
    fpr: Array  # FP / (TN + FP)
    npv: Array  # TN / (TN + FN)
    false_omission: Array  # FN / (TN + FN)
    right: Array  # √(PPV·TPR·TNR·NPV)
    wrong: Array  # √(FDR·FNR·FPR·FOR)


def _rates(counts: Confusion) -> _Rates:
    """Returns rates in [0, 1]. Unlike TP·TN and the product of four sums, none can overflow.

    Their products do not underflow either, because the smoothing keeps a rate above 0.
    """
    tp, fp, fn, tn = counts
    of_predicted, of_positives, of_negatives, of_rest = (
        1 / total for total in (tp + fp, tp + fn, tn + fp, tn + fn)
    )
    ppv, fdr, tpr, fnr = tp * of_predicted, fp * of_predicted, tp * of_positives, fn * of_positives
    tnr, fpr, npv, omitted = tn * of_negatives, fp * of_negatives, tn * of_rest, fn * of_rest
    right = jnp.sqrt(ppv * tpr) * jnp.sqrt(tnr * npv)
    wrong = jnp.sqrt(fdr * fnr) * jnp.sqrt(fpr * omitted)
    return _Rates(ppv, fdr, tpr, fnr, tnr, fpr, npv, omitted, right, wrong)


@jax.custom_jvp
def _one_minus_correlation(counts: Confusion) -> Array:
    """Returns 1 − √(PPV·TPR·TNR·NPV) + √(FDR·FNR·FPR·FOR)."""
    rates = _rates(counts)
    return 1 - rates.right + rates.wrong


@_one_minus_correlation.defjvp
def _one_minus_correlation_jvp(primals: Any, tangents: Any) -> Any:
    # All terms of a derivative have one sign. It is a quotient, which XLA writes per label; a
    # product would be computed anew for each entry of the gradient.
    (counts,), (changes,) = primals, tangents
    r = _rates(counts)
    right, wrong = r.right / 2, r.wrong / 2
    by_tp = (right * (r.fdr + r.fnr) + wrong * (r.ppv + r.tpr)) / -counts.tp
    by_fp = (wrong * (r.ppv + r.tnr) + right * (r.fdr + r.fpr)) / counts.fp
    by_fn = (wrong * (r.tpr + r.npv) + right * (r.fnr + r.false_omission)) / counts.fn
    by_tn = (right * (r.fpr + r.false_omission) + wrong * (r.tnr + r.npv)) / -counts.tn
    slopes = (by_tp, by_fp, by_fn, by_tn)
    change = sum(slope * change for slope, change in zip(slopes, changes, strict=True))
    return _one_minus_correlation(counts), change


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
        lambda counts: _one_minus_correlation(Confusion(*(count + s for count in counts))),
        signed_tail(inputs.x),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


def _errors_and_sides(tail: Array, y: Array, *, masked: bool) -> tuple[Array, Array, Array, Array]:
    """Returns the terms of FN, FP, positives and negatives; a masked entry is neither."""
    p, q = pair_of_tail(tail)
    soft = y.astype(tail.dtype)
    hard = y.dtype == jnp.bool_
    fn, fp = (jnp.where(y, q, 0), jnp.where(y, 0, p)) if hard else (y * q, (1 - y) * p)
    return fn, fp, soft, jnp.where(tail == 0, 0, 1 - soft) if masked else 1 - soft


def _balanced_error(total: Total, masked: bool) -> Array:
    """Returns the mean of two rates, which are linear in p: their denominators are of labels.

    With the gradient these are six passes over (B, L) arrays: the tail, four sums, of which those
    of the labels read nothing else without a mask, and the gradient.
    """
    fn, fp, positives, negatives = total(functools.partial(_errors_and_sides, masked=masked))
    missed, alarms = fn / jnp.maximum(positives, TINY), fp / jnp.maximum(negatives, TINY)
    error: Array = (missed + alarms) / 2
    return error


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
    return counts_loss(
        functools.partial(_balanced_error, masked=inputs.where is not None),
        signed_tail(inputs.x),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )
