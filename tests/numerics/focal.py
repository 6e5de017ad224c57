"""The focal family."""

import functools
from typing import Any

import jax.numpy as jnp
from exact import Terms, entropy, mp, sigmoids

import mllosses_jax as mll
from numerics.row import GAMMAS, Row


def focal(x: float, y: Any, gamma: float) -> Terms:
    p, q = sigmoids(x)
    wrong = q.times(y) + p.times(1 - y)
    return Terms(wrong.power(mp.mpf(gamma)), entropy(x, y, 1 - y), mp.log(wrong.v))


def _focal(constant, x, y, detach, gamma):
    del detach
    gamma = constant if gamma is None else gamma
    return mll.sigmoid_focal_loss(x, y, gamma=gamma, reduction="none")


def rows(labels: tuple) -> list[Row]:
    of = functools.partial
    constants = [Row("focal", of(_focal, g), focal, labels, ((g,),)) for g in GAMMAS]
    columns, gammas = tuple((gamma,) for gamma in GAMMAS), jnp.array(GAMMAS)
    return [*constants, Row("focal", of(_focal, None), focal, labels, columns, gammas)]
