"""Oracles of the losses for single positive labels."""

import numpy as np

from oracles.common import bce, masked, sigmoid


def assume_negative_loss(x, y, mask, label_smoothing=0.0):
    return masked(bce(x, (1 - label_smoothing) * y + label_smoothing * (1 - y)), mask)


def weak_assume_negative_loss(x, y, mask, gamma=None):
    if gamma is None:
        gamma = 1 / np.maximum(mask.sum(-1, keepdims=True) - 1, 1)
    return masked(y * np.logaddexp(0, -x) + gamma * (1 - y) * np.logaddexp(0, x), mask)


def _mean(values, mask):
    return values[mask].sum() / max(mask.sum(), 1)


def _deviation(p, mask, expected_positives):
    if not mask.any():
        return 0.0
    rows = mask.any(-1).sum()
    labels_per_row = mask.sum() / rows
    return (p[mask].sum() / rows - expected_positives) ** 2 / labels_per_row**2


def expected_positive_regularized_loss(x, y, mask, expected_positives):
    observed = np.where(y > 0, np.logaddexp(0, -x), 0)
    return np.asarray(_mean(observed, mask) + _deviation(sigmoid(x), mask, expected_positives))


def role_loss(x, y, mask, estimated_logits, expected_positives):
    g = np.where(mask, estimated_logits, 0)
    total = 0.0
    for one, other in ((x, g), (g, x)):
        total += expected_positive_regularized_loss(one, y, mask, expected_positives)
        total += _mean(bce(one, sigmoid(other)), mask)
    return np.asarray(total / 2)


def role_loss_slope(x, y, mask, estimated_logits, expected_positives):
    g, p = np.where(mask, estimated_logits, 0), sigmoid(x)
    if not mask.any():
        return np.zeros_like(x)
    entries, rows = mask.sum(), mask.any(-1).sum()
    slope = (p - sigmoid(g) - np.where(y > 0, 1 - p, 0)) / entries
    deviation = p[mask].sum() / rows - expected_positives
    slope += 2 * deviation / rows * p * (1 - p) / (entries / rows) ** 2
    return masked(slope / 2, mask)


def entropy_maximization_loss(
    x, y, mask, alpha=0.1, beta=0.9, pseudo_labels=None, pseudo_where=None
):
    p = sigmoid(x)
    losses = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        a, b = (np.broadcast_to(v, x.shape)[index] for v in (alpha, beta))
        if y[index] > 0:
            losses[index] = np.logaddexp(0, -x[index])
        elif pseudo_where is not None and pseudo_where[index]:
            losses[index] = b * bce(x[index], pseudo_labels[index])
        else:
            losses[index] = -a * bce(x[index], p[index])
    return masked(losses, mask)
