"""Oracles of the polynomial family."""

from oracles.common import bce, masked, sigmoid


def poly1_focal_loss(x, y, mask, epsilon=1.0, gamma=2.0, alpha=None):
    p = sigmoid(x)
    wrong = y * (1 - p) + (1 - y) * p
    scale = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return masked(scale * wrong**gamma * bce(x, y) + epsilon * wrong ** (gamma + 1), mask)


def poly1_binary_cross_entropy(x, y, mask, epsilon=1.0):
    return poly1_focal_loss(x, y, mask, epsilon, gamma=0.0)
