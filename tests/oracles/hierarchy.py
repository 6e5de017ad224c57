"""Oracles of the hierarchy family."""

import numpy as np

from oracles.common import sigmoid


def hierarchical_coherence_loss(x, y, mask, ancestors):
    losses = np.zeros(x.shape)
    for row, a in zip(*np.nonzero(mask), strict=True):
        below = [b for b in range(x.shape[1]) if mask[row, b] and (b == a or ancestors[a, b])]
        if y[row, a] > 0:
            losses[row, a] = np.logaddexp(0, -max(x[row, b] for b in below if y[row, b] > 0))
        else:
            losses[row, a] = np.logaddexp(0, max(x[row, b] for b in below))
    return losses


def hierarchy_penalty(x, y, mask, edges):
    p = sigmoid(x)
    losses = np.zeros(len(x))
    for parent, child in np.asarray(edges):
        excess = np.maximum(0, p[:, child] - p[:, parent]) ** 2
        losses += np.where(mask[:, parent] & mask[:, child], excess, 0)
    return losses


def label_graph_penalty(x, y, mask, affinity):
    p, affinity = sigmoid(x), np.asarray(affinity)
    losses = np.zeros(len(x))
    for i, j in np.ndindex(affinity.shape):
        square = affinity[i, j] * (p[:, i] - p[:, j]) ** 2 / 2
        losses += np.where(mask[:, i] & mask[:, j], square, 0)
    return losses
