"""A loss with several settings of its parameters: each is trained alike, and validation chooses.

Each setting has the same search of its own as a loss without alternatives, on the same parts of the
training rows. Test rows play no part in the choice. Numbers that differ between settings are
arguments of one compiled program, wherever a loss can be traced with them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax.compare.bound_loss import BoundLoss, bind
from mllosses_jax.compare.choice import AnyChoice, Choice, Grid, Sum
from mllosses_jax.compare.outcome import Training
from mllosses_jax.data import Dataset

MIN_VALUES = 3  # with fewer, the best of them is always at an edge

_Trained = TypeVar("_Trained", bound=Training)


def settings_of(choice: AnyChoice) -> tuple[Choice | Sum, ...]:
    """Returns the settings of a loss, which is its only one unless it is a grid."""
    return choice.settings if isinstance(choice, Grid) else (choice,)


def bind_settings(choice: AnyChoice, dataset: Dataset) -> tuple[BoundLoss, ...]:
    """Returns a loss in each of its settings, with what it takes from the data.

    Settings that differ in numbers have one function, with these numbers as arguments. A function
    of the user's own has its parameters as constants, since it may need numbers of Python; so has a
    loss that cannot be traced with them.

    Args:
        choice: the loss.
        dataset: the data set.

    Raises:
        ComparisonError: as for `bound_loss.bind`.
    """
    bounds = tuple(bind(setting, dataset) for setting in settings_of(choice))
    if not isinstance(choice, Grid):
        return bounds
    names = [_varied(choice, place) for place in range(len(choice.terms))]
    shared: dict[str, BoundLoss | None] = {}  # by the parameters that stay constants
    found = []
    for setting, bound in zip(choice.settings, bounds, strict=True):
        values = [dict(term.parameters) for _, term in setting.terms]
        each = list(zip(values, names, strict=True))
        constants = str([{p: v for p, v in of.items() if p not in n} for of, n in each])
        if constants not in shared:
            shared[constants] = _with_arguments(setting, dataset, names)
        common = shared[constants]
        if common is None:
            found.append(bound)
            continue
        arguments = tuple({p: np.float32(of[p]) for p in n} for of, n in each)  # type: ignore[arg-type]
        found.append(dataclasses.replace(common, parameters=arguments))
    return tuple(found)


def _varied(grid: Grid, place: int) -> list[str]:
    """Returns the parameters of a term that are numbers which differ between the settings."""
    terms = [setting.terms[place][1] for setting in grid.settings]
    if terms[0].function is not None:
        return []
    each = [dict(term.parameters) for term in terms]
    values = {name: [of[name] for of in each] for name in each[0]}
    return [
        name
        for name, of in values.items()
        if len(set(of)) > 1 and not any(isinstance(value, bool) for value in of)
    ]


def _with_arguments(
    setting: Choice | Sum, dataset: Dataset, names: Sequence[Sequence[str]]
) -> BoundLoss | None:
    """Returns a loss with these parameters as arguments, or None if it cannot be traced so."""
    if not any(names):
        return None
    bound = bind(setting, dataset, names)
    num_labels = dataset.y_train.shape[1]
    outputs = jax.ShapeDtypeStruct((2, bound.num_outputs), jnp.float32)
    labels = jax.ShapeDtypeStruct((2, num_labels), jnp.bool_)
    values = [dict.fromkeys(of, jax.ShapeDtypeStruct((), jnp.float32)) for of in names]
    try:
        jax.eval_shape(jax.grad(bound.loss), outputs, labels, *values)
    except (TypeError, ValueError):  # such as jax.errors.ConcretizationTypeError
        return None
    return bound


def train(
    choice: AnyChoice,
    bound_losses: Sequence[Any],
    run: Callable[[Sequence[Any]], _Trained],
) -> _Trained:
    """Trains a loss, and names the values of its settings in the outcome if there are several.

    Args:
        choice: the loss.
        bound_losses: the loss in each of its settings, with what it takes from the data.
        run: searches with each of them, and trains the final models of the best.
    """
    outcome = run(bound_losses)
    if not isinstance(choice, Grid) or not outcome.settings:
        return outcome
    best = int(np.argmax(outcome.settings["score"]))
    values = {name: np.asarray(of, np.float64) for name, of in choice.values.items()}
    edges = tuple(
        name
        for name, of in values.items()
        if len(np.unique(of)) >= MIN_VALUES and of[best] in (of.min(), of.max())
    )
    return dataclasses.replace(
        outcome, at_edge=(*outcome.at_edge, *edges), settings=values | outcome.settings
    )


def scores_of(scores: Sequence[float]) -> dict[str, np.ndarray]:
    """Returns the settings of an outcome, as far as training knows them: the score of each."""
    return {"score": np.array(scores)} if len(scores) > 1 else {}


def one_by_one(run: Callable[..., _Trained]) -> Callable[..., _Trained]:
    """Returns `run`, which trains with one loss, as a function of several that keeps the best."""

    def run_each(dataset: Dataset, bound_losses: Sequence[Any], **given: Any) -> _Trained:
        outcomes = [run(dataset, bound, **given) for bound in bound_losses]
        scores = [outcome.quality for outcome in outcomes]
        return dataclasses.replace(
            outcomes[int(np.argmax(scores))],
            seconds=sum(outcome.seconds for outcome in outcomes),
            cpu_seconds=sum(outcome.cpu_seconds for outcome in outcomes),
            settings=scores_of(scores),
        )

    return run_each
