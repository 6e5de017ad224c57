"""Models trained in steps, which are the MLP and the user's own: a search, and the final models.

Learning rate, decay, number of steps and the setting of a loss are validated, with one budget for
every loss and for every setting.

1. An attempt trains with a learning rate, a decay and a setting of the loss, and finds the best
   number of steps on its way (`steps_attempts`).
2. Every setting gets the same number of attempts: a grid of three by three, then twice two
   neighbours of the best pair, which move the edges of the grid or refine it. Those that do not
   depend on each other are trained at once.
3. The final models of the best attempt, one for each seed, train on all training rows for the best
   number of steps.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax import Array

from mllosses_jax.compare import grids, steps_attempts, validation
from mllosses_jax.compare.bound_loss import BoundLoss
from mllosses_jax.compare.network import Network, arrays_of
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.steps_attempts import Attempt, Experiment
from mllosses_jax.compare.steps_training import Rates
from mllosses_jax.compare.validation import Held
from mllosses_jax.data import Dataset

# Pairs lie on a lattice: learning rates 0.01 * 10^(i / 4), decays 3 * 10^(j / 4).
LEARNING_RATE, DECAY = 0.01, 3.0
PER_DECADE, STRIDE = 4, 2
FIRST = [(i, j) for i in (0, -STRIDE, STRIDE) for j in (0, -STRIDE, STRIDE)]
THEN = (2, 2)  # how many neighbours of the best are chosen at once, after those
ATTEMPTS = len(FIRST) + sum(THEN)
PASSES = ATTEMPTS + 1  # number of calls of on_pass, in one setting

Pair = tuple[int, int]


class _Best(NamedTuple):
    """The best attempt so far: where and how it was made, and the scores of the rows held out."""

    experiment: Experiment
    setting: int
    pair: Pair
    attempt: Attempt
    held: Held


def run(
    dataset: Dataset,
    bound_losses: Sequence[BoundLoss],
    settings: Settings,
    on_pass: Callable[[], None],
    network: Network | None = None,
) -> Outcome:
    """Chooses the hyper-parameters of one loss, trains its final models, and scores the test part.

    Args:
        dataset: the standardised data set, with a test part.
        bound_losses: the loss in each of its settings, with all that it needs.
        settings: the settings of the experiment.
        on_pass: called after each attempt, of which a setting has `ATTEMPTS`, and after the final
            training.
        network: the model; None for the MLP.
    """
    begin, cpu = time.perf_counter(), time.process_time()
    num_seeds = settings.num_seeds
    tried, best = _search(dataset, bound_losses, num_seeds, on_pass, network)
    experiment, rates = best.experiment, _rates_of(best.pair, bound_losses[best.setting])
    final, losses = experiment.final(rates, best.attempt.rounds, num_seeds)
    assert dataset.x_test is not None
    test_scores = np.stack(
        [experiment.logits(final, model, dataset.x_test) for model in range(num_seeds)]
    )
    on_pass()
    of_setting = tried[best.setting]
    learning_rates, decays = np.array([_values(pair) for pair in of_setting]).T
    values = {
        "learning_rate": learning_rates,
        "decay": decays,
        "steps": np.array([attempt.rounds * experiment.steps for attempt in of_setting.values()]),
    }
    place = list(of_setting).index(best.pair)
    edges = [name for name in ("learning_rate", "decay") if _is_extreme(values[name], place)]
    edges += ["steps"] if best.attempt.rounds == steps_attempts.ROUNDS else []
    params = arrays_of(final.average, final.average_buffers)
    return Outcome(
        params={name: of_models[:num_seeds] for name, of_models in params.items()},
        test_scores=test_scores,
        held=best.held,
        decisions=validation.decide(best.held, dataset, tune=not experiment.learns_threshold),
        chosen={name: float(each[place]) for name, each in values.items()},
        tried=values | {"score": np.array([attempt.score for attempt in of_setting.values()])},
        at_edge=tuple(edges),
        varies=True,
        residuals=np.full(num_seeds, np.nan),
        settings=grids.scores_of(
            [max(attempt.score for attempt in attempts.values()) for attempts in tried]
        ),
        curves={
            "steps": experiment.steps * np.arange(1, len(best.attempt.scores) + 1),
            "training_loss": np.array(best.attempt.losses),
            "score": np.array(best.attempt.scores),
            "final_loss": np.array(losses),
        },
        seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time() - cpu,
    )


def _search(
    dataset: Dataset,
    bound_losses: Sequence[BoundLoss],
    num_seeds: int,
    on_pass: Callable[[], None],
    network: Network | None,
) -> tuple[list[dict[Pair, Attempt]], _Best]:
    """Returns the attempts in each setting, in the order in which they were wanted, and the best.

    Of several that are equally good, the best is the first one in the first setting.
    """
    tried: list[dict[Pair, Attempt]] = [{} for _ in bound_losses]
    best: _Best | None = None
    sharing: dict[Callable[..., Array], list[int]] = {}
    for setting, bound in enumerate(bound_losses):
        sharing.setdefault(bound.loss, []).append(setting)
    for settings in sharing.values():
        experiment = Experiment(dataset, bound_losses[settings[0]], num_seeds, network)
        for count in (len(FIRST), *THEN):
            wanted = [(s, pair) for s in settings for pair in _next(tried[s], count)]
            rates = [_rates_of(pair, bound_losses[s]) for s, pair in wanted]
            found = experiment.attempts(rates, on_pass)
            for (setting, pair), attempt in zip(wanted, found.attempts, strict=True):
                tried[setting][pair] = attempt
            setting, pair = wanted[found.best]
            attempt = found.attempts[found.best]
            if best is None or (attempt.score, -setting) > (best.attempt.score, -best.setting):
                best = _Best(experiment, setting, pair, attempt, found.held)
    assert best is not None
    return tried, best


def _rates_of(pair: Pair, bound_loss: BoundLoss) -> Rates:
    return Rates(*_values(pair), bound_loss.parameters)


def _values(pair: Pair) -> tuple[float, float]:
    """Returns the learning rate and the decay of a pair on the lattice."""
    factors = [10 ** (place / PER_DECADE) for place in pair]
    return LEARNING_RATE * factors[0], DECAY * factors[1]


def _next(tried: Mapping[Pair, Attempt], count: int) -> list[Pair]:
    """Returns the pairs to try next: those of the grid, or far and near neighbours of the best."""
    if not tried:
        return FIRST
    i, j = max(tried, key=lambda pair: tried[pair].score)
    neighbours = (
        pair
        for step in (STRIDE, 1)
        for pair in ((i - step, j), (i + step, j), (i, j - step), (i, j + step))
        if pair not in tried
    )
    return list(itertools.islice(neighbours, count))


def _is_extreme(values: np.ndarray, place: int) -> bool:
    return bool(values[place] in (values.min(), values.max()))
