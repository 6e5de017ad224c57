"""The coherence loss of a single label, which is cross-entropy."""

import functools

import numpy as np

import mllosses_jax as mll
from references.binary import cross_entropy
from references.row import HARD, Row, plain


def rows(labels: tuple) -> list[Row]:
    if labels != HARD:
        return []
    alone = functools.partial(
        plain, mll.hierarchical_coherence_loss, ancestors=np.ones((1, 1), dtype=bool)
    )
    return [Row("coherence", alone, cross_entropy, labels, bar=3)]
