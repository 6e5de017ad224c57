"""Losses for single positive labels."""

import functools
from typing import Any

from exact import Jet, Terms, mp, sigmoids

import mllosses_jax as mll
from numerics.row import HARD, Row, plain

ALPHA = 0.25


def entropy_maximization(x: float, y: Any) -> Terms:
    p, q = sigmoids(x)
    if y:
        return Terms(Jet(mp.one), p.log().times(-1))
    return Terms(Jet(mp.one), (p * p.log() + q * q.log()).times(mp.mpf(ALPHA)))


def rows(labels: tuple) -> list[Row]:
    if labels != HARD:
        return []
    loss = functools.partial(plain, mll.entropy_maximization_loss, alpha=ALPHA)
    return [Row("entropy maximization", loss, entropy_maximization, labels)]
