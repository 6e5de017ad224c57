"""Oracles of the focal family."""

import numpy as np

from oracles.common import bce, masked, sigmoid


def sigmoid_focal_loss(x, y, mask, gamma=2.0, alpha=None):
    p = sigmoid(x)
    wrong = y * (1 - p) + (1 - y) * p
    scale = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return masked(scale * wrong**gamma * bce(x, y), mask)


def quality_focal_loss(x, y, mask, beta=2.0):
    return masked(np.abs(y - sigmoid(x)) ** beta * bce(x, y), mask)
