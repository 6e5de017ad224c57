"""A loss with several settings of its parameters: each is trained alike, and validation chooses.

Each setting has the same search of its own as a loss without alternatives, on the same parts of the
training rows. Test rows play no part in the choice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from mllosses_jax.compare.choice import AnyChoice, Choice, Grid, Sum
from mllosses_jax.compare.outcome import Training

MIN_VALUES = 3  # with fewer, the best of them is always at an edge

_Trained = TypeVar("_Trained", bound=Training)


def settings_of(choice: AnyChoice) -> tuple[Choice | Sum, ...]:
    """Returns the settings of a loss, which is its only one unless it is a grid."""
    return choice.settings if isinstance(choice, Grid) else (choice,)


def train(
    choice: AnyChoice, bound_losses: Sequence[Any], run: Callable[[Any], _Trained]
) -> _Trained:
    """Trains a loss in each of its settings, and returns the outcome of the best.

    Args:
        choice: the loss.
        bound_losses: the loss of each setting with what it takes from the data.
        run: trains one of them.
    """
    outcomes = [run(bound) for bound in bound_losses]
    if not isinstance(choice, Grid):
        return outcomes[0]
    scores = np.array([outcome.quality for outcome in outcomes])
    best = outcomes[int(np.argmax(scores))]
    values = {name: np.asarray(of, np.float64) for name, of in choice.values.items()}
    edges = tuple(
        name
        for name, of in values.items()
        if len(np.unique(of)) >= MIN_VALUES and of[int(np.argmax(scores))] in (of.min(), of.max())
    )
    return dataclasses.replace(
        best,
        at_edge=(*best.at_edge, *edges),
        seconds=sum(outcome.seconds for outcome in outcomes),
        cpu_seconds=sum(outcome.cpu_seconds for outcome in outcomes),
        settings=values | {"score": scores},
    )
