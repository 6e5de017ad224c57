"""Compares the linear model that `compare` trains through a head with that of all scores.

Both minimise the same objective: the head by stochastic gradient descent, as for more than 2,000
labels, the other one by L-BFGS. On delicious (`../shared/data/delicious.npz`, 983 labels) each
chooses the strength of its penalty by its own rule; a third row trains the head at the strength
that the other one has chosen. Metrics are those of the test part, from the five labels with the
highest scores, counted here. "apart" is the largest difference of a metric to that of all scores,
and "residual" how far from convergence the fit ended, by the model's own check.

`python -m benchmarks linear_head zlpr_loss` takes another loss.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import bars
from benchmarks.bars import Bar
from benchmarks.worked_heads import DELICIOUS
from mllosses_jax import data
from mllosses_jax.compare import linear
from mllosses_jax.compare.bound_loss import bind, bind_to_head
from mllosses_jax.compare.choice import BASELINE
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.large import linear as large_linear
from mllosses_jax.compare.large.training import GAP, ROUNDS, Fitter, make_data
from mllosses_jax.compare.settings import Settings

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

LOSSES = (BASELINE, "asymmetric_loss")
ALL_SCORES, HEAD, SAME_STRENGTH = "all scores", "head", "head, same strength"
SIZES = (1, 3, 5)
MOST_APART = 0.005


def run(quick: bool, losses: Sequence[str] = ()) -> list[Row]:
    """Returns three rows for each loss.

    Args:
        quick: whether to take a tiny data set of random numbers.
        losses: the names of losses; an empty sequence takes all of `LOSSES`.
    """
    if not quick and not DELICIOUS.is_file():
        print(f"delicious is left out: there is no {DELICIOUS}", flush=True)
        return []
    dataset = _tiny() if quick else data.load(DELICIOUS).standardized()
    rows: list[Row] = []
    for loss in losses or (LOSSES[:1] if quick else LOSSES):
        for row in _rows(loss, dataset):
            print(row, flush=True)
            rows.append(row)
    return rows


def report(rows: Sequence[Row]) -> str:
    """Returns which differences are small enough."""
    return bars.report(bars_of(rows))


def bars_of(rows: Sequence[Row]) -> list[Bar]:
    """Returns the bars that the figures of a run have."""
    return [
        Bar(f"{row['loss']}, {row['by']}: metrics apart", row["apart"], MOST_APART)
        for row in rows
        if "apart" in row
    ]


def _rows(loss: str, dataset: data.Dataset) -> list[Row]:
    settings, head_loss = Settings(num_seeds=1), bind_to_head(loss, dataset)
    every, num_labels = np.arange(len(dataset.x_train)), dataset.y_train.shape[1]

    def of_all_scores() -> tuple[Array, float, float]:
        found = linear.run(dataset, (bind(loss, dataset),), settings, lambda: None)
        ids = np.argsort(-found.test_scores[0], axis=1, kind="stable")[:, : max(SIZES)]
        return ids, found.chosen["strength"], found.residuals[0]

    def of_head() -> tuple[Array, float, float]:
        found = large_linear.run(dataset, head_loss, settings, lambda: None)
        return found.test[0].ids, found.chosen["strength"], found.residuals[0]

    def at_same_strength() -> tuple[Array, float, float]:
        fitter = Fitter(dataset, head_loss)
        found = fitter.fit(every, same, tolerance=GAP, rounds=len(ROUNDS), seed=1)
        assert dataset.x_test is not None
        assert dataset.y_test is not None
        test = make_data(dataset.x_test, dataset.y_test, dataset.mask_test)
        return fitter.ranked(found.state, test, max(SIZES)).ids, same, found.residual

    rows = [_timed(of_all_scores, dataset)]
    # A head adds up what has one value per label, of which the other model takes the mean.
    is_mean = parse(loss).terms[0][1].entry.kind == "element"
    same = rows[0]["strength"] * (num_labels if is_mean else 1)
    rows += [_timed(of_head, dataset), _timed(at_same_strength, dataset)]
    for row, by in zip(rows, (ALL_SCORES, HEAD, SAME_STRENGTH), strict=True):
        row |= {"loss": loss, "by": by}
    metrics = [key for key in rows[0] if "@" in key]
    for row in rows[1:]:
        row["apart"] = max(abs(row[key] - rows[0][key]) for key in metrics)
    return [{"loss": row["loss"], "by": row["by"]} | row for row in rows]


def _timed(train: Callable[[], tuple[Array, float, float]], dataset: data.Dataset) -> Row:
    begin = time.process_time()
    ids, strength, residual = train()
    seconds = time.process_time() - begin
    assert dataset.y_test is not None
    return _figures(ids, dataset.y_test) | {
        "strength": strength,
        "residual": float(residual),
        "CPU s": seconds,
    }


def _figures(ids: Array, truth: Array) -> Row:
    """Returns P@k and nDCG@5; a row without labels counts as 0."""
    hits = np.take_along_axis(truth, ids[:, : max(SIZES)], axis=1)
    discounts = 1 / np.log2(np.arange(max(SIZES)) + 2)
    best = np.cumsum(discounts)[np.clip(truth.sum(1), 1, max(SIZES)) - 1]
    found = {f"P@{k}": float(hits[:, :k].mean()) for k in SIZES}
    return found | {"nDCG@5": float(np.mean(hits @ discounts / best))}


def _tiny() -> data.Dataset:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(600, 6)).astype(np.float32)
    y = x @ generator.normal(size=(6, 12)) + generator.normal(scale=0.5, size=(600, 12)) > 1
    return data.Dataset(
        name="tiny",
        label_names=tuple(f"label {number}" for number in range(12)),
        x_train=x[:300],
        y_train=y[:300],
        x_test=x[300:],
        y_test=y[300:],
    )
