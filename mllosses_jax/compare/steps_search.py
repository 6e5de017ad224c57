"""Models trained in steps, which are the MLP and the user's own: a search, and the final models.

Learning rate, decay, number of steps and the setting of a loss are validated, with one budget for
every loss and for every setting.

1. Parts of the training rows are held out for validation (`parts.draws`). An attempt is a setting
   of the loss with a learning rate and a decay; it trains a model for each part, on the rows
   outside of it.
2. Training proceeds in rounds. After each round the models of an attempt are judged together; the
   best round is kept, and the attempt ends some rounds after it.
3. Every setting gets the same number of attempts: a grid of three by three, then twice two
   neighbours of the best pair, which move the edges of the grid or refine it.
4. The final models of the best attempt, one for each seed, train on all training rows for the best
   number of steps.

Attempts that do not depend on each other are trained at once, in one compiled program, with at
least one on each device (`Experiment.places`). Where one ends early, the next begins in its place.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax.compare import grids, parts, validation
from mllosses_jax.compare.bound_loss import BoundLoss
from mllosses_jax.compare.mlp import mlp
from mllosses_jax.compare.network import Network, arrays_of
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.steps_training import Rates, State, Trainer, batches, renewed
from mllosses_jax.compare.validation import Floats, Held
from mllosses_jax.data import Dataset

BATCH = 256
ROUNDS = 20  # the most rounds of one attempt
STEPS = 25  # steps in a round, unless half a pass over the rows is more
PATIENCE = 3  # training ends after so many rounds without a better one

# Pairs lie on a lattice: learning rates 0.01 * 10^(i / 4), decays 3 * 10^(j / 4).
LEARNING_RATE, DECAY = 0.01, 3.0
PER_DECADE, STRIDE = 4, 2
FIRST = [(i, j) for i in (0, -STRIDE, STRIDE) for j in (0, -STRIDE, STRIDE)]
THEN = (2, 2)  # how many neighbours of the best are chosen at once, after those
ATTEMPTS = len(FIRST) + sum(THEN)
PASSES = ATTEMPTS + 1  # number of calls of on_pass, in one setting

TUNING, FINAL = 0, 1  # streams of random numbers

Pair = tuple[int, int]


class Attempt(NamedTuple):
    """The result of training in one setting with one learning rate and decay.

    Attributes:
        score: the validation score of the best round.
        rounds: the number of rounds up to the best one.
    """

    score: float
    rounds: int


class _Running:
    """An attempt that is being trained.

    Attributes:
        number: its place among the wanted ones.
        rates: its rates.
        rounds: the number of rounds so far.
        best: the result of its best round.
        held: the scores of the validation rows after that round.
    """

    best: Attempt
    held: Held

    def __init__(self, number: int, rates: Rates) -> None:
        self.number, self.rates, self.rounds = number, rates, 0

    def judge(self, held: Held, dataset: Dataset) -> bool:
        """Keeps a round if it is the best, and returns whether the attempt has ended."""
        self.rounds += 1
        score = validation.quality(held, dataset)
        if self.rounds == 1 or score > self.best.score:
            self.best, self.held = Attempt(score, self.rounds), held
        return self.rounds == ROUNDS or self.rounds - self.best.rounds >= PATIENCE


class Experiment:
    """The parts of a data set, and the training of their models with one loss.

    Args:
        dataset: the data set.
        bound_loss: the loss, in any of the settings that share its function.
        num_seeds: the number of seeds.
        network: the model; None for the MLP.
        devices: the devices that share the work; None for all of this process.
    """

    def __init__(
        self,
        dataset: Dataset,
        bound_loss: BoundLoss,
        num_seeds: int,
        network: Network | None = None,
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        devices = jax.local_devices() if devices is None else devices
        self.dataset = dataset
        self.network = network or mlp(dataset.x_train.shape[1], bound_loss.num_outputs)
        self.trainer = Trainer(dataset, bound_loss, self.network, devices)
        self.parts = parts.draws(dataset, num_seeds)
        self.batch_size = min(BATCH, *(len(part.train) for part in self.parts))
        self.steps = max(STEPS, len(dataset.x_train) // (2 * self.batch_size))  # in a round
        # Every device holds the same number of attempts, each with a model for every part.
        per_device = math.ceil(num_seeds / (len(self.parts) * len(devices)))
        self.places = len(devices) * per_device
        self._rounds: list[NDArray[np.int32]] = []  # the rows of each round of an attempt
        rows = [part.train for part in self.parts]
        self._next_round = self._batches(rows, TUNING)
        self._start = self.trainer.start(rows, TUNING, self.places * len(rows))
        self._held_rows = np.tile(self._blocks(), (1, self.places, 1))

    def attempts(self, wanted: Sequence[Rates]) -> Iterator[tuple[int, Attempt, Held]]:
        """Trains an attempt with each of the rates, as many at once as there are places.

        Yields:
            The place of an attempt among the wanted ones, its result, and the scores of the
            validation rows after its best round, in the order in which attempts end.
        """
        waiting = deque(_Running(number, rates) for number, rates in enumerate(wanted))
        running: dict[int, _Running] = {}
        state = self._start
        while waiting or running:
            begun = np.zeros(self.places, bool)
            for place in range(self.places):
                if place not in running and waiting:
                    running[place], begun[place] = waiting.popleft(), True
            if begun.any():
                state = self._with_begun(state, begun)
            state = self.trainer.advance(state, self._rows(running), self._rates(running))
            outputs = self.trainer.outputs(state, self._held_rows)
            for place, attempt in list(running.items()):
                if attempt.judge(self._held(outputs, place), self.dataset):
                    del running[place]
                    yield attempt.number, attempt.best, attempt.held

    def final(self, rates: Rates, num_rounds: int, num_seeds: int) -> State:
        """Trains the models of all seeds on all training rows; further models are copies."""
        rows = [np.arange(len(self.dataset.x_train))] * num_seeds
        size = self.places * len(self.parts)
        state, rounds = self.trainer.start(rows, FINAL, size), self._batches(rows, FINAL)
        every = jax.tree.map(lambda rate: np.full(size, rate, np.float32), rates)
        for _ in range(num_rounds):
            of_seeds = next(rounds)
            state = self.trainer.advance(state, of_seeds[:, np.arange(size) % num_seeds], every)
        return state

    def logits(self, state: State, model: int, features: Floats) -> Floats:
        """Returns the logits of rows, without the outputs of extra heads."""
        outputs = self.network.outputs(state.model(model), features)
        return outputs[:, : self.dataset.y_train.shape[1]]

    def _batches(self, rows: list[parts.Rows], stream: int) -> Iterator[NDArray[np.int32]]:
        return batches(rows, stream, num_steps=self.steps, batch_size=self.batch_size)

    def _blocks(self) -> NDArray[np.int32]:
        """Returns the validation rows of each part in blocks (blocks, P, batch), filled with 0."""
        rests = [part.validation for part in self.parts]
        count = math.ceil(max(map(len, rests)) / self.batch_size)
        rows = np.zeros((len(rests), count * self.batch_size), np.int32)
        for of_part, rest in zip(rows, rests, strict=True):
            of_part[: len(rest)] = rest
        return rows.reshape(len(rests), count, self.batch_size).swapaxes(0, 1)

    def _with_begun(self, state: State, begun: NDArray[np.bool_]) -> State:
        """Returns the state with new models in some places."""
        if begun.all():
            return self._start
        return renewed(state, self._start, np.repeat(begun, len(self.parts)))

    def _rows(self, running: Mapping[int, _Running]) -> NDArray[np.int32]:
        """Returns the rows of the next round in each place, (steps, M, batch)."""
        numbers = [running[p].rounds if p in running else 0 for p in range(self.places)]
        while len(self._rounds) <= max(numbers):
            self._rounds.append(next(self._next_round))
        return np.concatenate([self._rounds[number] for number in numbers], axis=1)

    def _rates(self, running: Mapping[int, _Running]) -> Rates:
        """Returns the rates of each model; where no attempt is running, they are those of one."""
        some = next(iter(running.values()))
        rates = [running.get(place, some).rates for place in range(self.places)]
        of_models: Rates = jax.tree.map(
            lambda *of_places: np.repeat(np.asarray(of_places, np.float32), len(self.parts)), *rates
        )
        return of_models

    def _held(self, outputs: Floats, place: int) -> Held:
        """Returns the scores of the validation rows by the models of a place."""
        rests, num_labels = [part.validation for part in self.parts], self.dataset.y_train.shape[1]
        first = place * len(rests)
        scores = [
            np.concatenate(outputs[:, first + number])[: len(rest), :num_labels]
            for number, rest in enumerate(rests)
        ]
        return Held(np.concatenate(rests), np.concatenate(scores))


class _Best(NamedTuple):
    """The best attempt so far. Of equal ones, the first of the first setting is the best."""

    rank: tuple[float, int, int]
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
    final = experiment.final(rates, best.attempt.rounds, num_seeds)
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
    edges += ["steps"] if best.attempt.rounds == ROUNDS else []
    params = arrays_of(final.average, final.average_buffers)
    return Outcome(
        params={name: of_models[:num_seeds] for name, of_models in params.items()},
        test_scores=test_scores,
        held=best.held,
        decisions=validation.decide(best.held, dataset),
        chosen={name: float(each[place]) for name, each in values.items()},
        tried=values | {"score": np.array([attempt.score for attempt in of_setting.values()])},
        at_edge=tuple(edges),
        varies=True,
        residuals=np.full(num_seeds, np.nan),
        settings=grids.scores_of(
            [max(attempt.score for attempt in attempts.values()) for attempts in tried]
        ),
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
    """Returns the attempts in each setting, in the order in which they were wanted, and the best."""
    tried: list[dict[Pair, Attempt]] = [{} for _ in bound_losses]
    best: _Best | None = None
    sharing: dict[Callable[..., Array], list[int]] = {}
    for setting, bound in enumerate(bound_losses):
        sharing.setdefault(bound.loss, []).append(setting)
    for settings in sharing.values():
        experiment = Experiment(dataset, bound_losses[settings[0]], num_seeds, network)
        for count in (len(FIRST), *THEN):
            before = len(tried[settings[0]])
            wanted = [(s, pair) for s in settings for pair in _next(tried[s], count)]
            ended = {}
            rates = [_rates_of(pair, bound_losses[s]) for s, pair in wanted]
            for number, attempt, held in experiment.attempts(rates):
                setting, pair = wanted[number]
                rank = (attempt.score, -setting, -(before + number % count))
                if best is None or rank > best.rank:
                    best = _Best(rank, experiment, setting, pair, attempt, held)
                ended[number] = attempt
                on_pass()
            for number, (setting, pair) in enumerate(wanted):
                tried[setting][pair] = ended[number]
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
