"""Oracle of the Lovász hinge: Jaccard losses of growing sets of errors, and their differences."""

import numpy as np


def lovasz_hinge_loss(x, y, mask):
    losses = np.zeros(len(x))
    for row in range(len(x)):
        counted = [i for i in range(x.shape[1]) if mask[row, i]]
        actual = {i for i in counted if y[row, i] > 0}
        error = {i: 1 - x[row, i] * (1 if i in actual else -1) for i in counted}
        wrong, before = set(), 0.0
        for i in sorted(counted, key=lambda i: -error[i]):
            wrong.add(i)
            predicted = actual ^ wrong
            after = 1 - len(actual & predicted) / len(actual | predicted)
            losses[row] += max(0, error[i]) * (after - before)
            before = after
    return losses
