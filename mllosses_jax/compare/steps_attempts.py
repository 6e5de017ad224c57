"""Attempts: trainings of the models of all parts, judged together after each round.

An attempt trains a model for each part of the training rows that is held out for validation, on the
rows outside of it, with one learning rate, one decay and one setting of the loss. The best round is
kept, and the attempt ends some rounds after it.

Several attempts are trained at once, by one compiled program: in places of the program, of which
each device has as many, and on a single CPU in threads, one for each core, because there a wider
program is no faster and leaves cores idle. Where an attempt ends early, the next one begins.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare import parts, validation
from mllosses_jax.compare.bound_loss import BoundLoss
from mllosses_jax.compare.heads import scores_of
from mllosses_jax.compare.mlp import mlp
from mllosses_jax.compare.network import Network
from mllosses_jax.compare.steps_training import Rates, State, Trainer, batches, renewed
from mllosses_jax.compare.validation import Floats, Held
from mllosses_jax.data import Dataset

BATCH = 256
ROUNDS = 20  # the most rounds of one attempt
STEPS = 25  # steps in a round, unless half a pass over the rows is more
PATIENCE = 3  # training ends after so many rounds without a better one

# How many attempts a device trains at once: as many as these bytes hold, but no more than two
# settings of a loss want at once.
AT_ONCE, MOST = 2**30, 18

TUNING, FINAL = 0, 1  # streams of random numbers


class Attempt(NamedTuple):
    """The result of training in one setting with one learning rate and decay.

    Attributes:
        score: the validation score of the best round.
        rounds: the number of rounds up to the best one.
        losses: the mean training loss of each round, also of those after the best one.
        scores: the validation score after each round.
    """

    score: float
    rounds: int
    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()


class Found(NamedTuple):
    """The results of several attempts.

    Attributes:
        attempts: the result of each.
        best: the place of the best, which is the first if several are equally good.
        held: the scores of the validation rows after its best round.
    """

    attempts: list[Attempt]
    best: int
    held: Held


class _Running:
    """An attempt that is being trained.

    Attributes:
        number: its place among the wanted ones.
        rates: its rates.
        rounds: the number of rounds so far.
        best: the result so far.
        held: the scores of the validation rows after the best round.
    """

    held: Held

    def __init__(self, number: int, rates: Rates) -> None:
        self.number, self.rates, self.rounds = number, rates, 0
        self.best = Attempt(-math.inf, 0)

    def judge(self, held: Held, loss: float, dataset: Dataset) -> bool:
        """Keeps a round if it is the best, and returns whether the attempt has ended."""
        self.rounds += 1
        score, before = validation.quality(held, dataset), self.best
        curves = (*before.losses, loss), (*before.scores, score)
        if self.rounds == 1 or score > before.score:
            self.best, self.held = Attempt(score, self.rounds, *curves), held
        else:
            self.best = Attempt(before.score, before.rounds, *curves)
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
        self.learns_threshold = bound_loss.learns_threshold
        self.trainer = Trainer(dataset, bound_loss, self.network, devices)
        self.parts = parts.draws(dataset, num_seeds)
        self.batch_size = min(BATCH, *(len(part.train) for part in self.parts))
        self.steps = max(STEPS, len(dataset.x_train) // (2 * self.batch_size))  # in a round
        self._rounds: list[NDArray[np.int32]] = []  # the rows of each round of an attempt
        rows = [part.train for part in self.parts]
        self._next_round = self._batches(rows, TUNING)
        self._lock, self._stopped = threading.Lock(), False
        self.threads, per_device = _at_once(len(self.parts) * self.network.num_bytes(), devices)
        # A program that trains all seeds at once serves the final models, too.
        per_device = max(per_device, math.ceil(num_seeds / (len(self.parts) * len(devices))))
        self.places = len(devices) * per_device
        self._start = self.trainer.start(rows, TUNING, self.places * len(rows))
        self._held_rows = np.tile(self._blocks(), (1, self.places, 1))

    def attempts(self, wanted: Sequence[Rates], on_end: Callable[[], None]) -> Found:
        """Trains an attempt with each of the rates.

        Args:
            wanted: the rates.
            on_end: called after each attempt.
        """
        waiting = deque(_Running(number, rates) for number, rates in enumerate(wanted))
        ended: dict[int, Attempt] = {}
        best: _Running | None = None

        def end(attempt: _Running) -> None:
            nonlocal best
            ended[attempt.number] = attempt.best
            rank = (attempt.best.score, -attempt.number)
            if best is None or rank > (best.best.score, -best.number):
                best = attempt
            on_end()

        threads = min(self.threads, len(wanted))
        if threads == 1:  # What the caller has set of JAX for this thread holds.
            self._train(waiting, end)
        else:
            with ThreadPoolExecutor(threads) as pool:
                try:
                    list(pool.map(lambda _: self._train(waiting, end), range(threads)))
                except BaseException:  # including an interruption, which threads do not see
                    self._stopped = True
                    raise
        assert best is not None
        return Found([ended[number] for number in range(len(wanted))], best.number, best.held)

    def _train(self, waiting: deque[_Running], end: Callable[[_Running], None]) -> None:
        """Trains attempts that wait, as many at once as there are places, until none is left."""
        running: dict[int, _Running] = {}
        state = self._start
        while not self._stopped:
            begun = np.zeros(self.places, bool)
            with self._lock:
                for place in range(self.places):
                    if place not in running and waiting:
                        running[place], begun[place] = waiting.popleft(), True
                if not running:
                    return
                rows = self._rows(running)
            if begun.any():
                state = self._with_begun(state, begun)
            state = self.trainer.advance(state, rows, self._rates(running))
            outputs = self.trainer.outputs(state, self._held_rows)
            losses = np.asarray(state.loss).reshape(self.places, -1).mean(1).tolist()
            for place, attempt in list(running.items()):
                if attempt.judge(self._held(outputs, place), losses[place], self.dataset):
                    del running[place]
                    with self._lock:
                        end(attempt)

    def final(self, rates: Rates, num_rounds: int, num_seeds: int) -> tuple[State, list[float]]:
        """Trains the models of all seeds on all training rows; further models are copies.

        Returns:
            The models, and the mean training loss of each round.
        """
        rows = [np.arange(len(self.dataset.x_train))] * num_seeds
        size = self.places * len(self.parts)
        state, rounds = self.trainer.start(rows, FINAL, size), self._batches(rows, FINAL)
        every = jax.tree.map(lambda rate: np.full(size, rate, np.float32), rates)
        losses = []
        for _ in range(num_rounds):
            of_seeds = next(rounds)
            state = self.trainer.advance(state, of_seeds[:, np.arange(size) % num_seeds], every)
            losses.append(float(np.mean(state.loss[:num_seeds])))
        return state, losses

    def logits(self, state: State, model: int, features: Floats) -> Floats:
        """Returns the scores of rows, without the outputs of extra heads."""
        outputs = self.network.outputs(state.model(model), features)
        return self._scores(outputs)

    def _scores(self, outputs: Floats) -> Floats:
        return scores_of(outputs, self.dataset.y_train.shape[1], self.learns_threshold)

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
        changed: State = renewed(state, self._start, np.repeat(begun, len(self.parts)))
        return changed

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
        rests = [part.validation for part in self.parts]
        first = place * len(rests)
        scores = [
            self._scores(np.concatenate(outputs[:, first + number])[: len(rest)])
            for number, rest in enumerate(rests)
        ]
        return Held(np.concatenate(rests), np.concatenate(scores))


def _at_once(num_bytes: int, devices: Sequence[jax.Device]) -> tuple[int, int]:
    """Returns how many threads train attempts, and how many places a device has for them.

    Args:
        num_bytes: what the models of an attempt take, with their averages and the state of Adam.
        devices: the devices, all of one kind.
    """
    most = max(AT_ONCE // num_bytes, 1)
    if devices[0].platform != "cpu":
        return 1, min(most, MOST)
    return (min(most, os.cpu_count() or 1), 1) if len(devices) == 1 else (1, 1)
