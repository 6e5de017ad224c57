"""Oracles of the soft F1 family."""

import numpy as np

from oracles.common import counts, log_softmax, masked, sigmoid


def soft_fbeta_loss(x, y, mask, beta=1.0, average="macro", activation="sigmoid", epsilon=1e-7):
    p = sigmoid(x) if activation == "sigmoid" else np.exp(log_softmax(x, mask))
    p, y, q = masked(p, mask), masked(y, mask), masked(1 - p, mask)
    axis = {"macro": 0, "samples": 1, "micro": None}[average]
    tp, fp, fn = (p * y).sum(axis), (p * masked(1 - y, mask)).sum(axis), (q * y).sum(axis)
    losses = 1 - (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp + epsilon)
    return np.where(mask.any(axis), losses, 0.0)


def soft_f1_loss(x, y, mask, **parameters):
    return soft_fbeta_loss(x, y, mask, beta=1.0, **parameters)


def double_soft_f1_loss(x, y, mask, average="macro", epsilon=1e-7):
    counted, tp, fp, fn, tn = counts(sigmoid(x), y, mask, average)
    of_positives = 1 - 2 * tp / (2 * tp + fn + fp + epsilon)
    of_negatives = 1 - 2 * tn / (2 * tn + fn + fp + epsilon)
    return np.where(counted, (of_positives + of_negatives) / 2, 0)


def sigmoid_f1_loss(
    x, y, mask, beta=1.0, eta=0.0, applied_to="logits", average="macro", epsilon=1e-7
):
    u = x if applied_to == "logits" else sigmoid(x)
    counted, tp, fp, fn, _ = counts(sigmoid(beta * (u + eta)), y, mask, average)
    return np.where(counted, 1 - 2 * tp / (2 * tp + fn + fp + epsilon), 0)
