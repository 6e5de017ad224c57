"""Models trained in steps: the MLP, and the user's own.

Learning rate, decay and number of steps are validated, with one budget for every loss.

1. Parts of the training rows are held out for validation (`parts.draws`). The models of all parts
   train at once, each on the rows outside its part.
2. For each pair of a learning rate and a decay, training proceeds in rounds. After each round all
   parts are judged together; the best round is kept, and training ends some rounds after it.
3. Every loss gets the same number of pairs: a grid of three by three, then neighbours of the best
   pair, which move the edges of the grid or refine it.
4. The final models, one for each seed, train on all training rows for the best number of steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare import parts, validation
from mllosses_jax.compare.bound_loss import BoundLoss
from mllosses_jax.compare.heads import scores_of
from mllosses_jax.compare.mlp_training import State, Trainer, batches, mlp
from mllosses_jax.compare.network import Network, arrays_of
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.validation import Floats, Held
from mllosses_jax.data import Dataset

BATCH = 256
ROUNDS = 20  # the most rounds of one pair
STEPS = 25  # steps in a round, unless half a pass over the rows is more
PATIENCE = 3  # training ends after so many rounds without a better one

# Pairs lie on a lattice: learning rates 0.01 * 10^(i / 4), decays 3 * 10^(j / 4).
LEARNING_RATE, DECAY = 0.01, 3.0
PER_DECADE, STRIDE = 4, 2
FIRST = [(i, j) for i in (0, -STRIDE, STRIDE) for j in (0, -STRIDE, STRIDE)]
ATTEMPTS = len(FIRST) + 4
PASSES = ATTEMPTS + 1  # number of calls of on_pass

TUNING, FINAL = 0, 1  # streams of random numbers

Pair = tuple[int, int]


class Attempt(NamedTuple):
    """The result of training with one learning rate and decay.

    Attributes:
        score: the validation score of the best round.
        rounds: the number of rounds up to the best one.
        held: scores of the validation rows after that round.
    """

    score: float
    rounds: int
    held: Held


class Experiment:
    """The parts of a data set, and the training of their models with one loss."""

    def __init__(
        self,
        dataset: Dataset,
        bound_loss: BoundLoss,
        num_seeds: int,
        network: Network | None = None,
    ) -> None:
        self.dataset = dataset
        self.network = network or mlp(dataset.x_train.shape[1], bound_loss.num_outputs)
        self.trainer = Trainer(dataset, bound_loss, self.network)
        self.learns_threshold = bound_loss.learns_threshold
        self.parts = parts.draws(dataset, num_seeds)
        self.batch_size = min(BATCH, *(len(part.train) for part in self.parts))
        self.steps = max(STEPS, len(dataset.x_train) // (2 * self.batch_size))  # in a round
        self._rows = [part.train for part in self.parts]
        self._start = self.trainer.start(self._rows, TUNING)

    def attempt(self, learning_rate: float, decay: float) -> Attempt:
        """Trains the models of all parts until no round is better, and keeps the best round."""
        state, best = self._start, None
        rounds = self._rounds(self._rows, TUNING)
        for number in range(1, ROUNDS + 1):
            state = self.trainer.advance(state, next(rounds), learning_rate, decay)
            held = self._held(state)
            score = validation.quality(held, self.dataset)
            if best is None or score > best.score:
                best = Attempt(score, number, held)
            if number - best.rounds >= PATIENCE:
                break
        assert best is not None
        return best

    def final(self, learning_rate: float, decay: float, num_rounds: int, num_seeds: int) -> State:
        """Trains the models of all seeds on all training rows."""
        rows = [np.arange(len(self.dataset.x_train))] * num_seeds
        state = self.trainer.start(rows, FINAL)
        rounds = self._rounds(rows, FINAL)
        for _ in range(num_rounds):
            state = self.trainer.advance(state, next(rounds), learning_rate, decay)
        return state

    def logits(self, state: State, model: int, features: Floats) -> Floats:
        """Returns the scores of rows, without the outputs of extra heads."""
        outputs = self.network.outputs(state.model(model), features)
        return scores_of(outputs, self.dataset.y_train.shape[1], self.learns_threshold)

    def _held(self, state: State) -> Held:
        x, rests = self.dataset.x_train, [part.validation for part in self.parts]
        scores = [self.logits(state, model, x[rest]) for model, rest in enumerate(rests)]
        return Held(np.concatenate(rests), np.concatenate(scores))

    def _rounds(self, rows: list[parts.Rows], stream: int) -> Iterator[NDArray[np.int32]]:
        return batches(rows, stream, num_steps=self.steps, batch_size=self.batch_size)


def run(
    dataset: Dataset,
    bound_loss: BoundLoss,
    settings: Settings,
    on_pass: Callable[[], None],
    network: Network | None = None,
) -> Outcome:
    """Chooses the hyper-parameters of one loss, trains its final models, and scores the test part.

    Args:
        dataset: the standardised data set, with a test part.
        bound_loss: a loss with all that it needs.
        settings: the settings of the experiment.
        on_pass: called `PASSES` times: after each pair, and after the final training.
        network: the model; None for the MLP.
    """
    begin, cpu = time.perf_counter(), time.process_time()
    num_seeds = settings.num_seeds
    experiment = Experiment(dataset, bound_loss, num_seeds, network)
    tried: dict[Pair, Attempt] = {}
    while len(tried) < ATTEMPTS:
        pair = _next({pair: attempt.score for pair, attempt in tried.items()})
        tried[pair] = experiment.attempt(*_values(pair))
        on_pass()
    pair, best = max(tried.items(), key=lambda item: item[1].score)
    final = experiment.final(*_values(pair), best.rounds, num_seeds)
    assert dataset.x_test is not None
    test_scores = np.stack(
        [experiment.logits(final, model, dataset.x_test) for model in range(num_seeds)]
    )
    on_pass()
    learning_rates, decays = np.array([_values(pair) for pair in tried]).T
    values = {
        "learning_rate": learning_rates,
        "decay": decays,
        "steps": np.array([attempt.rounds * experiment.steps for attempt in tried.values()]),
    }
    place = list(tried).index(pair)
    edges = [name for name in ("learning_rate", "decay") if _is_extreme(values[name], place)]
    edges += ["steps"] if best.rounds == ROUNDS else []
    return Outcome(
        params=arrays_of(final.average, final.average_buffers),
        test_scores=test_scores,
        held=best.held,
        decisions=validation.decide(best.held, dataset, tune=not bound_loss.learns_threshold),
        chosen={name: float(each[place]) for name, each in values.items()},
        tried=values | {"score": np.array([attempt.score for attempt in tried.values()])},
        at_edge=tuple(edges),
        varies=True,
        residuals=np.full(num_seeds, np.nan),
        seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time() - cpu,
    )


def _values(pair: Pair) -> tuple[float, float]:
    """Returns the learning rate and the decay of a pair on the lattice."""
    factors = [10 ** (place / PER_DECADE) for place in pair]
    return LEARNING_RATE * factors[0], DECAY * factors[1]


def _next(scores: dict[Pair, float]) -> Pair:
    """Returns the pair to try next: first those of the grid, then far and near ones by the best."""
    for pair in FIRST:
        if pair not in scores:
            return pair
    i, j = max(scores, key=scores.__getitem__)
    return next(
        pair
        for step in (STRIDE, 1)
        for pair in ((i - step, j), (i + step, j), (i, j - step), (i, j + step))
        if pair not in scores
    )


def _is_extreme(values: np.ndarray, place: int) -> bool:
    return bool(values[place] in (values.min(), values.max()))
