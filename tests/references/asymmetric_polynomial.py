"""The asymmetric polynomial family."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from exact import LOGITS, NOTHING, Jet, Terms, mp, sigmoids

import mllosses_jax as mll
from references.row import BOUNDARY, CLIPS, Row

NAMES = ("gamma_neg", "gamma_pos", "clip", "epsilon_pos", "epsilon_pos_pow", "epsilon_neg", "lamb")


def polynomial(
    x: float,
    y: Any,
    gamma_neg: float,
    gamma_pos: float,
    clip: float,
    e1: float,
    e2: float,
    e_neg: float,
    lamb: float | None = None,
) -> Terms:
    p, q = sigmoids(x)
    above = p.v > clip
    shifted = p + Jet(-mp.mpf(clip)) if above else NOTHING
    rest = q + Jet(mp.mpf(clip)) if above else Jet(mp.one)
    wrong = q.times(y) + shifted.times(1 - y)
    positive = p.log() + q.times(mp.mpf(e1)) + (q * q).times(mp.mpf(e2) / 2)
    negative = rest.log() + rest.times(mp.mpf(e_neg))
    if lamb is not None:
        lamb = Jet(mp.mpf(lamb))
        negative = negative * (lamb + p.times(-1)) * p * p * (lamb + rest.times(-1))
    loss = positive.times(-y) + negative.times(-(1 - y))
    gamma = y * mp.mpf(gamma_pos) + (1 - y) * mp.mpf(gamma_neg)
    if wrong.v == 0:
        return Terms(Jet(mp.one) if gamma == 0 else NOTHING, loss)
    return Terms(wrong.power(gamma), loss)


def _call(loss, column, x, y, detach, gamma):
    del gamma
    return loss(
        x, y, detach_focus=detach, reduction="none", **dict(zip(NAMES, column, strict=False))
    )


def rows(labels: tuple) -> list[Row]:
    points = np.concatenate([LOGITS, BOUNDARY])
    clip = CLIPS[1]
    columns = (
        (4.0, 0.0, clip, 1.0, -2.5, 0.0),
        (2.5, 1.0, 0.0, 1.0, 1.0, 0.0),
        (1.0, 2.0, clip, 0.5, 0.0, 0.0),
        (0.0, 0.5, clip, -1.0, 0.5, 0.3),
    )
    result = []
    for name, loss, lambs in (
        ("polynomial", mll.asymmetric_polynomial_loss, None),
        ("robust asymmetric", mll.robust_asymmetric_loss, (1.5, 1.0, 1.25, 3.0)),
    ):
        own = columns
        if lambs is not None:
            own = tuple((*column, lamb) for column, lamb in zip(columns, lambs, strict=True))
        arrays = tuple(jnp.array(values) for values in zip(*own, strict=True))
        for values, chosen in ((arrays, own), (own[0], own[:1])):
            call = functools.partial(_call, loss, values)
            result.append(
                Row(name, call, polynomial, labels, chosen, points=points, detachable=True)
            )
    return result
