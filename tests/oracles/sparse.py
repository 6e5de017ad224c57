"""Oracles of the sparse family: the threshold by bisection, the loss from its definition."""

import numpy as np


def projection(z, power):
    """Returns max(z - tau, 0) ** power, for the tau with which it sums to 1."""
    low, high = z.max() - 1, z.max()
    for _ in range(100):
        tau = (low + high) / 2
        if (np.maximum(z - tau, 0) ** power).sum() > 1:
            low = tau
        else:
            high = tau
    return np.maximum(z - low, 0) ** power


def _per_sample(loss, x, y, mask):
    y = np.where(mask, y, 0.0)
    return np.array(
        [
            loss(x[i, keep], y[i, keep] / y[i].sum()) if y[i].sum() > 0 else 0.0
            for i, keep in enumerate(mask)
        ]
    )


def sparsemax_loss(x, y, mask):
    def loss(z, q):
        p = projection(z, 1)
        return (p - q) @ z + (q @ q - p @ p) / 2

    return _per_sample(loss, x, y, mask)


def entmax15_loss(x, y, mask):
    def loss(z, q):
        p = projection(z / 2, 2)
        return (p - q) @ z + 4 / 3 * (q**1.5 - p**1.5).sum()

    return _per_sample(loss, x, y, mask)
