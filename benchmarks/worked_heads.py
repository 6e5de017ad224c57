"""Trains linear heads to the end and judges what they predict.

On delicious (`../shared/data/delicious.npz`: 983 labels, words as features), a head that updates
itself stands beside PyTorch: `nn.Linear`, `BCEWithLogitsLoss` and `SGD` with the same start,
batches, momentum and learning rates, and with precisions of its own. The other set, of a million
labels, is made on the fly by `recipes/huge_label_set.py`, which trains an encoder too. What always
predicting the most frequent labels gives shows what a precision is worth.

Each training has a process of its own; losses are those of the first step and the mean of the last
ten, seconds include compilation and predictions, and the peak is that of the whole process.
"""

import functools
import importlib.util
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import mllosses_jax as mll
from benchmarks import bars
from benchmarks.alone import ROOT, alone, peak_gib
from benchmarks.bars import Bar
from mllosses_jax import data, heads

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

DELICIOUS = ROOT.parent / "shared" / "data" / "delicious.npz"
HUGE_LABEL_SET = ROOT / "recipes" / "huge_label_set.py"
TINY = "tiny"  # the data set of the quick run
BATCH, EPOCHS = 128, 20
LEARNING_RATE, MOMENTUM, FIRST_BIAS = 2.0, 0.9, -4.0
CHUNK = 256  # labels: several chunks, of which the last is smaller
LABELS, STEPS = 1_000_000, 100
KS = (1, 3, 5)
OURS, PEER, RECIPE, FREQUENT = "ours", "PyTorch", "recipe", "the most frequent labels"

# The bars: precision at 1 on delicious, and how far PyTorch's precisions may be from ours.
LEAST_PRECISION, MOST_APART = 0.64, 0.005


def run(quick: bool) -> list[Row]:
    """Returns a row for each training and for always predicting the same labels.

    Args:
        quick: whether to take a tiny set instead of delicious, fewer labels and fewer steps.
    """
    rows = []
    if quick or DELICIOUS.is_file():
        rows += _on_delicious(TINY if quick else DELICIOUS, 10 if quick else EPOCHS)
    else:
        print(f"delicious is left out: there is no {DELICIOUS}", flush=True)
    rows += _made_on_the_fly(*((2000, 40) if quick else (LABELS, STEPS)))
    return rows


def report(rows: Sequence[Row]) -> str:
    """Returns which bars are met and which are missed."""
    return bars.report(bars_of(rows))


def bars_of(rows: Sequence[Row]) -> list[Bar]:
    """Returns the bars that the figures of a run have."""
    found = []
    by = {(row["set"], row["by"]): row for row in rows}
    for (name, model), row in by.items():
        if "last loss" in row:
            what = f"last loss, {name}, {model}"
            found.append(Bar(what, row["last loss"], row["first loss"]))
        if model == OURS and name == "delicious":
            found.append(Bar(f"P@1, {name}", row["P@1"], LEAST_PRECISION, at_least=True))
        if model == PEER:
            apart = [abs(row[f"P@{k}"] - by[name, OURS][f"P@{k}"]) for k in KS]
            found.append(Bar(f"precisions apart from PyTorch's, {name}", max(apart), MOST_APART))
        if model == RECIPE:
            what = f"P@1, {name}, beside that of {FREQUENT}"
            found.append(Bar(what, row["P@1"], by[name, FREQUENT]["P@1"], at_least=True))
    return found


class Task(NamedTuple):
    """What both models are trained on and judged by.

    Attributes:
        name: of the data set.
        x: features (N, D), rows of norm 1.
        y: labels (N, L).
        x_test: features (M, D), rows of norm 1.
        y_test: labels (M, L).
    """

    name: str
    x: Array
    y: Array
    x_test: Array
    y_test: Array


def _on_delicious(path: Path | str, epochs: int) -> list[Row]:
    task = _read(path)
    rows = [alone("benchmarks.worked_heads", OURS, path, epochs)]
    if importlib.util.find_spec("torch") is not None:
        rows.append(alone("benchmarks.worked_heads", PEER, path, epochs))
    frequent = np.argsort(-task.y.sum(0), kind="stable")[: max(KS)]
    hits = task.y_test[:, frequent]
    rows.append({"by": FREQUENT} | {f"P@{k}": float(hits[:, :k].mean()) for k in KS})
    return [{"set": task.name, "labels": task.y.shape[1]} | row for row in rows]


