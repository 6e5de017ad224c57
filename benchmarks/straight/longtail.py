"""Losses for rare labels: cross-entropies of changed logits, with weights."""

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import is_hard, softplus, wrong_side


def ldam_loss(x: Array, y: Array, where: Array | None = None, *, label_counts: Array) -> Array:
    margins = 0.5 * (jnp.min(label_counts) / label_counts) ** 0.25
    z = 30 * (x - margins * y)
    return jnp.mean(softplus(z) - z * y, where=where)


def logit_adjusted_binary_cross_entropy(
    x: Array, y: Array, where: Array | None = None, *, prior: Array
) -> Array:
    z = x + jnp.log(prior / (1 - prior))
    return jnp.mean(softplus(z) - z * y, where=where)


def equalization_loss(
    x: Array, y: Array, where: Array | None = None, *, label_frequencies: Array
) -> Array:
    weight = 1 - (label_frequencies < 0.00177) * (1 - y.astype(x.dtype))
    return jnp.mean(weight * (softplus(x) - x * y), where=where)


def unbiased_binary_cross_entropy(
    x: Array, y: Array, where: Array | None = None, *, propensity: float
) -> Array:
    return jnp.mean(softplus(x) - x * y / propensity, where=where)


def distribution_balanced_loss(
    x: Array, y: Array, where: Array | None = None, *, label_counts: Array, num_samples: int
) -> Array:
    rarity = 1 / label_counts
    z = x - 0.025 * jnp.log(num_samples / label_counts - 1)
    share = rarity / jnp.sum(y * rarity, -1, where=where, keepdims=True)
    weight = 0.1 + jax.nn.sigmoid(10 * (share - 0.2))
    if is_hard(y):
        side = wrong_side(z, y) * jnp.where(y, 1, 2)
        entries = jnp.where(y, 2, 1) * jax.nn.sigmoid(side) ** 2 * softplus(side)
    else:
        positive = jax.nn.sigmoid(-z) ** 2 * softplus(-z)
        negative = jax.nn.sigmoid(2 * z) ** 2 * softplus(2 * z)
        entries = 2 * y * positive + (1 - y) * negative
    return jnp.mean(weight * entries, where=where)
