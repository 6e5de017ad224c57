"""How likely it is that a given label is wrong, by the scores of a model that has not seen its row.

As in confident learning, labels are wrong at a rate of their class: a positive with probability e1,
a negative with e0. With s the score, the given label is then positive with probability

    p(s) = e0 + (1 - e0 - e1) sigmoid(a s + b).

Without wrong labels p goes to 0 and 1 as the score does; with them it stops at e0 and 1 - e1. So
the two cases differ in how often labels contradict scores that are far from the threshold, and not
in contradictions near it, of which a weak model has many though no label is wrong.

C. G. Northcutt, L. Jiang and I. L. Chuang, Confident Learning: Estimating Uncertainty in Dataset
Labels, 2021, arXiv:1911.00068; N. Natarajan, I. S. Dhillon, P. Ravikumar and A. Tewari, Learning
with Noisy Labels, 2013.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

Doubles = NDArray[np.float64]

GROUPS = 200  # of rows with neighbouring scores, which are taken as one
GAIN = 15.0  # in log-likelihood, from which on there surely are wrong labels
MOST_NOISE = 0.4
TINY = 1e-12


class Fit(NamedTuple):
    """The model of one label: slope, bias, e0 and e1, and its log-likelihood."""

    parameters: Doubles
    likelihood: float


def wrong(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> Doubles:
    """Returns the probability (N,) that each given label is wrong; 0 unless some surely are.

    Args:
        scores: (N,), finite.
        labels: (N,).
    """
    s = scores.astype(np.float64)
    s = (s - s.mean()) / max(s.std(), TINY)
    order = np.argsort(s, kind="stable")
    groups = min(GROUPS, len(s))
    starts = np.arange(groups) * len(s) // groups
    sizes = np.diff(starts, append=len(s))
    positives = np.add.reduceat(labels[order], starts, dtype=np.int64)
    means = np.add.reduceat(s[order], starts) / sizes
    clean = _fit(means, positives, sizes, most_noise=0)
    noisy = _fit(means, positives, sizes, most_noise=MOST_NOISE)
    if not noisy.likelihood - clean.likelihood > GAIN:
        return np.zeros(len(s))
    slope, bias, e0, e1 = noisy.parameters
    true = expit(slope * s + bias)
    if_positive = (1 - true) * e0, true * (1 - e1)
    if_negative = true * e1, (1 - true) * (1 - e0)
    found, not_found = np.where(labels, if_positive, if_negative)
    return np.asarray(found / np.maximum(found + not_found, TINY))


def _fit(
    s: Doubles, positives: NDArray[np.int64], sizes: NDArray[np.int64], *, most_noise: float
) -> Fit:
    """Returns the model of highest likelihood of groups of rows with these scores."""

    def loss(parameters: Doubles) -> tuple[float, Doubles]:
        slope, bias, e0, e1 = parameters
        true = expit(slope * s + bias)
        p = np.clip(e0 + (1 - e0 - e1) * true, TINY, 1 - TINY)
        value = -np.sum(positives * np.log(p) + (sizes - positives) * np.log1p(-p))
        by_p = (sizes * p - positives) / (p * (1 - p))
        by_logit = by_p * (1 - e0 - e1) * true * (1 - true)
        slopes = by_logit @ s, by_logit.sum(), by_p @ (1 - true), -by_p @ true
        return value / sizes.sum(), np.array(slopes) / sizes.sum()

    start = [1.0, 0.0, min(0.01, most_noise), min(0.01, most_noise)]
    bounds = [(0, None), (None, None), (0, most_noise), (0, most_noise)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return Fit(found.x, -float(found.fun) * float(sizes.sum()))
