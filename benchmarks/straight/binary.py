"""Binary cross-entropy and its relatives."""

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import is_hard, known, ratio, softplus, wrong_side


def sigmoid_binary_cross_entropy(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(softplus(x) - x * y, where=where)


def binary_cross_entropy(p: Array, y: Array, where: Array | None = None) -> Array:
    if is_hard(y):
        likelihood = jnp.maximum(jnp.log(jnp.where(y, p, 1 - p)), -100)
    else:
        positive = jnp.maximum(jnp.log(p), -100)
        negative = jnp.maximum(jnp.log(1 - p), -100)
        likelihood = y * positive + (1 - y) * negative
    return -jnp.mean(likelihood, where=where)


def balanced_binary_cross_entropy(
    x: Array, y: Array, where: Array | None = None, *, alpha: float
) -> Array:
    if is_hard(y):
        entropy = jnp.where(y, alpha, 1 - alpha) * softplus(wrong_side(x, y))
    else:
        positive = softplus(-x)
        entropy = alpha * y * positive + (1 - alpha) * (1 - y) * (positive + x)
    return jnp.mean(entropy, where=where)


def multilabel_soft_margin_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(jnp.mean(softplus(x) - x * y, -1, where=where))


def ova_n_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    count = jnp.sum(y, -1, where=where)
    negative = jnp.sum(softplus(x), -1, where=where)
    positive = jnp.sum(x * y, -1, where=where)
    return jnp.mean(jnp.where(count > 0, negative - ratio(positive, count), 0))


def hinge_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_hinges(x, y, 1), where=where)


def squared_hinge_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_hinges(x, y, 2), where=where)


def _hinges(x: Array, y: Array, power: int) -> Array:
    if is_hard(y):
        return jax.nn.relu(1 + wrong_side(x, y)) ** power
    return y * jax.nn.relu(1 - x) ** power + (1 - y) * jax.nn.relu(1 + x) ** power


def generalized_binary_cross_entropy(x: Array, y: Array, where: Array | None = None) -> Array:
    q = 0.7
    if is_hard(y):
        kept = jnp.exp(-q * softplus(wrong_side(x, y)))
    else:
        negative = softplus(x)
        kept = y * jnp.exp(q * (x - negative)) + (1 - y) * jnp.exp(-q * negative)
    return jnp.mean((1 - kept) / q, where=where)


def multilabel_distillation_loss(
    x: Array, y: Array, where: Array | None = None, *, teacher_logits: Array
) -> Array:
    t = teacher_logits.astype(x.dtype)
    p = jax.nn.sigmoid(t)
    divergence = softplus(x) - softplus(t) - p * (x - t)
    return jnp.mean(jnp.sum(divergence, -1, where=where))


def partial_binary_cross_entropy(x: Array, y: Array, where: Array | None = None) -> Array:
    entropy = jnp.sum(softplus(x) - x * y, -1, where=where) / x.shape[-1]
    share = known(y, where) / x.shape[-1]
    return jnp.mean((5.45 - 4.45 * share) * entropy)


def assume_negative_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return sigmoid_binary_cross_entropy(x, y, where)


def weak_assume_negative_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    gamma = 1 / (known(y, where)[..., None] - 1)
    if is_hard(y):
        entropy = jnp.where(y, 1, gamma) * softplus(wrong_side(x, y))
    else:
        positive = softplus(-x)
        entropy = y * positive + gamma * (1 - y) * (positive + x)
    return jnp.mean(entropy, where=where)
