"""What losses and weights compute from how often labels are positive; all results are finite."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from mllosses_jax._core.numerics import sigmoid_pair

_LOWEST_PRIOR = 1e-6
_LOWEST_RATE = 1e-15  # the rate of a sample with positives is higher; the square does not underflow
_UNBOUNDED = 1e30


def log_odds(prior: Array) -> Array:
    """Returns log(π / (1 − π)) of priors clamped to [1e-6, 1 − 1e-6]."""
    p = jnp.clip(prior, _LOWEST_PRIOR, 1 - _LOWEST_PRIOR)
    return jnp.log(p) - jnp.log1p(-p)


def proper_counts(counts: Array, num_samples: Array) -> tuple[Array, Array]:
    """Returns counts clamped to [1, N − 1], and N, which is at least 2."""
    total = jnp.maximum(num_samples, 2)  # a traced value could not be checked
    return jnp.clip(counts, 1, total - 1), total


def rebalanced(y: Array, counts: Array, alpha: Array, beta: Array, mu: Array) -> Array:
    """Returns α + σ(β·(r − μ)), r = (1/n_c) / Σ_j y_j/n_j, for labels y (..., L), 0 where masked.

    If all labels were drawn equally often, r would be how often a label is drawn over how often its
    sample is. It is unbounded for a sample without positives, whose weight is α + 1.
    """
    rate = jnp.sum(y * (1 / counts), axis=-1, keepdims=True)
    return rebalanced_from_rate(rate, counts, alpha, beta, mu)


def rebalanced_from_rate(rate: Array, counts: Array, alpha: Array, beta: Array, mu: Array) -> Array:
    """Returns what `rebalanced` does, given Σ_j y_j/n_j of each sample (..., 1)."""
    empty = rate < _LOWEST_RATE
    ratio = jnp.where(empty, _UNBOUNDED, (1 / counts) / jnp.where(empty, 1, rate))
    return alpha + sigmoid_pair(beta * (ratio - mu))[0]
