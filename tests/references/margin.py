"""The margin family."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from exact import LOGITS, NOTHING, Jet, Terms, mp

import mllosses_jax as mll
from references.row import Row, plain

SQUARABLE = LOGITS[np.abs(LOGITS) < 1e18]


def hinge(x: float, y: Any, margin: float, squared: bool = False) -> Terms:
    def violation(sign):
        jet = Jet(mp.mpf(margin) - sign * mp.mpf(x), mp.mpf(-sign))
        return jet if jet.v > 0 else NOTHING

    positive, negative = violation(1), violation(-1)
    if squared:
        positive, negative = positive * positive, negative * negative
    return Terms(Jet(mp.one), positive.times(y) + negative.times(1 - y))


def rows(labels: tuple) -> list[Row]:
    margin = jnp.array([1.0, 0.375])
    hinge_loss = partial(plain, mll.hinge_loss, margin=margin)
    squared = partial(plain, mll.squared_hinge_loss, margin=margin)
    return [
        Row("hinge", hinge_loss, hinge, labels, ((1.0,), (0.375,))),
        Row(
            "squared hinge", squared, hinge, labels, ((1.0, True), (0.375, True)), points=SQUARABLE
        ),
    ]
