"""Oracles of the asymmetric family."""

import numpy as np

from oracles.common import masked, sigmoid


def asymmetric_loss(x, y, mask, gamma_neg=4.0, gamma_pos=1.0, clip=0.05, detach_focus=True):
    weight, entropy = _asymmetric_parts(x, y, gamma_neg, gamma_pos, clip)
    return masked(weight * entropy, mask)


def _asymmetric_parts(x, y, gamma_neg, gamma_pos, clip):
    p = sigmoid(x)
    p_m = np.maximum(p - clip, 0)
    right = y * p + (1 - y) * (1 - p_m)
    weight = (1 - right) ** (gamma_pos * y + gamma_neg * (1 - y))
    return weight, -y * np.log(p) - (1 - y) * np.log1p(-p_m)


def asymmetric_loss_slope(x, y, mask, detach_focus=True, gamma_neg=4.0, gamma_pos=1.0, clip=0.05):
    """Computes the slope by central differences, of the entropy alone if the weight is constant."""
    h = 1e-6
    if not detach_focus:
        above = asymmetric_loss(x + h, y, mask, gamma_neg, gamma_pos, clip)
        below = asymmetric_loss(x - h, y, mask, gamma_neg, gamma_pos, clip)
        return (above - below) / (2 * h)
    weight, _ = _asymmetric_parts(x, y, gamma_neg, gamma_pos, clip)
    _, above = _asymmetric_parts(x + h, y, gamma_neg, gamma_pos, clip)
    _, below = _asymmetric_parts(x - h, y, gamma_neg, gamma_pos, clip)
    return masked(weight * (above - below) / (2 * h), mask)


def strictly_proper_asymmetric_loss(
    x, y, mask, k_neg=3.0, b_neg=1.0, zeta_neg=5.0, k_pos=1.0, b_pos=0.0, zeta_pos=1.0
):
    positive = np.logaddexp(0, -k_pos * (x - b_pos)) / zeta_pos
    negative = np.logaddexp(0, k_neg * (x - b_neg)) / zeta_neg
    return masked(y * positive + (1 - y) * negative, mask)