def _made_on_the_fly(num_labels: int, steps: int) -> list[Row]:
    row = alone("benchmarks.worked_heads", RECIPE, num_labels, steps)
    batches = itertools.islice(_recipe().batches(num_labels, seed=1), 8)  # those of the recipe
    positives = np.concatenate([np.asarray(ids) for _, ids in batches])
    always = np.broadcast_to(np.arange(max(KS)), (len(positives), max(KS)))
    rows = [row, {"by": FREQUENT} | _precisions(always, positives)]
    return [{"set": "made on the fly", "labels": num_labels} | row for row in rows]


def _read(path: Path | str) -> Task:
    if path == TINY:
        generator = np.random.default_rng(0)
        x = _of_norm_1(generator.normal(size=(600, 16)))
        y = x @ generator.normal(size=(16, 300)) > 2
        return Task(TINY, x[:400], y[:400], x[400:], y[400:])
    dataset = data.load(path)
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    x, x_test = _of_norm_1(dataset.x_train), _of_norm_1(dataset.x_test)
    return Task(dataset.name, x, dataset.y_train, x_test, dataset.y_test)


def _of_norm_1(x: Array) -> Array:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1), np.float32)


def _batches(num_rows: int, epochs: int) -> list[Array]:
    """Returns the rows of each batch; what does not fill a batch is left out of an epoch."""
    generator = np.random.default_rng(0)
    orders = [generator.permutation(num_rows) for _ in range(epochs)]
    starts = range(0, num_rows - BATCH + 1, BATCH)
    return [order[start : start + BATCH] for order in orders for start in starts]


def _ours(task: Task, batches: Sequence[Array]) -> Row:
    num_labels, num_features = task.y.shape[1], task.x.shape[1]
    head = heads.init_linear_head(jax.random.key(0), num_labels, num_features, momentum=True)
    head = head._replace(
        kernel=jnp.zeros((num_labels, num_features)), bias=jnp.full(num_labels, FIRST_BIAS)
    )
    positives = heads.positives_from_dense(task.y)
    losses = []
    for number, rows in enumerate(batches):
        head, loss, _ = heads.linear_head_sgd_step(
            head,
            task.x[rows],
            positives[rows],
            learning_rate=LEARNING_RATE * (1 - number / len(batches)),
            momentum=MOMENTUM,
            loss=mll.sigmoid_binary_cross_entropy,
            chunk_size=CHUNK,
        )
        losses.append(float(loss))
    top = heads.linear_head_top_k(
        task.x_test, head.kernel, max(KS), bias=head.bias, chunk_size=CHUNK
    )
    return _losses(losses) | _precisions(top.ids, heads.positives_from_dense(task.y_test))


def _by_torch(train: Callable[..., Any], task: Task, batches: Sequence[Array]) -> Row:
    rates = {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "first_bias": FIRST_BIAS}
    losses, ids = train(task.x, task.y, task.x_test, batches, k=max(KS), **rates)
    hits = np.take_along_axis(task.y_test, ids, axis=1)
    return _losses(losses) | {f"P@{k}": float(hits[:, :k].mean()) for k in KS}


def _by_recipe(main: Callable[..., Row], num_labels: int, steps: int) -> Row:
    found = main(num_labels, steps)
    del found["GiB"]  # the peak of the whole process is measured here
    return {"steps": steps} | found


def _recipe() -> Any:
    specification = importlib.util.spec_from_file_location("huge_label_set", HUGE_LABEL_SET)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _losses(losses: Sequence[float]) -> Row:
    return {
        "steps": len(losses),
        "first loss": losses[0],
        "last loss": float(np.mean(losses[-10:])),
    }


def _precisions(ids: Any, positives: Any) -> Row:
    return {f"P@{k}": float(heads.precision_at_k(ids[:, :k], positives)) for k in KS}


def _alone(by: str, *arguments: str) -> Row:
    """Returns the row of a training in this process; imports and files are not timed."""
    if by == RECIPE:
        train = functools.partial(_by_recipe, _recipe().main, *map(int, arguments))
    else:
        task = _read(arguments[0])
        of_task = task, _batches(len(task.x), int(arguments[1]))
        if by == PEER:
            from benchmarks import worked_heads_torch

            train = functools.partial(_by_torch, worked_heads_torch.train, *of_task)
        else:
            train = functools.partial(_ours, *of_task)
    start = time.perf_counter()
    row = train()
    return {"by": by} | row | {"s": time.perf_counter() - start, "peak, GiB": peak_gib()}


if __name__ == "__main__":
    print(json.dumps(_alone(*sys.argv[1:])))
