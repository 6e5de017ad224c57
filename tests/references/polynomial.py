"""The polynomial family."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from exact import Terms, entropy, mp, sigmoids

import mllosses_jax as mll
from references.row import Row, plain


def poly1(
    x: float, y: Any, epsilon: float, gamma: float = 0.0, alpha: float | None = None
) -> Terms:
    p, q = sigmoids(x)
    wrong = q.times(y) + p.times(1 - y)
    scale = 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    loss = entropy(x, y, 1 - y).times(scale) + wrong.times(mp.mpf(epsilon))
    cancelling = p.d * (1 + abs(epsilon)) if 0 < y < 1 else 0
    return Terms(wrong.power(mp.mpf(gamma)), loss, mp.log(wrong.v), cancelling)


def _focal(epsilon, alpha, constant, x, y, detach, gamma):
    del detach
    gamma = constant if gamma is None else gamma
    return mll.poly1_focal_loss(x, y, epsilon=epsilon, gamma=gamma, alpha=alpha, reduction="none")


def rows(labels: tuple) -> list[Row]:
    epsilons = (1.0, -1.0, 2.0, 0.5)
    bce = partial(plain, mll.poly1_binary_cross_entropy, epsilon=np.array(epsilons, np.float32))
    columns = ((1.0, 2.0), (-1.0, 0.5), (2.0, 0.0), (0.5, 4.0))
    epsilon, gamma = (jnp.array(values) for values in zip(*columns, strict=True))
    constants = partial(_focal, 1, 0.25, 2)
    return [
        Row("poly-1", bce, poly1, labels, tuple((e,) for e in epsilons)),
        Row("poly-1 focal", partial(_focal, epsilon, None, None), poly1, labels, columns, gamma),
        Row("poly-1 focal", constants, poly1, labels, ((1.0, 2.0, 0.25),)),
    ]
