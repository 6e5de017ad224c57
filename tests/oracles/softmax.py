"""Oracles of the softmax family."""

import numpy as np

from oracles.common import log_softmax, masked, sum_product


def softmax_cross_entropy(x, y, mask, normalize=True):
    y = masked(y, mask)
    if normalize:
        y = y / np.where(y.sum(-1) == 0, 1, y.sum(-1))[:, None]
    return -sum_product(y, log_softmax(x, mask), mask)


def smoothed_softmax_cross_entropy(x, y, mask, label_smoothing=0.1, convention="others"):
    losses = np.zeros(len(x))
    for row in range(len(x)):
        keep = mask[row]
        t = y[row, keep]
        if t.sum() == 0:
            continue
        t = t / t.sum()
        if convention == "uniform":
            target = (1 - label_smoothing) * t + label_smoothing / keep.sum()
        elif (t > 0).all():
            target = t
        else:
            others = (t == 0).sum()
            target = np.where(t > 0, (1 - label_smoothing) * t, label_smoothing / others)
        log_s = x[row, keep] - np.logaddexp.reduce(x[row, keep])
        losses[row] = -(target * log_s).sum()
    return losses


def softmax_focal_loss(x, y, mask, gamma=2.0, alpha=1.0):
    log_s = log_softmax(x, mask)
    weight = (1 - np.exp(log_s)) ** gamma
    return -sum_product(alpha * masked(y, mask) * weight, log_s, mask)
