"""Oracles of the overlap family."""

import numpy as np

from oracles.common import log_softmax, masked, sigmoid


def soft_fbeta_loss(x, y, mask, beta=1.0, average="macro", activation="sigmoid", epsilon=1e-7):
    p = sigmoid(x) if activation == "sigmoid" else np.exp(log_softmax(x, mask))
    p, y, q = masked(p, mask), masked(y, mask), masked(1 - p, mask)
    axis = {"macro": 0, "samples": 1, "micro": None}[average]
    tp, fp, fn = (p * y).sum(axis), (p * masked(1 - y, mask)).sum(axis), (q * y).sum(axis)
    losses = 1 - (1 + beta**2) * tp / ((1 + beta**2) * tp + beta**2 * fn + fp + epsilon)
    return np.where(mask.any(axis), losses, 0.0)


def soft_f1_loss(x, y, mask, **parameters):
    return soft_fbeta_loss(x, y, mask, beta=1.0, **parameters)
