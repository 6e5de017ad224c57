"""The focal family."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from exact import Terms, entropy, mp, sigmoids

import mllosses_jax as mll
from references.row import GAMMAS, Row


def focal(x: float, y: Any, gamma: float) -> Terms:
    p, q = sigmoids(x)
    wrong = q.times(y) + p.times(1 - y)
    return Terms(wrong.power(mp.mpf(gamma)), entropy(x, y, 1 - y), mp.log(wrong.v))


def quality(x: float, y: Any, beta: float) -> Terms:
    p, q = sigmoids(x)
    distance = p.times(1 - y) + q.times(-y)
    distance = distance.times(mp.sign(distance.v))
    return Terms(distance.power(mp.mpf(beta)), entropy(x, y, 1 - y), mp.log(distance.v))


def _quality(constant, x, y, detach, gamma):
    del detach
    beta = constant if gamma is None else gamma
    return mll.quality_focal_loss(x, y, beta=beta, reduction="none")


def _focal(constant, x, y, detach, gamma):
    del detach
    gamma = constant if gamma is None else gamma
    return mll.sigmoid_focal_loss(x, y, gamma=gamma, reduction="none")


def rows(labels: tuple) -> list[Row]:
    constants = [Row("focal", partial(_focal, g), focal, labels, ((g,),)) for g in GAMMAS]
    columns, gammas = tuple((gamma,) for gamma in GAMMAS), jnp.array(GAMMAS)
    return [
        *constants,
        Row("focal", partial(_focal, None), focal, labels, columns, gammas),
        Row("quality", partial(_quality, 2), quality, labels, ((2.0,),)),
        Row("quality", partial(_quality, None), quality, labels, columns, gammas),
    ]
