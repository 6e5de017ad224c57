"""Times a grid of the MLP in `compare` beside the loop a user would write and the best loop.

Eight settings of the focal loss (two of gamma, two learning rates, two decays) train on five parts
of the embedded data each, without early stopping; after each round of steps a setting is judged on
the rows that its five models did not see. All see the same rows in the same order.

- "ours": what `mllosses compare` does, one compiled program for all.
- "user's loop": for each setting and part, a new jitted step with `optax.adamw` and the focal loss
  of optax, called batch by batch.
- "best loop": one compiled program for a round of steps of one model, `lax.scan` over batches on
  the device, with the settings as arguments; one model after another.

The loops share no code with ours but for the judgment. Seconds are the shortest of some runs, with
compilation ("cold") and without it ("warm"); CPU seconds are those of all cores. "of ours" is the
time over ours. The best score on validation rows and the mean over settings show that all train the
same models.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mllosses_jax import data
from mllosses_jax.compare import grids, steps_attempts, steps_training, validation
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.steps_training import Rates

Array = np.ndarray[Any, Any]
Params = list[Any]

GAMMAS, LEARNING_RATES, DECAYS = (1.5, 2.5), (0.003, 0.01), (0.3, 3.0)
SETTINGS = tuple(itertools.product(GAMMAS, LEARNING_RATES, DECAYS))
SEEDS = 5
WIDTH, BATCH = 128, 256


class Task(NamedTuple):
    """What is to be trained.

    Attributes:
        dataset: the standardised data set.
        parts: the rows that each model trains on, and those it is judged on.
        settings: the gammas, learning rates and decays.
        rounds: the number of rounds.
        batches: the rows of each round, step and part, (rounds, steps, parts, batch).
    """

    dataset: data.Dataset
    parts: list[Any]
    settings: tuple[tuple[float, float, float], ...]
    rounds: int
    batches: Array


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns a row for each way of training, cold and warm.

    Args:
        quick: whether to train two settings on few rows for two rounds.
    """
    task = _task(quick)
    ways: dict[str, Callable[[Task], Callable[[], list[float]]]] = {
        "ours": _ours,
        "user's loop": _users_loop,
        "best loop": _best_loop,
    }
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    scores = {}
    for _ in range(1 if quick else 2):
        for name, way in ways.items():
            jax.clear_caches()
            clock = _Clock()
            train = way(task)
            scores[name] = train()
            times.setdefault((name, "cold"), []).append(clock.read())
            if name != "user's loop":  # It compiles every step anew.
                clock = _Clock()
                train()
                times.setdefault((name, "warm"), []).append(clock.read())
    best = {key: tuple(map(min, zip(*of, strict=True))) for key, of in times.items()}
    return [
        {
            "by": name,
            "state": state,
            "s": seconds,
            "of ours": seconds / best["ours", state][0],
            "CPU s": cpu_seconds,
            "CPU of ours": cpu_seconds / best["ours", state][1],
            "score": max(scores[name]),
            "mean score": float(np.mean(scores[name])),
        }
        for (name, state), (seconds, cpu_seconds) in best.items()
    ]


class _Clock:
    """Reads the seconds, and the seconds of all cores, since it was made."""

    def __init__(self) -> None:
        self.begin = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.begin[0], time.process_time() - self.begin[1]


def report(rows: list[dict[str, Any]]) -> str:
    """Returns whether the goals are met."""
    of_ours = {(row["by"], row["state"]): row["of ours"] for row in rows}
    user, best = of_ours["user's loop", "cold"], of_ours["best loop", "warm"]
    return (
        f"With compilation, the user's loop takes {user:.2f} times as long as ours (goal: 2, "
        f"{'met' if user >= 2 else 'MISSED'}). Warm, the best loop takes {best:.2f} times as long "
        f"as ours (goal: 1, {'met' if best >= 1 else 'MISSED'})."
    )


def _task(quick: bool) -> Task:
    dataset = data.load("mosaics").standardized()
    if quick:
        dataset = data.Dataset(
            name="few",
            x_train=dataset.x_train[:300],
            y_train=dataset.y_train[:300],
            label_names=dataset.label_names,
        )
    settings, rounds = (SETTINGS[:: len(SETTINGS) - 1], 2) if quick else (SETTINGS, 12)
    experiment = _experiment(dataset)
    rows = [part.train for part in experiment.parts]
    of_rounds = steps_training.batches(
        rows, steps_attempts.TUNING, num_steps=experiment.steps, batch_size=experiment.batch_size
    )
    batches = np.stack([next(of_rounds) for _ in range(rounds)])
    return Task(dataset, experiment.parts, settings, rounds, batches)


def _bounds(dataset: data.Dataset) -> tuple[Any, ...]:
    gammas = "|".join(map(str, GAMMAS))
    return grids.bind_settings(parse(f"sigmoid_focal_loss(gamma={gammas})"), dataset)


def _experiment(dataset: data.Dataset) -> steps_attempts.Experiment:
    return steps_attempts.Experiment(dataset, _bounds(dataset)[0], SEEDS)


