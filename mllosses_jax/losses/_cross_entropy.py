"""The cross-entropies from which losses of several families are built."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.masking import LossInputs
from mllosses_jax._core.numerics import (
    finite_product,
    log_share,
    log_sigmoid_pair,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.softmax import softmax_excess, softmax_terms


@jax.custom_jvp
def _hard_slope(x: Array, y: Array) -> Array:
    """Returns −σ(−x) for positives and σ(x) for negatives, which needs no absolute value.

    Neither cancels: where the exponential overflows, the slope is 0.
    """
    return jnp.where(y, -1.0, 1.0) / (1 + jnp.exp(jnp.where(y, x, -x)))


@_hard_slope.defjvp
def _hard_slope_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    p, q = sigmoid_pair(primals[0])
    return _hard_slope(*primals), p * q * tangents[0]


@with_slope(_hard_slope)
def hard_cross_entropy(x: Array, y: Array) -> Array:
    """Returns −log p for positives and −log(1 − p) for negatives, for bool labels y."""
    log_p, log_q = log_sigmoid_pair(x)
    return -jnp.where(y, log_p, log_q)


def _soft_slope(x: Array, positive: Array, negative: Array) -> Array:
    p, q = sigmoid_pair(x)
    return negative * p - positive * q


@with_slope(_soft_slope)
def soft_cross_entropy(x: Array, positive: Array, negative: Array) -> Array:
    """Returns −positive·log p − negative·log(1 − p) for weights that are not negative."""
    # Both logarithms have the term log(1 + exp(-|x|)), and the larger one has |x| besides.
    shared = (positive + negative) * -log_sigmoid_pair(jnp.abs(x))[0]
    return shared + finite_product(jnp.where(x >= 0, negative, positive), jnp.abs(x))


def cross_entropy(inputs: LossInputs) -> Array:
    """Returns the unreduced binary cross-entropy of hard or soft labels."""
    if inputs.hard:
        return hard_cross_entropy(inputs.x, inputs.y)
    return soft_cross_entropy(inputs.x, inputs.y, 1 - inputs.y)


def through_log_softmax(s: Array, rest: Array, change: Array) -> Array:
    """Returns the derivative in x of a function whose derivatives in log softmax(x) are −change.

    Args:
        s: softmax(x).
        rest: 1 − s.
        change: minus the derivatives in log s, shape (..., L).
    """
    total = jnp.sum(change, axis=-1, keepdims=True)
    # Only next to s = 1 the change cancels in s * total - change.
    return jnp.where(s > 0.5, s * (total - change) - rest * change, s * total - change)


def _self_information(q: Array) -> Array:
    """Returns q·log(q) for q in [0, 1], 0 with zero gradient at 0."""
    nothing = q == 0
    safe = jnp.where(nothing, 1, q)
    return jnp.where(nothing, 0, q * log_share(safe, 1 - safe))


def _products(labels: Array, values: Array) -> Array:
    hard = labels.dtype == jnp.bool_
    return jnp.where(labels, values, 0) if hard else finite_product(labels, values)


def _products_and_information(labels: Array, values: Array) -> Array:
    return finite_product(labels, values) + _self_information(labels)


@with_slope(softmax_excess, share=True, over_labels=True)
def softmax_divergence(x: Array, labels: Array, scale: Array, total: Array) -> Array:
    """Returns Σ q·log(q / softmax(x)) for q = labels·scale in one sum; see `softmax_entropy`."""
    terms, axis = softmax_terms(x), (x.ndim - 1,)
    q = labels * scale[..., None]
    products = sum_of_terms(_products_and_information, (q, -terms.shifted), axis)
    return products + total * jnp.log1p(terms.rest)


@with_slope(softmax_excess, share=True, over_labels=True)
def softmax_entropy(x: Array, labels: Array, scale: Array, total: Array) -> Array:
    """Returns −Σ q·log softmax(x) for q = labels·scale.

    As −log s_c = (max x − x_c) + log(1 + R), where R is the sum of all terms but the largest
    relative to that, the labels are summed with what does not depend on the softmax. With the
    gradient these are six passes over (B, L) arrays: four of `softmax_terms`, the products with the
    labels, and the gradient. The sum of the labels costs one more.

    Args:
        x: logits (..., L).
        labels: bool or float array (..., L).
        scale: what the labels of a sample are multiplied by, shape (...).
        total: the sum of the q of a sample, shape (...).
    """
    terms = softmax_terms(x)
    products = sum_of_terms(_products, (labels, -terms.shifted), (x.ndim - 1,))
    return scale * products + total * jnp.log1p(terms.rest)
