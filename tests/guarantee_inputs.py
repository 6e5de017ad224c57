"""Calibration rows with every trap of promised thresholds, and losses of them in exact numbers."""

from fractions import Fraction

import numpy as np
from scipy.stats import binom

CASES = ("random", "tied", "masked", "empty rows", "NaN scores", "infinite scores")


def rows_of(case, count=60, labels=4, seed=0):
    """Returns scores, truth and the mask of what counts."""
    rng = np.random.default_rng(seed)
    truth = rng.random((count, labels)) < 0.4
    scores = (rng.standard_normal((count, labels)) + 1.5 * truth).astype(np.float32)
    keep = np.ones((count, labels), bool)
    if case == "tied":
        scores = scores.round(0)
    if case == "masked":
        keep = rng.random((count, labels)) < 0.6
        keep[::7] = False  # rows of which nothing is known
    if case == "empty rows":
        truth[::3] = False
    if case == "NaN scores":
        scores[rng.random(scores.shape) < 0.02] = np.nan
    if case == "infinite scores":
        scores[rng.random(scores.shape) < 0.1] = np.inf
        scores[rng.random(scores.shape) < 0.02] = -np.inf
    return scores, truth, keep


def broken(scores, truth, keep):
    """Returns scores and labels with NaN where masked."""
    return np.where(keep, scores, np.nan), np.where(keep, truth, np.nan).astype(np.float32)


def cut_offs(scores, keep):
    """Returns every threshold that differs from the others in what it admits, the highest first."""
    distinct = np.unique(scores[keep & ~np.isnan(scores)])[::-1]
    return [np.float32(np.inf), *distinct[distinct < np.inf], np.float32(-np.inf)]


def missed_shares(scores, truth, keep, t):
    """Returns the share of positives that each row misses; rows of which nothing is known are left
    out."""
    shares = []
    for s, y, k in zip(scores, truth, keep, strict=True):
        if k.any():
            positives = int((y & k).sum())
            missed = int((y & k & ~(s >= t)).sum())
            shares.append(Fraction(missed, positives) if positives else Fraction(0))
    return shares


def wrong_shares(scores, truth, keep, t):
    """Returns the share of predictions that are wrong in each row, as `missed_shares`."""
    shares = []
    for s, y, k in zip(scores, truth, keep, strict=True):
        if k.any():
            predicted = k & (s >= t)
            number = int(predicted.sum())
            shares.append(Fraction(int((predicted & ~y).sum()), number) if number else Fraction(0))
    return shares


def hoeffding_bentkus(shares, alpha):
    """Returns the p-value of a risk above alpha."""
    n, total = len(shares), sum(shares)
    r = min(float(total / n), alpha)
    kl = (r * np.log(r / alpha) if r else 0.0) + (1 - r) * np.log((1 - r) / (1 - alpha))
    return min(np.exp(-n * kl), np.e * binom.cdf(int(np.ceil(total)), n, alpha))
