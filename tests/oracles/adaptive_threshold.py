"""Oracles of the losses with a learned threshold."""

import numpy as np

from oracles.common import sigmoid


def _rows(x, y, mask, threshold_logits):
    """Yields the row, the logits of its positives and negatives, and its threshold."""
    for row, keep in enumerate(mask):
        if keep.any():
            positive = y[row] > 0
            t = np.float64(threshold_logits[row])
            yield row, x[row, keep & positive], x[row, keep & ~positive], t


def adaptive_threshold_loss(x, y, mask, threshold_logits):
    losses = np.zeros(len(x))
    for row, positive, negative, t in _rows(x, y, mask, threshold_logits):
        among = np.logaddexp.reduce([t, *positive])
        losses[row] = (among - positive).sum() + np.logaddexp.reduce([t, *negative]) - t
    return losses


def none_class_ranking_loss(x, y, mask, threshold_logits, shift=0.0, regularize=True):
    losses = np.zeros(len(x))
    for row, positive, negative, t in _rows(x, y, mask, threshold_logits):
        shifted = np.maximum(sigmoid(negative - t) - shift, 0)
        losses[row] = np.logaddexp(0, t - positive).sum() - np.log1p(-shifted).sum()
        if regularize:
            p = sigmoid(t - np.concatenate([positive, negative]).mean())
            losses[row] -= np.log1p(-max(p - shift, 0)) if len(positive) else np.log(p)
    return losses
