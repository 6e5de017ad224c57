"""The asymmetric family."""

import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from exact import LOGITS, NOTHING, Jet, Terms, log_sigmoids, mp, sigmoids

import mllosses_jax as mll
from references.row import BOUNDARY, CLIPS, GAMMAS, Row, plain


def asymmetric(x: float, y: Any, gamma_neg: float, gamma_pos: float, clip: float) -> Terms:
    p, q = sigmoids(x)
    above = p.v > clip
    shifted = p + Jet(-mp.mpf(clip)) if above else NOTHING
    rest = q + Jet(mp.mpf(clip)) if above else Jet(mp.one)
    wrong = q.times(y) + shifted.times(1 - y)
    if wrong.v == 0:
        return Terms(NOTHING, NOTHING)
    weight = wrong.power(y * mp.mpf(gamma_pos) + (1 - y) * mp.mpf(gamma_neg))
    loss = p.log().times(-y) + rest.log().times(-(1 - y))
    return Terms(weight, loss, (1 - y) * mp.log(wrong.v))


def strictly_proper(x: float, y: Any) -> Terms:
    """The defaults: log σ(x) of positives, and log σ(−3·(x − 1)) of negatives, divided by 5."""
    z = Jet(3 * (mp.mpf(x) - 1), mp.mpf(3))
    q = 1 / (1 + mp.exp(z.v))
    negative = Jet(mp.log(1 + mp.exp(z.v)), 3 * (1 - q), 9 * q * (1 - q))
    return Terms(Jet(mp.one), log_sigmoids(x)[0].times(-y) + negative.times((1 - y) / mp.mpf(5)))


def _asymmetric(gamma_neg, gamma_pos, clip, x, y, detach, gamma):
    return mll.asymmetric_loss(
        x,
        y,
        gamma_neg=gamma_neg if gamma is None else gamma,
        gamma_pos=gamma_pos,
        clip=clip,
        detach_focus=detach,
        reduction="none",
    )


def rows(labels: tuple) -> list[Row]:
    points = np.concatenate([LOGITS, BOUNDARY])
    pairs = list(zip(GAMMAS, GAMMAS[::-1], strict=True))
    columns = tuple((*gammas, clip) for gammas, clip in itertools.product(pairs, CLIPS))
    row = functools.partial(
        Row, "asymmetric", terms=asymmetric, labels=labels, points=points, detachable=True
    )
    # A gamma of 0.5 is left out because it is traced, as 2.5 is.
    constants = [
        row(loss=functools.partial(_asymmetric, *column), columns=(column,))
        for column in columns
        if column[0] != 0.5
    ]
    gamma_neg, gamma_pos, clip = map(jnp.array, zip(*columns, strict=True))
    loss = functools.partial(_asymmetric, None, gamma_pos, clip)
    proper = functools.partial(plain, mll.strictly_proper_asymmetric_loss)
    return [
        *constants,
        row(loss=loss, columns=columns, gamma=gamma_neg),
        Row("strictly proper", proper, strictly_proper, labels),
    ]
