"""A row of the comparison, and the labels, parameters and logits that rows share."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from exact import LOGITS, Terms

GAMMAS = (0.0, 0.5, 1.0, 2.0, 2.5, 4.0)
CLIPS = (0.0, float(np.float32(0.05)))
HARD = (False, True)
SOFT = tuple(float(np.float32(y)) for y in (0, 1, 0.9, 0.25, 1e-3))


def logits_at(probability: float) -> np.ndarray:
    """Returns the logit of a probability, and eight floats on either side of it."""
    centre = np.float32(np.log(probability) - np.log1p(-probability))
    return centre + np.arange(-8, 9, dtype=np.float32) * np.spacing(centre)


BOUNDARY = logits_at(CLIPS[1])


class Row(NamedTuple):
    """An element loss with parameters, and its reference.

    Attributes:
        name: a name for the report.
        loss: the unreduced loss of (x, y, detach, gamma), all of shape (points, columns) or
            broadcast to it by the loss; `gamma` is the field of this name.
        terms: the reference, a function of (x, y, *column).
        labels: HARD or SOFT.
        columns: the parameters of the reference, one tuple for each column of the arrays.
        gamma: a per-column parameter by which the loss is differentiated too, or None.
        bar: the largest error allowed, in ulp x (1 + condition number).
        points: the logits, or probabilities.
        detachable: whether the loss can hold its weight constant in the slope.
    """

    name: str
    loss: Callable[..., jax.Array]
    terms: Callable[..., Terms]
    labels: tuple[float, ...] | tuple[bool, ...]
    columns: tuple[tuple[float, ...], ...] = ((),)
    gamma: jax.Array | None = None
    bar: float = 8.0
    points: np.ndarray = LOGITS
    detachable: bool = False

    def __str__(self) -> str:
        parameters = (
            "arrays" if len(self.columns) > 1 else ",".join(f"{p:.3g}" for p in self.columns[0])
        )
        return f"{self.name}, {'hard' if self.labels == HARD else 'soft'}, [{parameters}]"


def plain(loss: Callable[..., jax.Array], x, y, detach, gamma, **kwargs) -> jax.Array:
    """Calls a loss that has neither a weight to hold constant nor a gamma in the row."""
    del detach, gamma
    return loss(x, y, reduction="none", **kwargs)
