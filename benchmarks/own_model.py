"""Compares a user's NNX model, trained by `compare`, with an ordinary loop around the same model.

The loop shares no code with the package: `nnx.Optimizer` with optax's AdamW over shuffled batches,
binary cross-entropy of optax, and the learning rate, decay and number of steps that `compare`
chose, for as many seeds on the same training rows. It has neither the average of the parameters
nor the start of the output bias that `compare` adds. "bar" says whether our mean test mAP, which
scikit-learn computes, is at least the loop's minus 0.01.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from sklearn.metrics import average_precision_score

from benchmarks import data_sets
from mllosses_jax import data
from mllosses_jax.compare import compare

Array = np.ndarray[Any, Any]

SETS = ("emotions", "scene", "yeast")
LOSS = "sigmoid_binary_cross_entropy"
SEEDS, BATCH = 5, 256
SLACK = 0.01


class Net(nnx.Module):
    """Two hidden layers with dropout, written without a thought of this package."""

    def __init__(self, num_features: int, num_outputs: int, rngs: nnx.Rngs) -> None:
        self.first = nnx.Linear(num_features, 128, rngs=rngs)
        self.second = nnx.Linear(128, 64, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(64, num_outputs, rngs=rngs)

    def __call__(self, x: Any) -> jax.Array:
        """Returns the logits (N, L)."""
        x = nnx.relu(self.first(x))
        x = self.dropout(nnx.relu(self.second(x)))
        logits: jax.Array = self.output(x)
        return logits


def run(quick: bool, sets: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Returns two rows for each set: ours and the loop.

    Args:
        quick: whether to take a tiny data set of random numbers.
        sets: the names of data sets; an empty sequence takes all of `SETS`.
    """
    rows: list[dict[str, Any]] = []
    for name, dataset in data_sets.named(sets or SETS, quick):
        begin, num_seeds = time.process_time(), 1 if quick else SEEDS
        comparison = compare(dataset, losses=LOSS, model=Net, num_seeds=num_seeds)
        outcome: Any = comparison.outcomes[LOSS]
        chosen, used = outcome.chosen, comparison.dataset
        ours = _mean_average_precision(used.y_test, outcome.test_scores)
        row = {"set": name, "by": "ours", "mAP": ours, "CPU s": time.process_time() - begin}
        begin = time.process_time()
        scores = [_loop(used, chosen, seed) for seed in range(num_seeds)]
        loop = _mean_average_precision(used.y_test, scores)
        other = {"set": name, "by": "loop", "mAP": loop, "CPU s": time.process_time() - begin}
        row |= chosen | {"bar": "met" if ours >= loop - SLACK else "missed"}
        rows += [row, other]
        print(row, other, sep="\n", flush=True)
    return rows


def _mean_average_precision(truth: Any, test_scores: Any) -> float:
    """Returns the mean average precision over labels that have a positive, and over models."""
    present = truth.any(0)
    found = [average_precision_score(truth[:, present], s[:, present]) for s in test_scores]
    return float(np.mean(found))


def _loop(dataset: data.Dataset, chosen: dict[str, float], seed: int) -> Array:
    """Returns the test scores (N, L) of a model that is trained in the ordinary way."""
    x, y = dataset.x_train, dataset.y_train.astype(np.float32)
    model = Net(x.shape[1], y.shape[1], nnx.Rngs(seed))
    adamw = optax.adamw(chosen["learning_rate"], weight_decay=chosen["decay"])
    optimizer = nnx.Optimizer(model, adamw, wrt=nnx.Param)

    @nnx.jit
    def step(model: Net, optimizer: Any, x: Any, y: Any) -> None:
        def loss(model: Net) -> jax.Array:
            mean: jax.Array = optax.sigmoid_binary_cross_entropy(model(x), y).mean()
            return mean

        optimizer.update(model, nnx.grad(loss)(model))

    generator, order = np.random.default_rng(seed), np.empty(0, int)
    size = min(BATCH, len(x))
    for _ in range(int(chosen["steps"])):
        if len(order) < size:
            order = generator.permutation(len(x))
        rows, order = order[:size], order[size:]
        step(model, optimizer, x[rows], y[rows])
    model.eval()
    assert dataset.x_test is not None
    scores: Array = np.asarray(model(dataset.x_test))
    return scores
