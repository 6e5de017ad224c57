"""The oracle of the soft calibration loss."""

import numpy as np

from oracles.common import sigmoid


def soft_calibration_loss(x, y, mask, num_bins=10):
    losses = np.zeros(x.shape[1])
    centres = np.linspace(0, 1, num_bins)
    for label, keep in enumerate(mask.T):
        p, truth = sigmoid(x[keep, label]), y[keep, label]
        if not keep.any():
            continue
        if num_bins == 1:
            losses[label] = abs(p.mean() - truth.mean())
            continue
        # Interpolation between centres: a probability is split between its two neighbours.
        for unit in np.eye(num_bins):
            share = np.interp(p, centres, unit)
            losses[label] += abs((share * (p - truth)).mean())
    return losses
