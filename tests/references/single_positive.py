"""Losses for single positive labels."""

from functools import partial
from typing import Any

from exact import Jet, Terms, mp, sigmoids

import mllosses_jax as mll
from references.binary import cross_entropy, weighted_cross_entropy
from references.row import HARD, Row, plain

ALPHA = 0.25


def smoothed_cross_entropy(x: float, y: Any, s: float) -> Terms:
    return cross_entropy(x, y * (1 - mp.mpf(s)) + (1 - y) * mp.mpf(s))


def entropy_maximization(x: float, y: Any) -> Terms:
    p, q = sigmoids(x)
    if y:
        return Terms(Jet(mp.one), p.log().times(-1))
    return Terms(Jet(mp.one), (p * p.log() + q * q.log()).times(mp.mpf(ALPHA)))


def rows(labels: tuple) -> list[Row]:
    smooth = partial(plain, mll.assume_negative_loss, label_smoothing=0.25)
    weak = partial(plain, partial(mll.weak_assume_negative_loss, gamma=0.25))
    result = [
        Row("assume-negative", smooth, smoothed_cross_entropy, labels, ((0.25,),)),
        Row("weak negative", weak, weighted_cross_entropy, labels, ((1.0, 0.25),)),
    ]
    if labels == HARD:
        loss = partial(plain, mll.entropy_maximization_loss, alpha=ALPHA)
        result.append(Row("entropy maximization", loss, entropy_maximization, labels))
    return result
