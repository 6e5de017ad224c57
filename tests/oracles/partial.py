"""Oracles of the losses for missing labels."""

import numpy as np

from oracles.common import bce, sigmoid


def partial_binary_cross_entropy(x, y, mask, alpha=-4.45, beta=5.45, gamma=1.0):
    result = np.zeros(len(x))
    for row in np.flatnonzero(mask.any(-1)):
        share = mask[row].sum() / x.shape[1]
        total = bce(x[row], y[row])[mask[row]].sum()
        result[row] = (alpha * share**gamma + beta) * total / x.shape[1]
    return result


def _risks(x, y, mask, prior, column):
    p = sigmoid(x[:, column])
    positive = mask[:, column] & (y[:, column] > 0)
    unlabeled = mask[:, column] & (y[:, column] == 0)
    share = np.broadcast_to(prior, x.shape[1:])[column]
    on_positive = share * (1 - p[positive]).mean() if positive.any() else 0.0
    as_negative = share * p[positive].mean() if positive.any() else 0.0
    rest = p[unlabeled].mean() - as_negative if unlabeled.any() else 0.0
    return on_positive, rest


def positive_unlabeled_loss(x, y, mask, prior):
    risks = [_risks(x, y, mask, prior, column) for column in range(x.shape[1])]
    return np.array([risk + max(0, rest) for risk, rest in risks])


def positive_unlabeled_loss_slope(x, y, mask, prior):
    """Computes the slope of the value, or of -R alone where R < 0, by central differences."""
    h, slope = 1e-6, np.zeros(x.shape)
    for row, column in np.ndindex(x.shape):
        overfitted = _risks(x, y, mask, prior, column)[1] < 0
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[row, column] += sign * h
            risk, rest = _risks(moved, y, mask, prior, column)
            sides.append(-rest if overfitted else risk + rest)
        slope[row, column] = (sides[0] - sides[1]) / (2 * h)
    return slope
