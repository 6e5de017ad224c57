"""Functions that the oracles share."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def masked(values, mask):
    return np.where(mask, values, 0.0)


def bce(x, y):
    return y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)


def log_softmax(x, mask):
    x = np.where(mask, x, -np.inf)
    top = x.max(-1, keepdims=True, initial=-1e300)
    with np.errstate(divide="ignore", invalid="ignore"):
        return x - top - np.log(np.exp(x - top).sum(-1, keepdims=True))


def sum_product(y, log_s, mask):
    return np.where(mask & (y != 0), y * np.where(mask, log_s, 0), 0).sum(-1)


def pairs(x, y, mask):
    """Yields for each row the logits of its positives and of its negatives."""
    for row in range(len(x)):
        yield x[row, mask[row] & (y[row] > 0)], x[row, mask[row] & (y[row] == 0)]


def one_hot(ids, num_labels):
    return (np.asarray(ids)[..., None] == np.arange(num_labels)).astype(float)


def counts(s, y, mask, average):
    """Returns which labels, samples or batches count, and their soft tp, fp, fn and tn."""
    axis = {"macro": 0, "samples": 1, "micro": None}[average]
    terms = (s * y, s * (1 - y), (1 - s) * y, (1 - s) * (1 - y))
    return mask.any(axis), *(masked(term, mask).sum(axis) for term in terms)
