"""Losses of a distribution over labels: softmax, sparse projections, counts and measures."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import xlogy

from benchmarks.straight.terms import both, constant, is_hard, known, logsumexp, ratio, softplus


def softmax_cross_entropy(x: Array, y: Array, where: Array | None = None) -> Array:
    count = jnp.sum(y, -1, where=where)
    matched = ratio(jnp.sum(x * y, -1, where=where), count)
    total = logsumexp(x, where)
    return jnp.mean(jnp.where(count > 0, total - matched, 0))


def decoupled_softmax_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive = both(y > 0, where)
    negatives = logsumexp(x, both(y <= 0, where))
    terms = softplus(negatives[:, None] - x)
    return jnp.mean(ratio(jnp.sum(jnp.where(positive, terms, 0), -1), jnp.sum(positive, -1)))


def smoothed_softmax_cross_entropy(x: Array, y: Array, where: Array | None = None) -> Array:
    smoothing = 0.1
    positive = y > 0
    count, size = jnp.sum(y, -1, where=where), jnp.sum(positive, -1, where=where)
    others = known(y, where) - size
    of_positives = jnp.sum(jnp.where(positive, x, 0), -1, where=where)
    weighted = of_positives if is_hard(y) else jnp.sum(x * y, -1, where=where)
    matched = ratio(weighted, count)
    rest = ratio(jnp.sum(x, -1, where=where) - of_positives, others)
    target = jnp.where(others > 0, (1 - smoothing) * matched + smoothing * rest, matched)
    total = logsumexp(x, where)
    return jnp.mean(jnp.where(count > 0, total - target, 0))


def softmax_focal_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    s = jax.nn.log_softmax(x, -1, where=where)
    return -jnp.mean(jnp.sum(y * (1 - jnp.exp(s)) ** 2 * s, -1, where=where))


def single_label_asymmetric_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    share = 0.1 / known(y, where)[..., None]
    positive = y > 0
    s = jax.nn.log_softmax(x, -1, where=where)
    terms = jnp.where(positive, 0.9 + share, share * jnp.exp(4 * s)) * s
    used = jnp.any(positive, -1, where=where)
    return -jnp.mean(jnp.where(used, jnp.sum(terms, -1, where=where), 0))


def sparsemax_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    if where is not None:
        x, y = jnp.where(where, x, -1e4), jnp.where(where, y, 0)
    z = jnp.sort(constant(x), -1, descending=True)
    above = jnp.cumsum(z, -1) - 1
    size = jnp.sum(z * jnp.arange(1, x.shape[-1] + 1) > above, -1, keepdims=True)
    threshold = jnp.take_along_axis(above, size - 1, -1) / size
    p = jax.nn.relu(constant(x) - threshold)
    count = jnp.sum(y, -1)
    q = ratio(y, count[:, None])
    value = jnp.sum((p - q) * x + (q**2 - p**2) / 2, -1)
    return jnp.mean(jnp.where(count > 0, value, 0))


def entmax15_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    if where is not None:
        x, y = jnp.where(where, x, -1e4), jnp.where(where, y, 0)
    half = constant(x) / 2
    half = half - jnp.max(half, -1, keepdims=True)
    z = jnp.sort(half, -1, descending=True)
    sizes = jnp.arange(1, x.shape[-1] + 1)
    average = jnp.cumsum(z, -1) / sizes
    spread = jnp.cumsum(z**2, -1) - sizes * average**2
    thresholds = average - jnp.sqrt(jnp.maximum((1 - spread) / sizes, 0))
    size = jnp.sum(thresholds <= z, -1, keepdims=True)
    p = jax.nn.relu(half - jnp.take_along_axis(thresholds, size - 1, -1)) ** 2
    count = jnp.sum(y, -1)
    q = ratio(y, count[:, None])
    value = jnp.sum((p - q) * x + 4 / 3 * (q**1.5 - p**1.5), -1)
    return jnp.mean(jnp.where(count > 0, value, 0))


def soft_top_k_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive = both(y > 0, where)
    k = jnp.sum(positive, -1, keepdims=True)

    def total(cut_off: Array) -> Array:
        return jnp.sum(jax.nn.sigmoid(x - cut_off), -1, keepdims=True, where=where)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        enough = total(middle) >= k
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    ends = jnp.min(x, -1, keepdims=True) - 20, jnp.max(x, -1, keepdims=True) + 20
    cut_off = constant(jax.lax.fori_loop(0, 32, halve, jax.tree.map(constant, ends))[0])
    # One step of Newton's method has the derivative of the solution.
    p = constant(jax.nn.sigmoid(x - cut_off))
    slope = jnp.sum(p * (1 - p), -1, keepdims=True, where=where)
    cut_off = cut_off + (total(constant(cut_off)) - k) / slope
    terms = softplus(cut_off - x)
    return jnp.mean(ratio(jnp.sum(jnp.where(positive, terms, 0), -1), jnp.sum(positive, -1)))


def factorized_count_loss(
    x: Array, y: Array, where: Array | None = None, *, count_logits: Array
) -> Array:
    count = jnp.sum(y, -1, where=where)
    matched = ratio(jnp.sum(x * y, -1, where=where), count)
    entropy = 0 if is_hard(y) else ratio(jnp.sum(xlogy(y, y), -1, where=where), count)
    total = logsumexp(x, where)
    divergence = entropy - jnp.log(jnp.maximum(count, 1e-30)) + total - matched
    counting = (count_logits - count) ** 2
    return jnp.mean(jnp.where(count > 0, divergence, 0) + counting)


def abs_kl_divergence(x: Array, y: Array, where: Array | None = None) -> Array:
    p = jnp.where(y, 1, 1e-7) if is_hard(y) else jnp.maximum(y.astype(x.dtype), 1e-7)
    q = jnp.maximum(jax.nn.sigmoid(x), 1e-7)
    return jnp.mean(jnp.sum((p - q) * jnp.log(p / q), -1, where=where))
