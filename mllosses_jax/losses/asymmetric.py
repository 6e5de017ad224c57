"""Asymmetric losses, which treat positives and negatives differently.

In the focal one, the probability p of a negative is replaced by p_m = max(p - clip, 0), so the
easiest negatives contribute nothing. The strictly proper one has no focus, but another slope and
origin for negatives.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import finite_product, sigmoid_pair, softplus, with_slope
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._asymmetric import asymmetric_kernel

__all__ = ["asymmetric_loss", "strictly_proper_asymmetric_loss"]

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


class _Side(NamedTuple):
    """The loss softplus(k·(x − b)) / ζ of one side; k is negative for positives."""

    k: Array
    b: Array
    zeta: Array

    def loss(self, x: Array) -> Array:
        return softplus(self.k * (x - self.b)) / self.zeta

    def slope(self, x: Array) -> Array:
        return self.k / self.zeta * sigmoid_pair(self.k * (x - self.b))[0]


def _chosen(y: Array, parameters: tuple[Array, ...]) -> _Side:
    """Returns for each entry the side of its hard label."""
    return _Side(
        *(jnp.where(y, *pair) for pair in zip(parameters[:3], parameters[3:], strict=True))
    )


def _hard_proper_slope(x: Array, y: Array, *parameters: Array) -> Array:
    return _chosen(y, parameters).slope(x)


@with_slope(_hard_proper_slope)
def _hard_proper(x: Array, y: Array, *parameters: Array) -> Array:
    return _chosen(y, parameters).loss(x)


def _soft_proper_slope(x: Array, y: Array, *parameters: Array) -> Array:
    return y * _Side(*parameters[:3]).slope(x) + (1 - y) * _Side(*parameters[3:]).slope(x)


@with_slope(_soft_proper_slope)
def _soft_proper(x: Array, y: Array, *parameters: Array) -> Array:
    positive, negative = _Side(*parameters[:3]).loss(x), _Side(*parameters[3:]).loss(x)
    return finite_product(y, positive) + finite_product(1 - y, negative)


@compiled_loss(
    k_neg=(1e-15, 1e15), k_pos=(1e-15, 1e15), zeta_neg=(1e-15, 1e15), zeta_pos=(1e-15, 1e15)
)
def strictly_proper_asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    k_neg: ArrayLike = 3.0,
    b_neg: ArrayLike = 1.0,
    zeta_neg: ArrayLike = 5.0,
    k_pos: ArrayLike = 1.0,
    b_pos: ArrayLike = 0.0,
    zeta_pos: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Strictly proper asymmetric loss: easy negatives weigh little, and yet scores are calibrated.

    Formula:
        ℓ = −y·log σ(k₊·(x − b₊))/ζ₊ − (1 − y)·log σ(−k₋·(x − b₋))/ζ₋
        η(x) = 1 / (1 + k₊·ζ₋·σ(−k₊·(x − b₊)) / (k₋·ζ₊·σ(k₋·(x − b₋))))

    Focal and asymmetric loss give up probabilities for asymmetry. Here a score x stands for the
    probability η(x), at which its expected loss is minimal and which rises strictly with x. It is
    not σ(x): pass the scores and the parameters to `calibration.inverse_link`.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        k_neg: k₋ > 0, a scalar or (L,): how fast the loss of a negative falls below b₋.
        b_neg: b₋, a scalar or (L,): the score from which on a negative costs its full slope.
        zeta_neg: ζ₋ > 0, a scalar or (L,), by which the loss of a negative is divided.
        k_pos: k₊ > 0, a scalar or (L,).
        b_pos: b₊, a scalar or (L,).
        zeta_pos: ζ₊ > 0, a scalar or (L,).
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). With k = ζ = 1 and b = 0 on both sides it
        is binary cross-entropy. Extreme logits divided by a small ζ may be infinite.

    Reference:
        J. Cheng and N. Vasconcelos, "Towards Calibrated Multi-label Deep Neural Networks", 2024
        (CVPR).

    Example:
        >>> import jax.numpy as jnp
        >>> import mllosses_jax as mll
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> loss = mll.strictly_proper_asymmetric_loss
        >>> print(loss(logits, labels, reduction="none").round(4))
        [[0.1269 0.0005]]
        >>> print(f"{mll.calibration.inverse_link(loss, logits)[0, 0]:.4f}")  # not σ(2) = 0.8808
        0.8274
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x = inputs.x
    k_p, b_p, zeta_p, k_n, b_n, zeta_n = (
        checks.element_parameter(name, value, x)
        for name, value in (
            ("k_pos", k_pos),
            ("b_pos", b_pos),
            ("zeta_pos", zeta_pos),
            ("k_neg", k_neg),
            ("b_neg", b_neg),
            ("zeta_neg", zeta_neg),
        )
    )
    kernel = _hard_proper if inputs.hard else _soft_proper
    losses = kernel(x, inputs.y, -k_p, b_p, zeta_p, k_n, b_n, zeta_n)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
