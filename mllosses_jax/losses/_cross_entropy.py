"""The cross-entropies from which losses of several families are built."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.masking import LossInputs
from mllosses_jax._core.numerics import (
    finite_product,
    log_sigmoid_pair,
    log_softmax_pair,
    sigmoid_pair,
    softmax_pair,
    with_slope,
)


def _hard_slope(x: Array, y: Array) -> Array:
    p, q = sigmoid_pair(x)
    return jnp.where(y, -q, p)


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
    """Returns −positive·log p − negative·log(1 − p)."""
    log_p, log_q = log_sigmoid_pair(x)
    return finite_product(positive, -log_p) + finite_product(negative, -log_q)


def cross_entropy(inputs: LossInputs) -> Array:
    """Returns the unreduced binary cross-entropy of hard or soft labels."""
    if inputs.hard:
        return hard_cross_entropy(inputs.x, inputs.y)
    return soft_cross_entropy(inputs.x, inputs.y, 1 - inputs.y)


def _entropy_slope(x: Array, labels: Array) -> Array:
    s, rest = softmax_pair(x)
    total = jnp.sum(labels, axis=-1, keepdims=True)
    return s * (total - labels) - rest * labels  # s * total - labels, without cancellation


@with_slope(_entropy_slope, over_labels=True)
def softmax_entropy(x: Array, labels: Array) -> Array:
    """Returns −Σ labels·log softmax(x)."""
    log_s, _ = log_softmax_pair(x)
    return jnp.sum(finite_product(labels, -log_s), axis=-1)
