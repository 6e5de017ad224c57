"""Oracles of the robust family."""

import numpy as np

from oracles.common import bce, masked, sigmoid


def generalized_binary_cross_entropy(x, y, mask, q=0.7):
    p = sigmoid(x)
    losses = y * (1 - p**q) + (1 - y) * (1 - (1 - p) ** q)
    return masked(np.where(q == 0, bce(x, y), losses / np.where(q == 0, 1, q)), mask)


def hill_loss(x, y, mask, margin=1.0, gamma=2.0, lamb=1.5):
    p, shifted = sigmoid(x), sigmoid(x - margin)
    weight = (1 - y * shifted) ** gamma
    return masked(weight * (-y * np.log(shifted) + (1 - y) * (lamb - p) * p**2), mask)


def splc_loss(x, y, mask, correct=True, threshold=0.6, margin=1.0, gamma=2.0):
    losses = np.zeros(x.shape)
    margin, threshold = np.broadcast_to(margin, x.shape), np.broadcast_to(threshold, x.shape)
    gamma = np.broadcast_to(gamma, x.shape)
    for index in zip(*np.nonzero(mask), strict=True):
        positive = y[index] > 0
        p = sigmoid(x[index] - (margin[index] if positive else 0))
        positive = positive or (correct and p > threshold[index])
        right = p if positive else 1 - p
        losses[index] = -((1 - right) ** gamma[index]) * np.log(right)
    return losses
