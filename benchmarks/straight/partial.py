"""Losses for labels of which only some are known."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import constant, softplus, wrong_side


def expected_positive_regularized_loss(
    x: Array, y: Array, where: Array | None = None, *, expected_positives: float
) -> Array:
    size = x.size if where is None else jnp.sum(where)
    observed = jnp.sum(jnp.where(y > 0, softplus(-x), 0), where=where) / size
    return observed + _regularizer(x, where, expected_positives)


def role_loss(
    x: Array,
    y: Array,
    where: Array | None = None,
    *,
    estimated_logits: Array,
    expected_positives: float,
) -> Array:
    def of_one(z: Array, other: Array) -> Array:
        negative = softplus(z)
        entropy = negative - z * constant(jax.nn.sigmoid(other))
        entries = entropy + jnp.where(y > 0, negative - z, 0)
        return jnp.mean(entries, where=where) + _regularizer(z, where, expected_positives)

    return (of_one(x, estimated_logits) + of_one(estimated_logits, x)) / 2


def _regularizer(x: Array, where: Array | None, expected_positives: float) -> Array:
    size = x.size if where is None else jnp.sum(where)
    predicted = jnp.sum(jax.nn.sigmoid(x), where=where) / x.shape[0]
    return ((predicted - expected_positives) / (size / x.shape[0])) ** 2


def entropy_maximization_loss(
    x: Array, y: Array, where: Array | None = None, *, alpha: float
) -> Array:
    negative = softplus(x)
    entropy = negative - x * jax.nn.sigmoid(x)
    return jnp.mean(jnp.where(y > 0, negative - x, -alpha * entropy), where=where)


def class_aware_selective_loss(
    x: Array, y: Array, where: Array | None = None, *, annotated: Array
) -> Array:
    positive = (y > 0) & annotated
    z = wrong_side(x, positive)
    wrong = jax.nn.sigmoid(z)
    known = annotated if where is None else annotated | ~where
    candidates = jnp.where(known, -jnp.inf, x)
    highest, _ = jax.lax.top_k(candidates.reshape(-1), 5 * x.shape[0])
    power = jnp.where(annotated, jnp.where(positive, 1, wrong), wrong**2)
    weight = jnp.where(candidates >= highest[-1], 0, power)
    return jnp.mean(constant(weight) * softplus(z), where=where)


def large_loss_rejection(
    x: Array, y: Array, where: Array | None = None, *, relative_rate: float
) -> Array:
    weight = 1 - _largest(x, y, where, relative_rate)
    return jnp.mean(weight * (softplus(x) - x * y), where=where)


def large_loss_correction(
    x: Array, y: Array, where: Array | None = None, *, relative_rate: float
) -> Array:
    corrected = jnp.maximum(_largest(x, y, where, relative_rate), y)
    return jnp.mean(softplus(x) - x * corrected, where=where)


def _largest(x: Array, y: Array, where: Array | None, rate: float) -> Array:
    """Returns 1 for the unknown labels of the largest loss, hence of the largest logit."""
    unknown = (y <= 0) if where is None else (y <= 0) & where
    ascending = jnp.sort(jnp.where(unknown, x, -jnp.inf).reshape(-1))
    if where is None:
        cut = ascending[x.size - math.ceil(rate * x.size)]
    else:
        chosen = jnp.ceil(rate * jnp.sum(where)).astype(int)
        cut = ascending[x.size - chosen]
    return (unknown & (x >= cut)).astype(x.dtype)


def generalized_robust_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p, negative = jax.nn.sigmoid(x), softplus(x)
    k = constant(jax.nn.sigmoid(2 * p - 2))
    v = constant(jnp.exp(-2 * (p - 0.8) ** 2))
    unobserved = v * (k * (1 - jnp.exp(0.01 * (x - negative))) / 0.01 + (1 - k) * p)
    return jnp.mean(jnp.where(y > 0, negative - x, unobserved), where=where)
