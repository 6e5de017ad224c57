"""Binary cross-entropy and its relatives."""

from functools import partial
from typing import Any

import numpy as np
from exact import Jet, Terms, entropy, mp

import mllosses_jax as mll
from references.row import Row, plain

PROBABILITIES = np.concatenate(
    [
        [0, 1e-37, 1e-30, 1e-13, 1.2e-12, 1e-8, 1e-3],
        np.linspace(0.01, 0.99, 41),
        [1 - 1e-3, 1 - 2**-24, 1],
    ]
).astype(np.float32)


def cross_entropy(x: float, y: Any) -> Terms:
    return Terms(Jet(mp.one), entropy(x, y, 1 - y))


def weighted_cross_entropy(x: float, y: Any, positive: float, negative: float) -> Terms:
    return Terms(Jet(mp.one), entropy(x, positive * y, negative * (1 - y)))


def cross_entropy_of_probability(p: float, y: Any) -> Terms:
    p, smallest = mp.mpf(p), mp.mpf(float(np.float32(1e-12)))

    def term(inside, sign):
        value = -max(mp.log(inside), mp.mpf(-100)) if inside > 0 else mp.mpf(100)
        if inside < smallest:
            return Jet(value, -sign / smallest)
        return Jet(value, -sign / inside, 1 / inside**2)

    return Terms(Jet(mp.one), term(p, 1).times(y) + term(1 - p, -1).times(1 - y))


def rows(labels: tuple) -> list[Row]:
    bce = partial(plain, mll.sigmoid_binary_cross_entropy)
    weighted = partial(plain, mll.sigmoid_binary_cross_entropy, pos_weight=2.5)
    balanced = partial(plain, mll.balanced_binary_cross_entropy, alpha=0.25)
    bce_of_p = partial(plain, mll.binary_cross_entropy)
    return [
        Row("cross-entropy", bce, cross_entropy, labels, bar=3),
        Row("pos_weight", weighted, weighted_cross_entropy, labels, ((2.5, 1.0),)),
        Row("balanced", balanced, weighted_cross_entropy, labels, ((0.25, 0.75),)),
        Row("bce of p", bce_of_p, cross_entropy_of_probability, labels, points=PROBABILITIES),
    ]
