"""Losses over pairs: hinges by a sort, other surrogates over the positives that a user pads."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import both, known, ratio, softplus


def multilabel_margin_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive, _, hinges = _hinges(x, y, where)
    return jnp.mean(jnp.sum(hinges, -1, where=positive) / known(y, where))


def pairwise_hinge_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive, _, hinges = _hinges(x, y, where)
    positives = jnp.sum(positive, -1)
    pairs = positives * (known(y, where) - positives)
    return jnp.mean(ratio(jnp.sum(hinges, -1, where=positive), pairs))


def warp_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive, rank, hinges = _hinges(x, y, where)
    harmonic = jnp.cumsum(1 / jnp.arange(1, x.shape[-1] + 1))
    weight = ratio(harmonic[jnp.maximum(rank - 1, 0)], rank)
    return jnp.mean(jnp.sum(weight * hinges, -1, where=positive))


def _hinges(x: Array, y: Array, where: Array | None) -> tuple[Array, Array, Array]:
    """Returns the positives and, if an entry is one, its violators and the sum of their hinges."""
    positive, negative = both(y > 0, where), both(y <= 0, where)
    descending = jnp.sort(jnp.where(negative, x, -1e4), -1, descending=True)
    sums = jnp.pad(jnp.cumsum(descending, -1), ((0, 0), (1, 0)))
    rank = jax.vmap(jnp.searchsorted)(-descending, 1 - x)
    return positive, rank, rank * (1 - x) + jnp.take_along_axis(sums, rank, -1)


def pairwise_logistic_loss(
    x: Array, y: Array, where: Array | None = None, *, most_positives: int
) -> Array:
    return jnp.mean(_logistic(x, y, where, most_positives))


def pairwise_auc_loss(
    x: Array, y: Array, where: Array | None = None, *, most_positives: int
) -> Array:
    return jnp.mean(_logistic(x.T, y.T, None if where is None else where.T, most_positives))


def partial_auc_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive, negative = both(y > 0, where), both(y <= 0, where)
    positives, negatives = jnp.sum(positive, 0), jnp.sum(negative, 0)
    total = jax.nn.logsumexp(x, 0, where=negative)
    log_mean = jnp.where(negatives > 0, total - jnp.log(negatives), -1e4)
    return jnp.mean(ratio(jnp.sum(softplus(log_mean - x), 0, where=positive), positives))


def _logistic(x: Array, y: Array, where: Array | None, most_positives: int) -> Array:
    def of_row(x: Array, positive: Array, negative: Array) -> Array:
        chosen, index = jax.lax.top_k(positive.astype(jnp.int32), most_positives)
        pairs = (chosen[:, None] > 0) & negative
        total = jnp.sum(softplus(x - x[index][:, None]), where=pairs)
        return ratio(total, jnp.sum(positive) * jnp.sum(negative))

    return _by_row(of_row, x, both(y > 0, where), both(y <= 0, where))


def smooth_ap_loss(x: Array, y: Array, where: Array | None = None, *, most_positives: int) -> Array:
    def of_row(x: Array, positive: Array, counts: Array) -> Array:
        chosen, index = jax.lax.top_k(positive.astype(jnp.int32), most_positives)
        s = jnp.where(counts, jax.nn.sigmoid((x - x[index][:, None]) / 0.01), 0)
        # The pair of a positive with itself has s = 1/2.
        share = (0.5 + s @ positive.astype(x.dtype)) / (0.5 + jnp.sum(s, -1))
        precision = ratio(jnp.sum(chosen * share), jnp.sum(positive))
        used = jnp.any(positive) & jnp.any(counts & ~positive)
        return jnp.where(used, 1 - precision, 0)

    counts = jnp.ones_like(y, dtype=bool) if where is None else where
    return jnp.mean(_by_row(of_row, x.T, both(y > 0, where).T, counts.T))


def _by_row(function: Callable[..., Array], *rows: Array) -> Array:
    """Returns a function of each row, computed again in the backward pass to save memory."""
    result: Array = jax.lax.map(lambda row: jax.checkpoint(function)(*row), rows, batch_size=16)
    return result


def lovasz_hinge_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    positive = both(y > 0, where)
    errors = 1 - jnp.where(positive, x, -x)
    errors = errors if where is None else jnp.where(where, errors, -1e4)
    order = jnp.argsort(jax.lax.stop_gradient(errors), -1, descending=True)
    found = jnp.cumsum(jnp.take_along_axis(positive, order, -1), -1)
    size = found[:, -1:]
    others = jnp.arange(1, x.shape[-1] + 1) - found
    jaccard = 1 - (size - found) / (size + others)
    gains = jnp.diff(jaccard, axis=-1, prepend=0)
    hinges = jax.nn.relu(jnp.take_along_axis(errors, order, -1))
    return jnp.mean(jnp.sum(hinges * gains, -1))
