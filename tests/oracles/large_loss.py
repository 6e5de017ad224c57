"""Oracles of the large-loss family."""

import math

import numpy as np

from oracles.common import bce, masked


def _large_losses(x, y, mask, relative_rate):
    """Marks the unknown entries with the largest losses; a rate has the accuracy of float32."""
    k = math.ceil(round(mask.sum() * float(relative_rate), 5))
    unknown = [(x[i], i) for i in zip(*np.nonzero(mask & (y == 0)), strict=True)]
    chosen = np.zeros(x.shape, bool)
    for _, index in sorted(unknown, reverse=True)[:k]:
        chosen[index] = True
    return chosen


def large_loss_rejection(x, y, mask, relative_rate):
    return masked(bce(x, y), mask & ~_large_losses(x, y, mask, relative_rate))


def large_loss_correction(x, y, mask, relative_rate):
    return masked(bce(x, np.where(_large_losses(x, y, mask, relative_rate), 1, y)), mask)
