"""Losses robust to wrong labels: they give up on labels that the model strongly contradicts."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    TINY,
    finite_product,
    log_sigmoid_pair,
    power,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._focal import (
    faded_entropy,
    faded_entropy_slope,
    hard_focal,
    hard_focal_slope,
)
from mllosses_jax.losses._power_loss import growth, power_loss, power_loss_slope

__all__ = ["generalized_binary_cross_entropy", "hill_loss", "splc_loss"]

_INF = float("inf")


# Generalized cross-entropy


def _hard_generalized_slope(x: Array, y: Array, order: Exponent) -> Array:
    slope = power_loss_slope(jnp.where(y, x, -x), order)
    return jnp.where(y, slope, -slope)


@with_slope(_hard_generalized_slope)
def _hard_generalized(x: Array, y: Array, order: Exponent) -> Array:
    return power_loss(log_sigmoid_pair(jnp.where(y, x, -x))[0], order)


def _exchanged(x: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
    """Returns a pair that belongs to p and 1 − p by size, the larger one first, and vice versa."""
    first, second = pair
    return jnp.where(x >= 0, first, second), jnp.where(x >= 0, second, first)


def _soft_generalized_slope(x: Array, y: Array, order: Exponent) -> Array:
    larger, smaller = _exchanged(x, sigmoid_pair(x))
    log_larger, log_smaller = _exchanged(x, log_sigmoid_pair(x))
    # The larger one is at least 1/2, so a polynomial gives its power without an exponential.
    t = order * log_larger
    of_larger = (1 + t * growth(t)) * smaller
    of_smaller = power(smaller, log_smaller, order) * larger
    positive, negative = _exchanged(x, (of_larger, of_smaller))
    return (1 - y) * negative - y * positive


@with_slope(_soft_generalized_slope)
def _soft_generalized(x: Array, y: Array, order: Exponent) -> Array:
    log_larger, log_smaller = _exchanged(x, log_sigmoid_pair(x))
    of_larger = -log_larger * growth(order * log_larger)
    positive, negative = _exchanged(x, (of_larger, power_loss(log_smaller, order)))
    return finite_product(y, positive) + finite_product(1 - y, negative)


@compiled_loss(q=(0, 1))
def generalized_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    q: ArrayLike = 0.7,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Generalized cross-entropy (GCE) per label: from cross-entropy to the absolute error.

    Formula:
        ℓ = y·(1 − p^q)/q + (1 − y)·(1 − (1 − p)^q)/q,  p = σ(x)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        q: a number in [0, 1], a scalar or (L,). 0 gives the limit, binary cross-entropy; 1 gives
            the absolute error |y − p| of hard labels, which is the most robust to wrong labels and
            the slowest to learn.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss, at most 1/q: (..., L) with "none", else (). The paper defines the loss on softmax
        probabilities.

    Reference:
        Z. Zhang and M. R. Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural
        Networks with Noisy Labels", 2018, arXiv:1805.07836.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import generalized_binary_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(f"{generalized_binary_cross_entropy(logits, labels):.4f}")
        0.2014
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    kernel = _hard_generalized if inputs.hard else _soft_generalized
    losses = kernel(inputs.x, inputs.y, checks.exponent("q", q, inputs.x))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


# Hill loss


def _hill(p: Array, q: Array, lamb: Exponent) -> Array:
    """Returns (λ − p)·p²."""
    return p * p * ((lamb - 1) + q)


def _hill_slope(p: Array, q: Array, lamb: Exponent) -> Array:
    """Returns p²·q·(2λ − 3p)."""
    return p * p * q * ((2 * lamb - 3) + 3 * q)


def _hard_hill_slope(x: Array, y: Array, margin: Array, gamma: Exponent, lamb: Exponent) -> Array:
    z = jnp.where(y, x - margin, x)
    return jnp.where(y, faded_entropy_slope(z, gamma), _hill_slope(*sigmoid_pair(z), lamb))


@with_slope(_hard_hill_slope)
def _hard_hill(x: Array, y: Array, margin: Array, gamma: Exponent, lamb: Exponent) -> Array:
    z = jnp.where(y, x - margin, x)
    return jnp.where(y, faded_entropy(z, gamma), _hill(*sigmoid_pair(z), lamb))


class _Remaining(NamedTuple):
    u: Array  # 1 − y·p, for p = σ(z)
    log_u: Array
    decay: Array  # −u'/u


def _remaining(z: Array, y: Array) -> _Remaining:
    p, q = sigmoid_pair(z)
    u = (1 - y) + y * q
    # Where u is tiny, y is 1, and u is exp(-z).
    sound = u > TINY
    safe = jnp.where(sound, u, jnp.ones_like(u))
    log_u = jnp.where(sound, jnp.log(safe), -z)
    return _Remaining(u, log_u, decay=jnp.where(sound, y * p * q / safe, 1))


def _soft_hill_slope(x: Array, y: Array, margin: Array, gamma: Exponent, lamb: Exponent) -> Array:
    z = x - margin
    q = sigmoid_pair(z)[1]
    negative = _hill(*sigmoid_pair(x), lamb)
    entropy = finite_product(y, -log_sigmoid_pair(z)[0]) + (1 - y) * negative
    slope = (1 - y) * _hill_slope(*sigmoid_pair(x), lamb) - y * q
    u, log_u, decay = _remaining(z, y)
    return power(u, log_u, gamma) * (slope - gamma * finite_product(decay, entropy))


@with_slope(_soft_hill_slope)
def _soft_hill(x: Array, y: Array, margin: Array, gamma: Exponent, lamb: Exponent) -> Array:
    z = x - margin
    negative = _hill(*sigmoid_pair(x), lamb)
    entropy = finite_product(y, -log_sigmoid_pair(z)[0]) + (1 - y) * negative
    u, log_u, _ = _remaining(z, y)
    return power(u, log_u, gamma) * entropy


@compiled_loss(margin=(0, _INF), gamma=(0, _INF), lamb=(0, _INF))
def hill_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    gamma: ArrayLike = 2.0,
    lamb: ArrayLike = 1.5,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Hill loss: negatives that the model takes for positives pull less, as if unlabelled.

    Formula:
        ℓ = (1 − y·p̄)^γ·[−y·log p̄ + (1 − y)·(λ − p)·p²],  p = σ(x),  p̄ = σ(x − margin)

    For λ = 3/2 the slope of a negative is 3·p²·(1 − p)²: a hill with its top at p = 1/2.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L). Bool and integer labels use a cheaper kernel.
        margin: a number ≥ 0, a scalar or (L,); the authors recommend 0.5 to 1.
        gamma: γ ≥ 0, a scalar or (L,).
        lamb: λ ≥ 0, a scalar or (L,). If it is below 1, negatives with p > λ have a negative loss.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss: (..., L) with "none", else (). The authors' code is "sum".

    Reference:
        Y. Zhang, Y. Cheng, X. Huang, F. Wen, R. Feng, Y. Li and Y. Guo, "Simple and Robust Loss
        Design for Multi-Label Learning with Missing Labels", 2021, arXiv:2112.07368.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import hill_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(f"{hill_loss(logits, labels):.4f}")
        0.0558
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x = inputs.x
    losses = (_hard_hill if inputs.hard else _soft_hill)(
        x,
        inputs.y,
        checks.element_parameter("margin", margin, x),
        checks.exponent("gamma", gamma, x),
        checks.exponent("lamb", lamb, x),
    )
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


# Self-paced loss correction


def _corrected(
    x: Array, y: Array, margin: Array, threshold: Array, correct: Array
) -> tuple[Array, Array]:
    """Returns logits, less the margin for observed positives, and the corrected labels."""
    z = jnp.where(y, x - margin, x)
    return z, y | (correct & (sigmoid_pair(z)[0] > threshold))


def _splc_slope(
    x: Array, y: Array, margin: Array, gamma: Exponent, threshold: Array, correct: Array
) -> Array:
    return hard_focal_slope(*_corrected(x, y, margin, threshold, correct), gamma)


@with_slope(_splc_slope)
def _splc(
    x: Array, y: Array, margin: Array, gamma: Exponent, threshold: Array, correct: Array
) -> Array:
    return hard_focal(*_corrected(x, y, margin, threshold, correct), gamma)


@compiled_loss(threshold=(0, 1), margin=(0, _INF), gamma=(0, _INF))
def splc_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    correct: ArrayLike = True,
    threshold: ArrayLike = 0.6,
    margin: ArrayLike = 1.0,
    gamma: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Self-paced loss correction (SPLC): negatives predicted confidently count as positives.

    Formula:
        z = x − margin·y,  ŷ = max(y, c·[σ(z) > τ])
        ℓ = −ŷ·(1 − p)^γ·log p − (1 − ŷ)·p^γ·log(1 − p),  p = σ(z)

    A label whose ŷ differs from y has no margin, as in the authors' code.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): observed positives, where y = 1, are above 0.
        correct: c, bool scalar: whether missing labels are corrected. The authors start correcting
            after the first epoch. Pass an array, such as `jnp.asarray(epoch >= 1)`, to switch
            without recompilation.
        threshold: τ in [0, 1], a scalar or (L,).
        margin: a number ≥ 0, a scalar or (L,).
        gamma: γ ≥ 0, a scalar or (L,).
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "sum".

    Reference:
        Y. Zhang, Y. Cheng, X. Huang, F. Wen, R. Feng, Y. Li and Y. Guo, "Simple and Robust Loss
        Design for Multi-Label Learning with Missing Labels", 2021, arXiv:2112.07368.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import splc_loss
        >>> logits, labels = jnp.array([[2.0, 2.0, -1.0]]), jnp.array([[1, 0, 0]])
        >>> print(splc_loss(logits, labels, reduction="none").round(4))
        [[0.0227 0.0018 0.0227]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x = inputs.x
    losses = _splc(
        x,
        inputs.positives(),
        checks.element_parameter("margin", margin, x),
        checks.exponent("gamma", gamma, x),
        checks.element_parameter("threshold", threshold, x),
        checks.scalar("correct", correct, jnp.dtype(bool)),
    )
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
