"""Oracles of the binary family."""

import numpy as np

from oracles.common import bce, masked


def sigmoid_binary_cross_entropy(x, y, mask, pos_weight=1.0, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / 2
    return masked(pos_weight * y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x), mask)


def binary_cross_entropy(p, y, mask):
    with np.errstate(divide="ignore"):
        log_p, log_q = np.maximum(np.log(p), -100), np.maximum(np.log1p(-p), -100)
    return masked(-y * log_p - (1 - y) * log_q, mask)


def balanced_binary_cross_entropy(x, y, mask, alpha):
    return masked(
        alpha * y * np.logaddexp(0, -x) + (1 - alpha) * (1 - y) * np.logaddexp(0, x), mask
    )


def multilabel_soft_margin_loss(x, y, mask, label_weights=1.0):
    terms = masked(np.broadcast_to(label_weights, x.shape) * bce(x, y), mask)
    return terms.sum(-1) / np.maximum(mask.sum(-1), 1)


def ova_n_loss(x, y, mask):
    y = masked(y, mask)
    total = y.sum(-1, keepdims=True)
    terms = bce(x, y / np.where(total == 0, 1, total))
    return np.where(total[:, 0] == 0, 0, masked(terms, mask).sum(-1))
