"""Oracles of the Dice family."""

import numpy as np

from oracles.common import counts, sigmoid


def _one_minus(numerator, denominator, counted):
    return np.where(counted, 1 - numerator / np.where(counted, denominator, 1), 0)


def dice_loss(x, y, mask, smooth=1.0, average="macro"):
    counted, tp, fp, fn, _ = counts(sigmoid(x), y, mask, average)
    predicted, actual = tp + fp, tp + fn
    return _one_minus(2 * tp + smooth, predicted + actual + smooth, counted)


def tversky_loss(x, y, mask, alpha=0.3, beta=0.7, smooth=1.0, average="macro"):
    counted, tp, fp, fn, _ = counts(sigmoid(x), y, mask, average)
    return _one_minus(tp + smooth, tp + alpha * fp + beta * fn + smooth, counted)


def focal_tversky_loss(x, y, mask, gamma=0.75, **parameters):
    return tversky_loss(x, y, mask, **parameters) ** gamma


def jaccard_loss(x, y, mask, smooth=1.0, average="macro"):
    counted, tp, fp, fn, _ = counts(sigmoid(x), y, mask, average)
    predicted, actual = tp + fp, tp + fn
    return _one_minus(tp + smooth, predicted + actual - tp + smooth, counted)
