"""Asymmetric losses: focal losses that treat positives and negatives differently.

The probability p of a negative is replaced by p_m = max(p - clip, 0), so the easiest negatives
contribute nothing.
"""

from __future__ import annotations

from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._asymmetric import asymmetric_kernel

__all__ = ["asymmetric_loss"]

_INF = float("inf")


@compiled_loss(gamma_neg=(0, _INF), gamma_pos=(0, _INF), clip=(0, 1))
def asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma_neg: ArrayLike = 4.0,
    gamma_pos: ArrayLike = 1.0,
    clip: ArrayLike = 0.05,
    detach_focus: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Asymmetric loss (ASL): a stronger focus on negatives, the easiest of which have no loss.

    Formula:
        ℓ = −u^γ·[y·log p + (1 − y)·log(1 − p_m)],  p = σ(x),  p_m = max(p − m, 0)
        u = y·(1 − p) + (1 − y)·p_m,  γ = y·γ₊ + (1 − y)·γ₋

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integer labels use a cheaper kernel.
        gamma_neg: γ₋ ≥ 0, a scalar or (L,).
        gamma_pos: γ₊ ≥ 0, a scalar or (L,). The authors' class has 1, their COCO runs use 0.
        clip: m in [0, 1], a scalar or (L,): negatives with p ≤ m have loss and gradient 0.
        detach_focus: whether u^γ is held constant in the slope with respect to the logits, as in
            the authors' training script. Higher derivatives are those of this slope, while
            derivatives with respect to the parameters are those of the value, so mixed partial
            derivatives do not commute. With False the gradient flows through u^γ, as in timm.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "sum", timm's
        "batchmean".

    Reference:
        T. Ridnik, E. Ben-Baruch, N. Zamir, A. Noy, I. Friedman, M. Protter and L. Zelnik-Manor,
        "Asymmetric Loss For Multi-Label Classification", 2021, arXiv:2009.14119.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import asymmetric_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, -3.0]]), jnp.array([[1, 0, 0]])
        >>> print(asymmetric_loss(logits, labels, reduction="none").round(4))
        [[0.0151 0.0006 0.    ]]
    """
    inputs = loss_inputs(logits, labels, where)
    x = inputs.x
    losses = asymmetric_kernel(inputs.hard, detach_focus)(
        x,
        inputs.y,
        checks.exponent("gamma_neg", gamma_neg, x),
        checks.exponent("gamma_pos", gamma_pos, x),
        checks.exponent("clip", clip, x),
    )
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
