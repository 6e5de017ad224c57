"""Losses with a focusing weight, for hard labels on one side and for soft labels as a mixture."""

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import constant, is_hard, softplus, wrong_side

CLIP = 0.05


def sigmoid_focal_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    wrong, entropy = _wrong_and_entropy(x, y)
    return jnp.mean(wrong**2 * entropy, where=where)


def quality_focal_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    if is_hard(y):
        return sigmoid_focal_loss(x, y, where)
    entropy = softplus(x) - x * y
    return jnp.mean((y - jax.nn.sigmoid(x)) ** 2 * entropy, where=where)


def poly1_binary_cross_entropy(x: Array, y: Array, where: Array | None = None) -> Array:
    wrong, entropy = _wrong_and_entropy(x, y)
    return jnp.mean(entropy + wrong, where=where)


def poly1_focal_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    wrong, entropy = _wrong_and_entropy(x, y)
    return jnp.mean(wrong**2 * (entropy + wrong), where=where)


def _wrong_and_entropy(x: Array, y: Array) -> tuple[Array, Array]:
    """Returns 1 - p_t and the binary cross-entropy."""
    if is_hard(y):
        z = wrong_side(x, y)
        return jax.nn.sigmoid(z), softplus(z)
    p = jax.nn.sigmoid(x)
    return y * (1 - p) + (1 - y) * p, softplus(x) - x * y


def asymmetric_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p = jax.nn.sigmoid(x)
    shifted = jax.nn.relu(p - CLIP)
    if is_hard(y):
        weight = jnp.where(y, 1 - p, shifted**4)
        likelihood = jnp.log(jnp.where(y, p, 1 - shifted))
    else:
        weight = (y * (1 - p) + (1 - y) * shifted) ** (y + 4 * (1 - y))
        likelihood = y * jnp.log(p) + (1 - y) * jnp.log(1 - shifted)
    return -jnp.mean(constant(weight) * likelihood, where=where)


def strictly_proper_asymmetric_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    if is_hard(y):
        return jnp.mean(softplus(jnp.where(y, -x, 3 * x - 3)) / jnp.where(y, 1, 5), where=where)
    return jnp.mean(y * softplus(-x) + (1 - y) * softplus(3 * x - 3) / 5, where=where)


def asymmetric_polynomial_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p = jax.nn.sigmoid(x)
    shifted = jax.nn.relu(p - CLIP)
    polynomial = (1 - p) - 1.25 * (1 - p) ** 2
    if is_hard(y):
        weight = jnp.where(y, 1, shifted**4)
        terms = jnp.log(jnp.where(y, p, 1 - shifted)) + jnp.where(y, polynomial, 0)
    else:
        weight = (y * (1 - p) + (1 - y) * shifted) ** (4 * (1 - y))
        terms = y * (jnp.log(p) + polynomial) + (1 - y) * jnp.log(1 - shifted)
    return -jnp.mean(constant(weight) * terms, where=where)


def robust_asymmetric_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p = jax.nn.sigmoid(x)
    shifted = jax.nn.relu(p - CLIP)
    polynomial = (1 - p) - 1.25 * (1 - p) ** 2
    hill = (1.5 - p) * p**2 * (0.5 + shifted)
    if is_hard(y):
        likelihood = jnp.log(jnp.where(y, p, 1 - shifted))
        terms = jnp.where(y, likelihood + polynomial, shifted**4 * hill * likelihood)
    else:
        weight = (y * (1 - p) + (1 - y) * shifted) ** (4 * (1 - y))
        positive = y * (jnp.log(p) + polynomial)
        terms = weight * (positive + (1 - y) * hill * jnp.log(1 - shifted))
    return -jnp.mean(terms, where=where)


def hill_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p = jax.nn.sigmoid(x)
    negative = (1.5 - p) * p**2
    margin = x - 1
    positive = softplus(-margin)
    if is_hard(y):
        entries = jnp.where(y, jax.nn.sigmoid(-margin) ** 2 * positive, negative)
    else:
        focus = (1 - y * jax.nn.sigmoid(margin)) ** 2
        entries = focus * (y * positive + (1 - y) * negative)
    return jnp.mean(entries, where=where)


def splc_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive = y > 0
    z = x - positive
    corrected = positive | (jax.nn.sigmoid(z) > 0.6)
    z = wrong_side(z, corrected)
    return jnp.mean(jax.nn.sigmoid(z) ** 2 * softplus(z), where=where)
