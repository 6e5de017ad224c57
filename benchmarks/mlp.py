"""Compares the MLP of `compare` with a plain optax loop of the same budget, on cross-entropy.

The loop shares no code with the package: it uses optax's AdamW at a constant learning rate, its own
batches, and validation on a fifth of the rows, drawn independently by each of five seeds. It trains
with each pair of a learning rate and a decay that ours tried, for as many steps as ours may take,
and is judged as often. It keeps the pair and the number of steps with the best mean validation mAP
over seeds (scikit-learn's), and is trained again on all rows. Metrics are means over the seeds'
models; CPU seconds include compilation. "bar" says whether our mAP is at least the loop's minus
0.005.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.metrics import average_precision_score, f1_score

from benchmarks import data_sets
from mllosses_jax import data
from mllosses_jax.compare import steps_attempts, steps_search
from mllosses_jax.compare.bound_loss import bind
from mllosses_jax.compare.settings import Settings

Array = np.ndarray[Any, Any]
Params = list[Any]
Step = Callable[[Params, Any, Array, Array, Array], tuple[Params, Any]]

SETS = ("emotions", "yeast", "scene", "tox21_smiles1024")
SEEDS = 5
WIDTH, BATCH = 128, 256
SLACK = 0.005


def run(quick: bool, sets: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Returns two rows for each set: ours and the loop.

    Args:
        quick: whether to take a tiny data set of random numbers.
        sets: the names of data sets; an empty sequence takes all of `SETS`.
    """
    rows: list[dict[str, Any]] = []
    for name, loaded in data_sets.named(sets or SETS, quick):
        dataset = loaded if quick else loaded.standardized()
        begin = time.process_time()
        ours = steps_search.run(
            dataset,
            (bind("sigmoid_binary_cross_entropy", dataset),),
            Settings(model="mlp", num_seeds=1 if quick else SEEDS),
            lambda: None,
        )
        ours_figures = _figures(ours.test_scores, dataset)
        row: dict[str, Any] = {"set": name, "by": "ours", **ours_figures}
        row |= {"CPU s": time.process_time() - begin, **ours.chosen}
        begin = time.process_time()
        scores, chosen = _loop(dataset, ours.tried, num_seeds=1 if quick else SEEDS)
        loop_figures = _figures(scores, dataset)
        loop: dict[str, Any] = {"set": name, "by": "loop", **loop_figures}
        loop |= {"CPU s": time.process_time() - begin, **chosen}
        row["bar"] = "met" if ours_figures["mAP"] >= loop_figures["mAP"] - SLACK else "missed"
        rows += [row, loop]
        print(row, loop, sep="\n", flush=True)
    return rows


def _figures(test_scores: Any, dataset: data.Dataset) -> dict[str, float]:
    y, mask = dataset.y_test, dataset.mask_test
    assert y is not None
    known = np.ones_like(y) if mask is None else mask
    f1 = [f1_score(y[known], scores[known] > 0) for scores in test_scores]
    precision = [_mean_average_precision(y, scores, known) for scores in test_scores]
    return {"mAP": float(np.mean(precision)), "micro-F1": float(np.mean(f1))}


def _mean_average_precision(y: Array, scores: Array, known: Array) -> float:
    """Returns the mean average precision over labels that have a positive."""
    of_labels = [
        average_precision_score(truth[k], s[k])
        for truth, s, k in zip(y.T, scores.T, known.T, strict=True)
        if truth[k].any()
    ]
    return float(np.mean(of_labels))


def _loop(
    dataset: data.Dataset, tried: dict[str, Array], num_seeds: int
) -> tuple[list[Array], dict[str, float]]:
    """Returns the test scores of each seed's model, and the chosen hyper-parameters."""
    x, y, mask = dataset.x_train, dataset.y_train.astype(np.float32), dataset.mask_train
    known = np.ones_like(y) if mask is None else mask.astype(np.float32)
    assert dataset.x_test is not None
    orders = [np.random.default_rng(seed).permutation(len(x)) for seed in range(num_seeds)]
    cut = len(x) // 5
    # Steps between judgments
    every = max(steps_attempts.STEPS, len(x) // (2 * min(BATCH, len(x) - cut)))
    best, chosen = -1.0, {"learning_rate": 0.0, "decay": 0.0, "steps": 0}
    step = _step(_optimizer(0.0, 0.0))
    for learning_rate, decay in zip(tried["learning_rate"], tried["decay"], strict=True):
        optimizer = _optimizer(learning_rate, decay)
        scores = np.zeros(steps_attempts.ROUNDS)
        for seed, order in enumerate(orders):
            held, rest = order[:cut], order[cut:]
            batches = _batches(rest, seed)
            params = _init(seed, x.shape[1], y.shape[1])
            state = optimizer.init(params)
            for count in range(steps_attempts.ROUNDS):
                for _ in range(every):
                    rows = next(batches)
                    params, state = step(params, state, x[rows], y[rows], known[rows])
                outputs = np.nan_to_num(np.asarray(_forward(params, x[held])))
                scores[count] += _mean_average_precision(y[held], outputs, known[held] > 0)
        scores /= num_seeds
        if scores.max() > best:
            best = scores.max()
            steps = every * (1 + int(np.argmax(scores)))
            chosen = {"learning_rate": float(learning_rate), "decay": float(decay), "steps": steps}
    optimizer = _optimizer(chosen["learning_rate"], chosen["decay"])
    results = []
    for seed in range(num_seeds):
        batches = _batches(np.arange(len(x)), seed)
        params = _init(seed, x.shape[1], y.shape[1])
        state = optimizer.init(params)
        for _ in range(int(chosen["steps"])):
            rows = next(batches)
            params, state = step(params, state, x[rows], y[rows], known[rows])
        results.append(np.asarray(_forward(params, dataset.x_test)))
    return results, chosen


def _optimizer(learning_rate: float, decay: float) -> Any:
    def is_kernel(params: Params) -> Any:
        return jax.tree.map(lambda value: value.ndim == 2, params)

    # Rates in the state are arguments of the step, so all pairs share one program.
    return optax.inject_hyperparams(optax.adamw, static_args="mask")(
        learning_rate=learning_rate, weight_decay=decay, mask=is_kernel
    )


def _step(optimizer: Any) -> Step:
    def loss(params: Params, x: Array, y: Array, known: Array) -> jax.Array:
        values = optax.sigmoid_binary_cross_entropy(_forward(params, x), y)
        return jnp.sum(known * values) / jnp.maximum(jnp.sum(known), 1)

    @jax.jit
    def step(params: Params, state: Any, x: Array, y: Array, known: Array) -> tuple[Params, Any]:
        updates, state = optimizer.update(jax.grad(loss)(params, x, y, known), state, params)
        return optax.apply_updates(params, updates), state

    return step


@jax.jit
def _forward(params: Params, x: Any) -> jax.Array:
    (first, first_bias), (second, second_bias) = params
    outputs: jax.Array = jax.nn.relu(x @ first + first_bias) @ second + second_bias
    return outputs


def _init(seed: int, num_features: int, num_labels: int) -> Params:
    first = jax.nn.initializers.he_normal()(jax.random.key(seed), (num_features, WIDTH))
    return [
        (first, jnp.zeros(WIDTH)),
        (jnp.zeros((WIDTH, num_labels)), jnp.zeros(num_labels)),
    ]


def _batches(rows: Array, seed: int) -> Iterator[Array]:
    generator = np.random.default_rng(100 + seed)
    size = min(BATCH, len(rows))
    while True:
        order = generator.permutation(rows)
        for start in range(0, len(rows) - size + 1, size):
            yield order[start : start + size]
