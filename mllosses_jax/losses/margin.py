"""Margin losses per label, which are zero once a logit is on the right side of 0 by a margin."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import finite_product, with_slope
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["hinge_loss", "squared_hinge_loss"]

_INF = float("inf")


def _mixed(y: Array, positive: Array, negative: Array) -> Array:
    """Returns y·positive + (1 − y)·negative for hard or soft labels and non-negative terms."""
    if y.dtype == jnp.bool_:
        return jnp.where(y, positive, negative)
    return finite_product(y, positive) + finite_product(1 - y, negative)


def _hinge_slope(x: Array, y: Array, margin: Array) -> Array:
    return _mixed(y, -(x < margin).astype(x.dtype), (x > -margin).astype(x.dtype))


@with_slope(_hinge_slope)
def _hinge(x: Array, y: Array, margin: Array) -> Array:
    return _mixed(y, jnp.maximum(margin - x, 0), jnp.maximum(margin + x, 0))


def _distance(wrong: Array, margin: Array) -> Array:
    """Returns how far the logit of being wrong is above −margin, so that twice it is finite."""
    return jnp.clip(margin + wrong, 0, jnp.finfo(wrong.dtype).max / 2)


def _squared_hinge_slope(x: Array, y: Array, margin: Array) -> Array:
    if y.dtype == jnp.bool_:
        slope = 2 * _distance(jnp.where(y, -x, x), margin)
        return jnp.where(y, -slope, slope)
    return _mixed(y, -2 * _distance(-x, margin), 2 * _distance(x, margin))


@with_slope(_squared_hinge_slope, share=True)
def _squared_hinge(x: Array, y: Array, margin: Array) -> Array:
    if y.dtype == jnp.bool_:
        return _distance(jnp.where(y, -x, x), margin) ** 2
    return _mixed(y, _distance(-x, margin) ** 2, _distance(x, margin) ** 2)


@compiled_loss(margin=(0, _INF))
def hinge_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Hinge loss per label: one linear support vector machine for each label.

    Formula:
        ℓ = y·max(0, margin − x) + (1 − y)·max(0, margin + x)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft; a soft label is the weight of
            the positive term. For labels in {−1, 1} pass `labels > 0`.
        margin: a number ≥ 0, a scalar or (L,).
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss: (..., L) with "none", else (). At the kink the slope is that of the flat side,
        0. `keras.losses.Hinge` is "mean".

    Reference:
        C. Cortes and V. Vapnik, "Support-Vector Networks", 1995.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import hinge_loss
        >>> logits, labels = jnp.array([[2.0, -0.25]]), jnp.array([[1, 0]])
        >>> print(hinge_loss(logits, labels, reduction="none"))
        [[0.   0.75]]
    """
    inputs = loss_inputs(logits, labels, where)
    m = checks.element_parameter("margin", margin, inputs.x)
    losses = _hinge(inputs.x, inputs.y, m)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(margin=(0, _INF))
def squared_hinge_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Squared hinge loss per label: smooth at the margin, harsh on large errors.

    Formula:
        ℓ = y·max(0, margin − x)² + (1 − y)·max(0, margin + x)²

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft; a soft label is the weight of
            the positive term.
        margin: a number ≥ 0, a scalar or (L,).
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss: (..., L) with "none", else (). `keras.losses.SquaredHinge` is "mean". For
        logits beyond 1e19 the loss overflows float32 to infinity; the gradient stays finite.

    Reference:
        Y. Tang, "Deep Learning using Linear Support Vector Machines", 2013, arXiv:1306.0239.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import squared_hinge_loss
        >>> logits, labels = jnp.array([[2.0, -0.25]]), jnp.array([[1, 0]])
        >>> print(squared_hinge_loss(logits, labels, reduction="none"))
        [[0.     0.5625]]
    """
    inputs = loss_inputs(logits, labels, where)
    m = checks.element_parameter("margin", margin, inputs.x)
    losses = _squared_hinge(inputs.x, inputs.y, m)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
