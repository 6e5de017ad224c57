"""The oracle of the generalized robust loss, and its slope, in which all weights are constant."""

import numpy as np

from oracles.common import masked, sigmoid


def _parts(x, y, mask, w, b, mu, sigma, q2, q3, pseudo_labels, pseudo_where, rho, low, high):
    """Returns the weights of four losses, the losses, and their slopes."""
    p, q = sigmoid(x), sigmoid(-x)
    k, v = sigmoid(w * p + b), np.exp(-((p - mu) ** 2) / (2 * sigma**2))
    pseudo = np.zeros_like(mask) if pseudo_where is None else np.asarray(pseudo_where, bool)
    positive = pseudo & (np.nan_to_num(np.asarray(pseudo_labels, np.float64)) > 0)
    doubt = np.clip(1 - v, low, high)
    observed = y > 0
    weights = (
        np.where(observed, 1, np.where(positive, rho * doubt, 0)),
        np.where(observed, 0, np.where(positive, (1 - rho) * doubt, np.where(pseudo, v, 0))),
        np.where(observed | pseudo, 0, v * k),
        np.where(observed | pseudo, 0, v * (1 - k)),
    )
    losses = (-np.log(p), -np.log(q), (1 - p**q2) / q2, (1 - q**q3) / q3)
    slopes = (-q, p, -(p**q2) * q, q**q3 * p)
    return weights, losses, slopes


def _sum(which, x, y, mask, parameters):
    defaults = {"w": 2.0, "b": -2.0, "mu": 0.8, "sigma": 0.5, "q2": 0.01, "q3": 1.0}
    defaults |= {"pseudo_labels": 0.0, "pseudo_where": None, "rho": 0.9}
    defaults |= {"lamb_low": 0.2, "lamb_high": 0.8}
    parts = _parts(x, y, mask, *(defaults | parameters).values())
    return masked(sum(a * b for a, b in zip(parts[0], parts[which], strict=True)), mask)


def generalized_robust_loss(x, y, mask, **parameters):
    return _sum(1, x, y, mask, parameters)


def generalized_robust_loss_slope(x, y, mask, **parameters):
    return _sum(2, x, y, mask, parameters)
