"""Asymmetric losses: focal losses that treat positives and negatives differently.

A negative counts with p_m = max(p - clip, 0) in the place of its probability p, so that the
easiest negatives count nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    TINY,
    AxisName,
    finite_product,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import Reduction, reduce_elements
from mllosses_jax.losses._focus import (
    Exponent,
    asymmetric_entropy,
    asymmetric_entropy_slope,
    hard_focus,
    shifted,
    soft_focus,
)

Array = jax.Array
Loss = Array | tuple[Array, Array]
_INF = float("inf")


def _hard_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *,
    detach_focus: bool,
) -> Array:
    focus = hard_focus(x, y, gamma_neg, gamma_pos, clip)
    entropy_slope = asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return focus * entropy_slope
    p, q = sigmoid_pair(x)
    p_m, above, _ = shifted(x, clip)
    entropy = asymmetric_entropy(x, y, clip)
    # entropy / p_m -> 1 as p_m -> 0, so the growth of p_m ** gamma is never 0 / 0.
    sound = p_m > TINY
    per_p_m = jnp.where(sound, entropy / jnp.where(sound, p_m, 1), above.astype(x.dtype))
    by_weight = jnp.where(y, -gamma_pos * finite_product(p, entropy), gamma_neg * p * q * per_p_m)
    return focus * (entropy_slope + by_weight)


def _hard_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    return hard_focus(x, y, gamma_neg, gamma_pos, clip) * asymmetric_entropy(x, y, clip)


def _soft_slope(
    x: Array,
    y: Array,
    gamma_neg: Exponent,
    gamma_pos: Exponent,
    clip: Exponent,
    *,
    detach_focus: bool,
) -> Array:
    focus, gamma, growth = soft_focus(x, y, gamma_neg, gamma_pos, clip)
    entropy_slope = asymmetric_entropy_slope(x, y, clip)
    if detach_focus:
        return focus * entropy_slope
    entropy = asymmetric_entropy(x, y, clip)
    return focus * (entropy_slope + gamma * finite_product(growth, entropy))


def _soft_asymmetric(
    x: Array, y: Array, gamma_neg: Exponent, gamma_pos: Exponent, clip: Exponent
) -> Array:
    focus, _, _ = soft_focus(x, y, gamma_neg, gamma_pos, clip)
    return focus * asymmetric_entropy(x, y, clip)


def asymmetric_kernel(hard: bool, detach_focus: bool) -> Callable[..., Array]:
    """Returns the kernel of (x, y, gamma_neg, gamma_pos, clip) for hard or soft labels."""
    slope, value = (_hard_slope, _hard_asymmetric) if hard else (_soft_slope, _soft_asymmetric)
    # The power of a soft label costs more than the memory in which value and slope share it.
    share = detach_focus and not hard
    return with_slope(functools.partial(slope, detach_focus=detach_focus), share=share)(value)


@compiled(gamma_neg=(0, _INF), gamma_pos=(0, _INF), clip=(0, 1))
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
) -> Loss:
    """Asymmetric loss (ASL): a stronger focus on negatives, the easiest of which count nothing.

    Formula:
        ℓ = −u^γ·[y·log p + (1 − y)·log(1 − p_m)],  p = σ(x),  p_m = max(p − m, 0)
        u = y·(1 − p) + (1 − y)·p_m,  γ = y·γ₊ + (1 − y)·γ₋

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integers take a cheaper kernel.
        gamma_neg: γ₋ ≥ 0, a scalar or (L,).
        gamma_pos: γ₊ ≥ 0, a scalar or (L,). The authors' class has 1, their COCO runs 0.
        clip: m in [0, 1], a scalar or (L,): negatives with p ≤ m have loss and gradient 0.
        detach_focus: hold u^γ constant in the slope with respect to the logits, as the authors'
            training script does. That slope is then differentiated as it stands, and the
            derivatives of the value with respect to the parameters are live, so mixed partial
            derivatives do not commute. False lets the gradient flow, as in timm.
        weights: scale terms: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "sum", timm's
        "batchmean".

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or a parameter is out of its range.

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
    return reduce_elements(
        losses, weights=weights, where=inputs.where, reduction=reduction, axis_name=axis_name
    )
