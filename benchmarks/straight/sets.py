"""Losses of label sets that are sums of exponentials over positives and over negatives."""

import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import both, is_hard, logsumexp, ratio, softplus, wrong_side


def lsep_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_two_way(x, y > 0, where, -1, 1, 1))


def two_way_sample_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_two_way(x, y > 0, where, -1, 4, 1))


def two_way_label_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_two_way(x, y > 0, where, 0, 4, 1))


def two_way_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive = both(y > 0, where)
    samples, labels = jnp.any(positive, 1), jnp.any(positive, 0)
    by_sample = _two_way(x, y > 0, where, -1, 4, 1)
    by_label = _two_way(x, y > 0, where, 0, 4, 1)
    return ratio(jnp.sum(by_sample * samples), jnp.sum(samples)) + ratio(
        jnp.sum(by_label * labels), jnp.sum(labels)
    )


def _two_way(
    x: Array, positive: Array, where: Array | None, axis: int, hot: float, cold: float
) -> Array:
    negatives = logsumexp(x / cold, both(~positive, where), axis)
    positives = logsumexp(-x / hot, both(positive, where), axis)
    return softplus(cold * negatives + hot * positives)


def zlpr_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    soft = not is_hard(y)
    negatives = logsumexp(x + jnp.log1p(-y) if soft else x, both(y < 1, where))
    positives = logsumexp(jnp.log(y) - x if soft else -x, both(y > 0, where))
    return jnp.mean(softplus(negatives) + softplus(positives))


def bp_mll_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive = y > 0
    t = jnp.tanh(x)
    e = jnp.exp(jnp.where(positive, -t, t))
    among, rest = both(positive, where), both(~positive, where)
    positives = ratio(jnp.sum(e, -1, where=among), jnp.sum(among, -1))
    negatives = ratio(jnp.sum(e, -1, where=rest), jnp.sum(rest, -1))
    return jnp.mean(positives * negatives)


def adaptive_threshold_loss(
    x: Array, y: Array, where: Array | None = None, *, threshold_logits: Array
) -> Array:
    z, positive = x - threshold_logits[:, None], both(y > 0, where)
    count = jnp.sum(positive, -1)
    among = softplus(logsumexp(z, positive))
    matched = jnp.sum(jnp.where(positive, z, 0), -1)
    return jnp.mean(count * among - matched + softplus(logsumexp(z, both(y <= 0, where))))


def none_class_ranking_loss(
    x: Array, y: Array, where: Array | None = None, *, threshold_logits: Array
) -> Array:
    z, positive = x - threshold_logits[:, None], both(y > 0, where)
    mean = jnp.mean(z, -1, where=where)
    entropy = jnp.sum(softplus(wrong_side(z, y > 0)), -1, where=where)
    return jnp.mean(entropy + softplus(wrong_side(mean, jnp.any(positive, -1))))
