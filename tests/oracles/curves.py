"""Oracles of the curves family."""

import numpy as np

from oracles.common import pairs, sigmoid


def _by_label(loss, x, y, mask):
    columns = pairs(x.T, y.T, mask.T)
    return np.array([loss(p, n) if len(p) and len(n) else 0.0 for p, n in columns])


def smooth_ap_loss(x, y, mask, temperature=0.01):
    def above(others, value):
        scaled = np.clip((others - value) / temperature, -700, 700)
        return sigmoid(scaled).sum()

    def loss(p, n):
        precisions = []
        for i, value in enumerate(p):
            right = 1 + above(np.delete(p, i), value)
            precisions.append(right / (right + above(n, value)))
        return 1 - np.mean(precisions)

    return _by_label(loss, x, y, mask)


def auc_margin_loss(x, y, mask, margin=1.0):
    def loss(p, n):
        p, n = sigmoid(p), sigmoid(n)
        return p.var() + n.var() + max(0, margin + n.mean() - p.mean()) ** 2

    return _by_label(loss, x, y, mask)


def partial_auc_loss(x, y, mask, surrogate="logistic", margin=1.0, temperature=1.0):
    surrogates = {
        "logistic": lambda t: np.logaddexp(0, -t),
        "squared_hinge": lambda t: np.maximum(0, margin - t) ** 2,
    }

    def loss(p, n):
        pairs = surrogates[surrogate](p[:, None] - n[None, :]) / temperature
        return temperature * np.mean(np.logaddexp.reduce(pairs, axis=1) - np.log(len(n)))

    return _by_label(loss, x, y, mask)


def pairwise_auc_loss(x, y, mask, surrogate="logistic", margin=1.0, max_fpr=1.0):
    surrogates = {
        "logistic": lambda t: np.logaddexp(0, -t),
        "squared_hinge": lambda t: np.maximum(0, margin - t) ** 2,
        "squared": lambda t: (margin - t) ** 2,
    }

    def loss(p, n):
        hardest = np.sort(n)[::-1][: max(int(np.ceil(max_fpr * len(n))), 1)]
        return surrogates[surrogate](p[:, None] - hardest[None, :]).mean()

    return _by_label(loss, x, y, mask)
