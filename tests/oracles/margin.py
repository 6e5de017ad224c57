"""Oracles of the margin family."""

import numpy as np

from oracles.common import masked


def hinge_loss(x, y, mask, margin=1.0):
    return masked(y * np.maximum(margin - x, 0) + (1 - y) * np.maximum(margin + x, 0), mask)


def hinge_loss_slope(x, y, mask, margin=1.0):
    """Computes the exact slope: differences of a piecewise linear function are mostly rounding."""
    return masked((1 - y) * (x > -margin) - y * (x < margin), mask)


def squared_hinge_loss(x, y, mask, margin=1.0):
    violations = np.maximum(margin - x, 0), np.maximum(margin + x, 0)
    return masked(y * violations[0] ** 2 + (1 - y) * violations[1] ** 2, mask)
