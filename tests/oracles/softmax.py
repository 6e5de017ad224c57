"""Oracles of the softmax family."""

import numpy as np

from oracles.common import log_softmax, masked, pairs, sum_product


def softmax_cross_entropy(x, y, mask, normalize=True):
    y = masked(y, mask)
    if normalize:
        y = y / np.where(y.sum(-1) == 0, 1, y.sum(-1))[:, None]
    return -sum_product(y, log_softmax(x, mask), mask)


def decoupled_softmax_loss(x, y, mask, temperature=1.0, normalize=True):
    losses = np.zeros(len(x))
    for row, (p, n) in enumerate(pairs(x, y, mask)):
        for one in p:  # the cross-entropy of one positive among itself and the negatives
            others = np.exp((n - one) / temperature).sum()
            losses[row] += np.log1p(others) / (len(p) if normalize else 1)
    return losses


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


def single_label_asymmetric_loss(x, y, mask, gamma_neg=4.0, gamma_pos=0.0, label_smoothing=0.1):
    losses = np.zeros(len(x))
    for row in range(len(x)):
        keep = mask[row]
        t = (y[row, keep] > 0) * 1.0
        if not t.any():
            continue
        s = np.exp(x[row, keep]) / np.exp(x[row, keep]).sum()
        w = np.where(t > 0, (1 - s) ** gamma_pos, s**gamma_neg)
        target = (1 - label_smoothing) * t + label_smoothing / len(t)
        losses[row] = -(target * w * np.log(s)).sum()
    return losses
