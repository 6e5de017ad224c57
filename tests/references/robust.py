"""The robust family."""

from functools import partial
from typing import Any

import jax.numpy as jnp
from exact import Jet, Terms, entropy, mp, sigmoids

import mllosses_jax as mll
from references.row import HARD, Row

ONE = Jet(mp.one)


def generalized(x: float, y: Any, q: float) -> Terms:
    if q == 0:
        return Terms(ONE, entropy(x, y, 1 - y))
    q = mp.mpf(q)
    positive, negative = (ONE + p.power(q).times(-1) for p in sigmoids(x))
    loss = positive.times(y / q) + negative.times((1 - y) / q)
    return Terms(ONE, loss, cancelling=y * abs(positive.d) + (1 - y) * abs(negative.d))


def hill(x: float, y: Any, margin: float, gamma: float, lamb: float) -> Terms:
    p, q = sigmoids(x)
    shifted, remaining = sigmoids(mp.mpf(x) - mp.mpf(margin))
    weight = (Jet(1 - y) + remaining.times(y)).power(mp.mpf(gamma))
    negative = (Jet(mp.mpf(lamb) - 1) + q) * p * p
    loss = shifted.log().times(-y) + negative.times(1 - y)
    return Terms(weight, loss, cancelling=(1 - y) * negative.d)


def splc(x: float, y: Any, margin: float, gamma: float, correct: bool) -> Terms:
    p, q = sigmoids(mp.mpf(x) - y * mp.mpf(margin))
    right, wrong = (p, q) if y or (correct and p.v > 0.6) else (q, p)
    return Terms(wrong.power(mp.mpf(gamma)), right.log().times(-1))


def _call(loss, kwargs, x, y, detach, gamma):
    del detach, gamma
    return loss(x, y, reduction="none", **kwargs)


def rows(labels: tuple) -> list[Row]:
    orders = (0.0, 1e-4, 0.125, 0.75, 1.0)
    gce = partial(_call, mll.generalized_binary_cross_entropy, {"q": jnp.array(orders)})
    columns = tuple((float(jnp.float32(q)),) for q in orders)
    result = [Row("generalized", gce, generalized, labels, columns)]
    columns = ((1.0, 2.0, 1.5), (0.5, 0.5, 1.25), (0.0, 0.0, 1.0), (3.0, 4.0, 3.0))
    names = ("margin", "gamma", "lamb")
    arrays = dict(zip(names, map(jnp.array, zip(*columns, strict=True)), strict=True))
    for values, chosen in ((arrays, columns), ({}, columns[:1])):
        result.append(Row("hill", partial(_call, mll.hill_loss, values), hill, labels, chosen))
    if labels == HARD:
        for correct in (False, True):
            columns = ((1.0, 2.0, correct), (0.5, 2.5, correct))
            margin, gamma = jnp.array([1.0, 0.5]), jnp.array([2.0, 2.5])
            loss = partial(
                _call, mll.splc_loss, {"margin": margin, "gamma": gamma, "correct": correct}
            )
            result.append(Row("splc", loss, splc, labels, columns))
    return result
