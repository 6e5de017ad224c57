"""Oracles of the selective losses."""

import numpy as np

from oracles.common import masked, sigmoid


def _parts(
    x,
    y,
    annotated,
    gamma_neg=1.0,
    gamma_pos=0.0,
    gamma_unannotated=2.0,
    alpha_neg=1.0,
    alpha_pos=1.0,
    alpha_unannotated=1.0,
    clip=0.0,
):
    """Returns the weight without omega, and the cross-entropy."""
    positive = annotated & (y > 0)
    p = sigmoid(x)
    wrong = np.where(positive, 1 - p, np.maximum(p - clip, 0))
    alpha = np.where(positive, alpha_pos, np.where(annotated, alpha_neg, alpha_unannotated))
    gamma = np.where(positive, gamma_pos, np.where(annotated, gamma_neg, gamma_unannotated))
    return alpha * wrong**gamma, -np.log1p(-wrong)


def _omega(x, annotated, mask, mode, prior, prior_threshold, likelihood_topk):
    omega = np.ones(x.shape)
    if mode in ("ignore", "ignore_normalize_classes"):
        omega[~annotated] = 0
    if mode == "ignore_normalize_classes":
        omega *= 1 + 1 / (1 + (annotated & mask).sum(-1, keepdims=True))
    if mode == "selective":
        if prior is not None:
            omega[~annotated & (np.broadcast_to(prior, x.shape) > prior_threshold)] = 0
        unknown = [(x[i], i) for i in zip(*np.nonzero(mask & ~annotated), strict=True)]
        number = likelihood_topk * mask.any(-1).sum()
        for _, index in sorted(unknown, reverse=True)[:number]:
            omega[index] = 0
    return omega


def class_aware_selective_loss(
    x,
    y,
    mask,
    annotated,
    mode="selective",
    prior=None,
    prior_threshold=0.05,
    likelihood_topk=5,
    **focus,
):
    annotated = np.asarray(annotated)
    weight, entropy = _parts(x, y, annotated, **focus)
    omega = _omega(x, annotated, mask, mode, prior, prior_threshold, likelihood_topk)
    return masked(omega * weight * entropy, mask)


def class_aware_selective_loss_slope(
    x,
    y,
    mask,
    annotated,
    mode="selective",
    prior=None,
    prior_threshold=0.05,
    likelihood_topk=5,
    **focus,
):
    """Computes the slope of the entropy alone by central differences, with constant weights."""
    h, annotated = 1e-6, np.asarray(annotated)
    omega = _omega(x, annotated, mask, mode, prior, prior_threshold, likelihood_topk)
    weight, _ = _parts(x, y, annotated, **focus)
    above, below = (_parts(x + step, y, annotated, **focus)[1] for step in (h, -h))
    return masked(omega * weight * (above - below) / (2 * h), mask)
