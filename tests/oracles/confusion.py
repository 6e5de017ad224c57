"""Oracles of the losses of all four soft counts."""

import numpy as np

from oracles.common import counts, sigmoid


def soft_mcc_loss(x, y, mask, smooth=1e-5, average="macro"):
    counted, *found = counts(sigmoid(x), y, mask, average)
    tp, fp, fn, tn = (count + smooth for count in found)
    squared = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return np.where(counted, 1 - (tp * tn - fp * fn) / np.sqrt(squared), 0)


def soft_balanced_accuracy_loss(x, y, mask, average="macro"):
    _, tp, fp, fn, tn = counts(sigmoid(x), y, mask, average)

    def rate(part, rest):
        total = part + rest
        return np.where(total > 0, part / np.where(total > 0, total, 1), 0)

    return (rate(fn, tp) + rate(fp, tn)) / 2