def _ours(task: Task) -> Callable[[], list[float]]:
    experiment = _experiment(task.dataset)
    bounds = dict(zip(GAMMAS, _bounds(task.dataset), strict=True))
    wanted = [Rates(rate, decay, bounds[gamma].parameters) for gamma, rate, decay in task.settings]

    def train() -> list[float]:
        with (
            mock.patch.object(steps_attempts, "ROUNDS", task.rounds),
            mock.patch.object(steps_attempts, "PATIENCE", task.rounds),
        ):
            found = experiment.attempts(wanted, lambda: None)
        return [attempt.score for attempt in found.attempts]

    return train


def _users_loop(task: Task) -> Callable[[], list[float]]:
    x, y = task.dataset.x_train, task.dataset.y_train.astype(np.float32)

    def of_model(setting: tuple[float, float, float], model: int) -> list[Array]:
        gamma, learning_rate, decay = setting
        optimizer = optax.adamw(learning_rate, eps=1e-15, weight_decay=decay, mask=_is_kernel)

        @jax.jit
        def step(
            params: Params, average: Params, state: Any, count: int, x: Array, y: Array
        ) -> tuple[Params, Params, Any]:
            gradient = jax.grad(_loss)(params, x, y, gamma)
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            average = optax.incremental_update(params, average, _share(count))
            return params, average, state

        params = average = _init(model, task)
        state = optimizer.init(params)
        outputs, count = [], 0
        for of_round in task.batches[:, :, model]:
            for rows in of_round:
                count += 1
                params, average, state = step(params, average, state, count, x[rows], y[rows])
            outputs.append(np.asarray(_forward(average, x[task.parts[model].validation])))
        return outputs

    def train() -> list[float]:
        return [
            _score([of_model(s, m) for m in range(len(task.parts))], task) for s in task.settings
        ]

    return train


def _best_loop(task: Task) -> Callable[[], list[float]]:
    x, y = jnp.asarray(task.dataset.x_train), jnp.asarray(task.dataset.y_train, jnp.float32)
    adam = optax.scale_by_adam(eps=1e-15)

    @jax.jit
    def of_round(carry: Any, rows: Array, gamma: Any, learning_rate: Any, decay: Any) -> Any:
        def step(carry: Any, rows: Array) -> tuple[Any, None]:
            params, average, state = carry
            gradient = jax.grad(_loss)(params, x[rows], y[rows], gamma)
            updates, state = adam.update(gradient, state)
            params = jax.tree.map(
                lambda value, update: (
                    value - learning_rate * (update + decay * value * (value.ndim == 2))
                ),
                params,
                updates,
            )
            average = optax.incremental_update(params, average, _share(state.count))
            return (params, average, state), None

        return jax.lax.scan(step, carry, rows)[0]

    forward = jax.jit(_forward)

    def of_model(setting: tuple[float, float, float], model: int) -> list[Array]:
        params = _init(model, task)
        carry, outputs = (params, params, adam.init(params)), []
        for rows in task.batches[:, :, model]:
            carry = of_round(carry, rows, *setting)
            outputs.append(np.asarray(forward(carry[1], x[task.parts[model].validation])))
        return outputs

    def train() -> list[float]:
        return [
            _score([of_model(s, m) for m in range(len(task.parts))], task) for s in task.settings
        ]

    return train


def _share(count: Any) -> Any:
    """Returns the weight of the newest parameters in their average."""
    return jnp.maximum(1 / count, 1 / steps_training.AVERAGED)


def _is_kernel(params: Params) -> Any:
    return jax.tree.map(lambda value: value.ndim == 2, params)


def _loss(params: Params, x: Any, y: Any, gamma: Any) -> jax.Array:
    return jnp.mean(optax.sigmoid_focal_loss(_forward(params, x), y, gamma=gamma))


def _forward(params: Params, x: Any) -> jax.Array:
    (first, first_bias), (second, second_bias) = params
    outputs: jax.Array = jax.nn.relu(x @ first + first_bias) @ second + second_bias
    return outputs


def _init(model: int, task: Task) -> Params:
    """Returns new parameters, with the log odds of the labels as output biases."""
    dataset = task.dataset
    share = dataset.y_train[task.parts[model].train].mean(0)
    first = jax.nn.initializers.he_normal()(
        jax.random.key(model), (dataset.x_train.shape[1], WIDTH)
    )
    return [
        (first, jnp.zeros(WIDTH)),
        (jnp.zeros((WIDTH, len(share))), jnp.asarray(np.log(share / (1 - share)), jnp.float32)),
    ]


def _score(outputs: list[list[Array]], task: Task) -> float:
    """Returns the score of the best round, of the outputs of each model and round."""
    rows = np.concatenate([part.validation for part in task.parts])
    return max(
        validation.quality(validation.Held(rows, np.concatenate(of_round)), task.dataset)
        for of_round in zip(*outputs, strict=True)
    )
