"""Losses for missing labels."""

import functools
from typing import Any

from exact import Jet, Terms, mp

import mllosses_jax as mll
from numerics.asymmetric import asymmetric
from numerics.binary import cross_entropy, weighted_cross_entropy
from numerics.row import CLIPS, HARD, Row, plain


def smoothed_cross_entropy(x: float, y: Any, s: float) -> Terms:
    return cross_entropy(x, y * (1 - mp.mpf(s)) + (1 - y) * mp.mpf(s))


def selective(x: float, y: Any, gamma_neg: float, gamma_pos: float, clip: float) -> Terms:
    """The weight is held constant in the slope, which is then differentiated as it stands."""
    weight, loss, *_ = asymmetric(x, y, gamma_neg, gamma_pos, clip)
    slope = weight.v * loss.d
    curvature = weight.d * loss.d + weight.v * loss.dd
    return Terms(Jet(mp.one), Jet(weight.v * loss.v, slope, curvature))


def rows(labels: tuple) -> list[Row]:
    of = functools.partial
    smooth = of(plain, mll.assume_negative_loss, label_smoothing=0.25)
    weak = of(plain, of(mll.weak_assume_negative_loss, gamma=0.25))
    result = [
        Row("assume-negative", smooth, smoothed_cross_entropy, labels, ((0.25,),)),
        Row("weak negative", weak, weighted_cross_entropy, labels, ((1.0, 0.25),)),
    ]
    if labels == HARD:
        rejection = of(plain, mll.large_loss_rejection, relative_rate=0)
        focus = {"gamma_neg": 2.5, "gamma_pos": 0.5, "clip": CLIPS[1]}
        csl = of(plain, mll.class_aware_selective_loss, mode="negative", **focus)
        result += [
            Row("large loss", rejection, cross_entropy, labels, bar=3),
            Row("selective", csl, selective, labels, (tuple(focus.values()),)),
        ]
    return result
