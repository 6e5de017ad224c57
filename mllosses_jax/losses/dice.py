"""Region losses from segmentation: Dice, Tversky and Jaccard, on label sets instead of pixels."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import TINY, power, signed_tail
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._soft_counts import Average, SoftCounts, overlap_loss, share

__all__ = ["dice_loss", "focal_tversky_loss", "jaccard_loss", "tversky_loss"]


def _dice(counts: SoftCounts, smooth: Array) -> Array:
    return share(counts.wrong, 2 * counts.tp + smooth)


def _tversky(counts: SoftCounts, smooth: Array) -> Array:
    return share(counts.wrong, counts.tp + smooth)


def _focused(loss: Array, gamma: Array | int) -> Array:
    """Returns loss ** gamma, whose derivative in the loss is infinite at 0 for gamma < 1.

    The derivative in a logit is finite: that of the loss falls as fast as the loss, down to 0.
    """
    wrong = ~(loss <= TINY)  # holds for NaN
    base = jnp.where(wrong, loss, 1)
    return jnp.where(wrong, power(base, jnp.log(base), gamma), 0)


@compiled_loss(smooth=(0, 1e30))
def dice_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: ArrayLike = 1.0,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Dice loss: one minus the smoothed overlap of predictions and labels over their mean size.

    Formula:
        ℓ = 1 − (2·TP + s) / (Σ p + Σ y + s) = (FP + FN) / (2·TP + FP + FN + s)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    This is the soft F1 loss with the smoothing in the numerator too. (V-Net's own form squares p
    and y in the denominator.)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        smooth: s ≥ 0, a scalar.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample without a positive has loss FP / (FP + s), which falls with p;
        with s = 0 that is 1 with zero gradient. MONAI's batch=True is "macro", and so is
        segmentation_models_pytorch, with weight 0 for labels without a positive.

    Reference:
        F. Milletari, N. Navab and S.-A. Ahmadi, "V-Net: Fully Convolutional Neural Networks for
        Volumetric Medical Image Segmentation", 2016, arXiv:1606.04797.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import dice_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{dice_loss(logits, labels):.4f}")
        0.3333
    """
    inputs = loss_inputs(logits, labels, where)
    s = checks.scalar("smooth", smooth, inputs.x.dtype)
    return overlap_loss(
        lambda counts: _dice(counts, s),
        signed_tail(inputs.x),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled_loss(alpha=(0, 1e15), beta=(0, 1e15), smooth=(0, 1e30))
def tversky_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    smooth: ArrayLike = 1.0,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Tversky loss: Dice with separate weights for false positives and false negatives.

    Formula:
        ℓ = 1 − (TP + s) / (TP + α·FP + β·FN + s)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    α = β = 1/2 gives the Dice loss with 2·s for s, and α = β = 1 the Jaccard loss.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        alpha: α ≥ 0, a scalar: the weight of false positives, as in the paper, MONAI and
            segmentation_models_pytorch; Keras calls this weight beta.
        beta: β ≥ 0, a scalar: the weight of false negatives; if it is above α, recall weighs more.
        smooth: s ≥ 0, a scalar.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample without a positive has loss α·FP / (α·FP + s), which falls with
        p; with s = 0 that is 1 with zero gradient, and 0/0 is 0. MONAI's batch=True is "macro".

    Reference:
        S. S. M. Salehi, D. Erdogmus and A. Gholipour, "Tversky Loss Function for Image
        Segmentation Using 3D Fully Convolutional Deep Networks", 2017, arXiv:1706.05721.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import tversky_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{tversky_loss(logits, labels, smooth=0.0):.4f}")
        0.5000
    """
    inputs = loss_inputs(logits, labels, where)
    dtype = inputs.x.dtype
    s = checks.scalar("smooth", smooth, dtype)
    return overlap_loss(
        lambda counts: _tversky(counts, s),
        signed_tail(inputs.x),
        inputs,
        alpha=checks.scalar("alpha", alpha, dtype),
        beta=checks.scalar("beta", beta, dtype),
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled_loss(alpha=(0, 1e15), beta=(0, 1e15), gamma=(0, 1e3), smooth=(0, 1e30))
def focal_tversky_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.3,
    beta: ArrayLike = 0.7,
    gamma: ArrayLike = 0.75,
    smooth: ArrayLike = 1.0,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Focal Tversky loss: a power of the Tversky loss, to shift weight between easy and hard.

    Formula:
        ℓ = (1 − TI)^γ,  TI = (TP + s) / (TP + α·FP + β·FN + s)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    The paper writes the exponent as 1/γ with γ = 4/3: that is 0.75 here, as in the authors' code.
    For γ < 1 the power is steepest at TI = 1, but the gradient in the logits is finite and goes to
    0 there.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        alpha: α ≥ 0, a scalar: the weight of false positives. (Abraham and Khan swap α and β.)
        beta: β ≥ 0, a scalar: the weight of false negatives; if it is above α, recall weighs more.
        gamma: γ > 0, a scalar: the exponent; 1 gives the Tversky loss.
        smooth: s ≥ 0, a scalar.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample without a positive has loss (α·FP / (α·FP + s))^γ, which falls
        with p. If 1 − TI is below 1e-18, the loss is 0 with zero gradient. The authors' code is
        "micro".

    Reference:
        N. Abraham and N. M. Khan, "A Novel Focal Tversky Loss Function with Improved Attention
        U-Net for Lesion Segmentation", 2019, arXiv:1810.07842.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import focal_tversky_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{focal_tversky_loss(logits, labels, smooth=0.0):.4f}")
        0.5946
    """
    inputs = loss_inputs(logits, labels, where)
    dtype = inputs.x.dtype
    exponent = gamma if isinstance(gamma, int) else checks.scalar("gamma", gamma, dtype)
    s = checks.scalar("smooth", smooth, dtype)
    return overlap_loss(
        lambda counts: _focused(_tversky(counts, s), exponent),
        signed_tail(inputs.x),
        inputs,
        alpha=checks.scalar("alpha", alpha, dtype),
        beta=checks.scalar("beta", beta, dtype),
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled_loss(smooth=(0, 1e30))
def jaccard_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    smooth: ArrayLike = 1.0,
    average: Average = "macro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Soft Jaccard (IoU) loss: one minus the smoothed ratio of intersection and union.

    Formula:
        ℓ = 1 − (TP + s) / (Σ p + Σ y − TP + s) = (FP + FN) / (TP + FP + FN + s)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        smooth: s ≥ 0, a scalar.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample without a positive has loss FP / (FP + s), which falls with p;
        with s = 0 that is 1 with zero gradient. segmentation_models_pytorch is "macro" with weight
        0 for labels without a positive.

    Reference:
        M. A. Rahman and Y. Wang, "Optimizing Intersection-Over-Union in Deep Neural Networks for
        Image Segmentation", 2016 (ISVC).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import jaccard_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{jaccard_loss(logits, labels, smooth=0.0):.4f}")
        0.6667
    """
    inputs = loss_inputs(logits, labels, where)
    s = checks.scalar("smooth", smooth, inputs.x.dtype)
    return overlap_loss(
        lambda counts: _tversky(counts, s),
        signed_tail(inputs.x),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )
