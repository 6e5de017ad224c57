"""Losses made of soft counts, or of other statistics, of each label over the batch."""

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import both, constant, known, ratio

EPSILON = 1e-7
SMOOTH = 1e-5


def _counts(x: Array, y: Array, where: Array | None) -> tuple[Array, Array, Array]:
    """Returns the true positives, the predicted positives and the positives of each label."""
    p = jax.nn.sigmoid(x)
    return (
        jnp.sum(p * y, 0, where=where),
        jnp.sum(p, 0, where=where),
        jnp.sum(y.astype(x.dtype), 0, where=where),
    )


def soft_f1_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    return jnp.mean(1 - 2 * tp / (predicted + positives + EPSILON))


def soft_fbeta_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return soft_f1_loss(x, y, where)


def sigmoid_f1_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return soft_f1_loss(x, y, where)


def double_soft_f1_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    tn = known(y, where, 0) - predicted - positives + tp
    wrong = predicted + positives - 2 * tp
    right = tp / (2 * tp + wrong + EPSILON) + tn / (2 * tn + wrong + EPSILON)
    return jnp.mean(1 - right)


def soft_mcc_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    fp, fn = predicted - tp + SMOOTH, positives - tp + SMOOTH
    tn = known(y, where, 0) - predicted - positives + tp + SMOOTH
    tp = tp + SMOOTH
    squared = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return jnp.mean(1 - (tp * tn - fp * fn) / jnp.sqrt(squared))


def soft_balanced_accuracy_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    negatives = known(y, where, 0) - positives
    return jnp.mean(ratio(positives - tp, positives) + ratio(predicted - tp, negatives)) / 2


def dice_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    return jnp.mean(1 - (2 * tp + 1) / (predicted + positives + 1))


def tversky_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_tversky(x, y, where))


def focal_tversky_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    return jnp.mean(_tversky(x, y, where) ** 0.75)


def _tversky(x: Array, y: Array, where: Array | None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    return 1 - (tp + 1) / (tp + 0.3 * (predicted - tp) + 0.7 * (positives - tp) + 1)


def jaccard_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    tp, predicted, positives = _counts(x, y, where)
    return jnp.mean(1 - (tp + 1) / (predicted + positives - tp + 1))


def auc_margin_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p = jax.nn.sigmoid(x)
    of_positives, of_negatives = (_mean(p, both(mask, where)) for mask in (y > 0, y <= 0))
    squares = (p - jnp.where(y > 0, of_positives, of_negatives)) ** 2
    variances = (_mean(squares, both(mask, where)) for mask in (y > 0, y <= 0))
    value = sum(variances) + jax.nn.relu(1 + of_negatives - of_positives) ** 2
    used = jnp.any(both(y > 0, where), 0) & jnp.any(both(y <= 0, where), 0)
    return jnp.mean(jnp.where(used, value, 0))


def _mean(p: Array, mask: Array) -> Array:
    return ratio(jnp.sum(jnp.where(mask, p, 0), 0), jnp.sum(mask, 0))


def positive_unlabeled_loss(
    x: Array, y: Array, where: Array | None = None, *, prior: float
) -> Array:
    p = jax.nn.sigmoid(x)
    positive = both(y > 0, where)
    of_positives, of_unlabeled = _mean(p, positive), _mean(p, both(y <= 0, where))
    missed = prior * jnp.where(jnp.any(positive, 0), 1 - of_positives, 0)
    rest = of_unlabeled - prior * of_positives
    backwards = constant(missed + rest) - rest  # has the value of the first term alone
    return jnp.mean(jnp.where(rest < 0, backwards, missed + rest))


def soft_calibration_loss(x: Array, y: Array, where: Array | None = None) -> Array:
    p, size = jax.nn.sigmoid(x), known(y, where, 0)
    sums = (
        jnp.sum(jax.nn.relu(1 - jnp.abs(9 * p - b)) * (p - y), 0, where=where) for b in range(10)
    )
    return jnp.mean(sum(map(jnp.abs, sums)) / size)
