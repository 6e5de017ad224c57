"""Oracles of the long-tail family."""

import numpy as np

from oracles.common import bce, masked, sigmoid


def distribution_balanced_loss(
    x,
    y,
    mask,
    label_counts,
    num_samples,
    alpha=0.1,
    beta=10.0,
    mu=0.2,
    kappa=0.05,
    neg_scale=2.0,
    gamma=2.0,
    balance=2.0,
):
    losses = np.zeros(x.shape)
    counts, total = (np.broadcast_to(a, x.shape[-1:]) for a in (label_counts, num_samples))
    lam, power, kap, low, slope, middle, factor = (
        np.broadcast_to(a, x.shape[-1:])
        for a in (neg_scale, gamma, kappa, alpha, beta, mu, balance)
    )
    for i, c in np.argwhere(mask):
        drawn = sum(y[i, j] / counts[j] for j in range(x.shape[1]) if mask[i, j])
        weight = 1.0
        if drawn > 0:
            weight = sigmoid(slope[c] * (1 / counts[c] / drawn - middle[c]))
        z = x[i, c] - kap[c] / lam[c] * np.log(total[c] / counts[c] - 1)
        positive = sigmoid(-z) ** power[c] * np.logaddexp(0, -z)
        negative = sigmoid(lam[c] * z) ** power[c] * np.logaddexp(0, lam[c] * z) / lam[c]
        both = y[i, c] * positive + (1 - y[i, c]) * negative
        losses[i, c] = factor[c] * (low[c] + weight) * both
    return losses


def ldam_loss(x, y, mask, label_counts, max_margin=0.5, scale=30.0):
    counts = np.broadcast_to(np.asarray(label_counts, float), x.shape[-1:])
    margin = counts**-0.25 / (counts**-0.25).max(initial=1e-300) * max_margin
    return masked(bce(scale * (x - margin * y), y), mask)


def logit_adjusted_binary_cross_entropy(x, y, mask, prior, tau=1.0):
    return masked(bce(x + tau * np.log(prior / (1 - prior)), y), mask)


def equalization_loss(x, y, mask, label_frequencies, threshold=1.77e-3):
    weight = np.where(label_frequencies < threshold, y, 1.0)
    return masked(weight * bce(x, y), mask)


def unbiased_binary_cross_entropy(x, y, mask, propensity):
    u = y / propensity
    return masked(u * np.logaddexp(0, -x) + (1 - u) * np.logaddexp(0, x), mask)
