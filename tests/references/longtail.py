"""Long-tail losses."""

import functools
from typing import Any

import numpy as np
from exact import Jet, Terms, entropy, mp, sigmoids

import mllosses_jax as mll
from references.row import Row, plain

ALPHA, KAPPA, MU, PRIOR, MARGIN, RHO = (
    float(np.float32(value)) for value in (0.1, 0.05, 0.2, 0.01, 0.3, 0.05)
)


def stretched(jet: Jet, factor: Any) -> Jet:
    """Returns the jet in x of a jet whose argument is factor * x plus an offset."""
    return Jet(jet.v, factor * jet.d, factor**2 * jet.dd)


def cross_entropy_of(x: float, factor: Any, offset: Any, y: Any) -> Jet:
    return stretched(entropy(factor * mp.mpf(x) + offset, y, 1 - y), factor)


def distribution_balanced(x: float, y: Any, scale: float, gamma: float) -> Terms:
    """The loss of one label with n = 10 and N = 100, so that r = 1/y."""
    share = 1 / mp.mpf(y) if y > 0 else mp.inf
    weight = mp.mpf(ALPHA) + 1 / (1 + mp.exp(-10 * (share - mp.mpf(MU))))
    offset = mp.mpf(KAPPA) / scale * mp.log(mp.mpf(10) / 90)

    def focal(factor):
        p, q = sigmoids(factor * (mp.mpf(x) + offset))
        return stretched(q.power(mp.mpf(gamma)), factor), stretched(p.log().times(-1), factor)

    if y in (0, 1):  # a product, whose terms tell how much its curvature cancels
        fading, loss = focal(mp.one if y else -mp.mpf(scale))
        return Terms(fading, loss.times(2 * weight / (1 if y else scale)))
    (fading, loss), (other_fading, other) = focal(mp.one), focal(-mp.mpf(scale))
    both = (fading * loss).times(y) + (other_fading * other).times((1 - y) / scale)
    return Terms(Jet(mp.one), both.times(2 * weight))


def ldam(x: float, y: Any, scale: float, margin: float) -> Terms:
    scale = mp.mpf(scale)
    return Terms(Jet(mp.one), cross_entropy_of(x, scale, -scale * mp.mpf(margin) * y, y))


def logit_adjusted(x: float, y: Any, prior: float) -> Terms:
    prior = mp.mpf(prior)
    return Terms(Jet(mp.one), cross_entropy_of(x, mp.one, mp.log(prior / (1 - prior)), y))


def equalization(x: float, y: Any, rare: bool) -> Terms:
    return Terms(Jet(mp.mpf(y) if rare else mp.one), entropy(x, y, 1 - y))


def unbiased(x: float, y: Any, propensity: float) -> Terms:
    positive = mp.mpf(y) / mp.mpf(propensity)
    return Terms(Jet(mp.one), entropy(x, positive, 1 - positive))


def rows(labels: tuple) -> list[Row]:
    def row(name, loss, terms, column, **kwargs):
        loss = functools.partial(plain, functools.partial(loss, **kwargs))
        return Row(name, loss, terms, labels, (column,))

    counts = {"label_counts": 10, "num_samples": 100}
    loss = mll.distribution_balanced_loss
    balanced = [
        row(
            "distribution-balanced",
            loss,
            distribution_balanced,
            (s, g),
            neg_scale=s,
            gamma=g,
            **counts,
        )
        for s, g in ((2.0, 2.0), (5.0, 0.5))
    ]
    loss = mll.logit_adjusted_binary_cross_entropy
    return [
        *balanced,
        row("margin", mll.ldam_loss, ldam, (30.0, MARGIN), label_counts=7, max_margin=0.3),
        row("adjusted", loss, logit_adjusted, (PRIOR,), prior=0.01),
        row("rare", mll.equalization_loss, equalization, (True,), label_frequencies=0.001),
        row("unbiased", mll.unbiased_binary_cross_entropy, unbiased, (RHO,), propensity=0.05),
    ]
