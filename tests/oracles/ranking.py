"""Oracles of the ranking family."""

import numpy as np

from oracles.common import masked, pairs


def lsep_loss(x, y, mask):
    return np.array([np.log1p(np.exp(n[None, :] - p[:, None]).sum()) for p, n in pairs(x, y, mask)])


def zlpr_loss(x, y, mask):
    positive, negative = masked(y, mask), masked(1 - y, mask)
    x = masked(x, mask)
    return np.log1p((positive * np.exp(-x)).sum(-1)) + np.log1p((negative * np.exp(x)).sum(-1))


def two_way_sample_loss(x, y, mask, positive_temperature=4.0, negative_temperature=1.0):
    t_p, t_n = positive_temperature, negative_temperature
    return np.array(
        [
            np.log1p(np.exp(n / t_n).sum() ** t_n * np.exp(-p / t_p).sum() ** t_p)
            if len(p) and len(n)
            else 0.0
            for p, n in pairs(x, y, mask)
        ]
    )


def two_way_label_loss(x, y, mask, **temperatures):
    return two_way_sample_loss(x.T, y.T, mask.T, **temperatures)


def two_way_loss(x, y, mask, **temperatures):
    total = 0.0
    for losses, positives in (
        (two_way_sample_loss(x, y, mask, **temperatures), (mask & (y > 0)).any(1)),
        (two_way_label_loss(x, y, mask, **temperatures), (mask & (y > 0)).any(0)),
    ):
        total += losses[positives].mean() if positives.any() else 0.0
    return total
