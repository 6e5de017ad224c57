"""Oracles of the pairwise family."""

import numpy as np

from oracles.common import pairs


def bp_mll_loss(x, y, mask, bounded=True):
    x = np.tanh(x) if bounded else x
    return np.array(
        [
            np.exp(n[None, :] - p[:, None]).mean() if len(p) and len(n) else 0.0
            for p, n in pairs(x, y, mask)
        ]
    )


def _hinge_sums(x, y, mask, margin):
    return np.array(
        [np.maximum(0, margin - p[:, None] + n[None, :]).sum() for p, n in pairs(x, y, mask)]
    )


def _num_labels(y, mask):
    del y
    return np.maximum(mask.sum(-1), 1)


def _num_pairs(y, mask):
    return np.maximum((mask & (y > 0)).sum(-1) * (mask & (y == 0)).sum(-1), 1)


def multilabel_margin_loss(x, y, mask, margin=1.0):
    return _hinge_sums(x, y, mask, margin) / _num_labels(y, mask)


def pairwise_hinge_loss(x, y, mask, margin=1.0):
    return _hinge_sums(x, y, mask, margin) / _num_pairs(y, mask)


def pairwise_logistic_loss(x, y, mask):
    return np.array(
        [
            np.logaddexp(0, n[None, :] - p[:, None]).mean() if len(p) and len(n) else 0.0
            for p, n in pairs(x, y, mask)
        ]
    )


def _rank_weight(rank):
    return sum(1 / i for i in range(1, rank + 1)) / max(rank, 1)


def warp_loss(x, y, mask, margin=1.0):
    losses = np.zeros(len(x))
    for row, (p, n) in enumerate(pairs(x, y, mask)):
        for value in p:
            hinges = np.maximum(0, margin - value + n)
            losses[row] += _rank_weight((hinges > 0).sum()) * hinges.sum()
    return losses


def _slope(x, y, mask, margin, weight):
    result = np.zeros(x.shape)
    for row in range(len(x)):
        positives = np.flatnonzero(mask[row] & (y[row] > 0))
        negatives = np.flatnonzero(mask[row] & (y[row] == 0))
        for i in positives:
            violators = negatives[x[row, negatives] > x[row, i] - margin]
            result[row, i] -= weight(len(violators)) * len(violators)
            result[row, violators] += weight(len(violators))
    return result


def multilabel_margin_loss_slope(x, y, mask, margin=1.0):
    return _slope(x, y, mask, margin, lambda rank: 1) / _num_labels(y, mask)[:, None]


def pairwise_hinge_loss_slope(x, y, mask, margin=1.0):
    return _slope(x, y, mask, margin, lambda rank: 1) / _num_pairs(y, mask)[:, None]


def warp_loss_slope(x, y, mask, margin=1.0):
    return _slope(x, y, mask, margin, _rank_weight)
