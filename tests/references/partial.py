"""Losses for missing labels."""

from functools import partial
from typing import Any

from exact import Jet, Terms, mp

import mllosses_jax as mll
from references.asymmetric import asymmetric
from references.binary import cross_entropy
from references.row import CLIPS, HARD, Row, plain


def selective(x: float, y: Any, gamma_neg: float, gamma_pos: float, clip: float) -> Terms:
    """The weight is held constant in the slope, which is then differentiated as it stands."""
    weight, loss, *_ = asymmetric(x, y, gamma_neg, gamma_pos, clip)
    slope = weight.v * loss.d
    curvature = weight.d * loss.d + weight.v * loss.dd
    return Terms(Jet(mp.one), Jet(weight.v * loss.v, slope, curvature))


def rows(labels: tuple) -> list[Row]:
    if labels != HARD:
        return []
    rejection = partial(plain, mll.large_loss_rejection, relative_rate=0)
    focus = {"gamma_neg": 2.5, "gamma_pos": 0.5, "clip": CLIPS[1]}
    csl = partial(plain, mll.class_aware_selective_loss, mode="negative", **focus)
    return [
        Row("large loss", rejection, cross_entropy, labels, bar=3),
        Row("selective", csl, selective, labels, (tuple(focus.values()),)),
    ]
