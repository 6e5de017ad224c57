"""Oracles of the asymmetric polynomial family."""

import numpy as np

from oracles.common import masked, sigmoid

APL = {
    "gamma_neg": 4.0,
    "gamma_pos": 0.0,
    "clip": 0.05,
    "epsilon_pos": 1.0,
    "epsilon_pos_pow": -2.5,
    "epsilon_neg": 0.0,
    "lamb": None,
}


def _parts(x, y, gamma_neg, gamma_pos, clip, epsilon_pos, epsilon_pos_pow, epsilon_neg, lamb):
    p = sigmoid(x)
    r = 1 - np.maximum(p - clip, 0)
    positive = np.log(p) + epsilon_pos * (1 - p) + epsilon_pos_pow / 2 * (1 - p) ** 2
    negative = np.log(r) + epsilon_neg * r
    if lamb is not None:
        negative = negative * (lamb - p) * p**2 * (lamb - r)
    weight = (1 - y * p - (1 - y) * r) ** (gamma_pos * y + gamma_neg * (1 - y))
    return weight, -y * positive - (1 - y) * negative


def asymmetric_polynomial_loss(x, y, mask, detach_focus=True, **parameters):
    weight, loss = _parts(x, y, **{**APL, **parameters})
    return masked(weight * loss, mask)


def asymmetric_polynomial_loss_slope(x, y, mask, detach_focus=True, **parameters):
    """Computes the slope by central differences, with the weight held constant or not."""
    h, parameters = 1e-6, {**APL, **parameters}
    (above_weight, above), (below_weight, below) = (
        _parts(x + step, y, **parameters) for step in (h, -h)
    )
    if detach_focus:
        above_weight = below_weight = _parts(x, y, **parameters)[0]
    return masked((above_weight * above - below_weight * below) / (2 * h), mask)


def robust_asymmetric_loss(x, y, mask, **parameters):
    return asymmetric_polynomial_loss(x, y, mask, **{"lamb": 1.5, **parameters})


def robust_asymmetric_loss_slope(x, y, mask, detach_focus=False, **parameters):
    parameters = {"lamb": 1.5, **parameters}
    return asymmetric_polynomial_loss_slope(x, y, mask, detach_focus, **parameters)
