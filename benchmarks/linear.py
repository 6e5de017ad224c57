"""Compares the linear model of `compare` with scikit-learn's and with a float64 solution.

On each data set in the folder `../shared/data`, binary cross-entropy is compared with the
one-vs-rest logistic regression of `linear_peers.json`. Its metrics may fall short of those with one
C by the slack in `FIGURES`, or on small test parts by one standard error of the difference if that
is more, from resamples of the test rows (for which the peer is fitted again). On small data sets,
`linear_float64` then minimises the objectives of five losses at the chosen strengths. For soft F1,
it starts at our model, because the loss has many minima, and solvers that start at the log odds end
in different ones. "off" is how far our objective is above its objective, as a share; "slope" is the
norm of the gradient in float64 at our model, as a share of that at the start; "mAP apart" is how
far our mAP is above its mAP on the test part. If models depend on the seed, these three describe
the first, and the metrics are means.

Each fit has its own process without a cache of programs, so that its processor time includes all
compilation; "MB" is the peak memory of the process. `python -m benchmarks linear flags emotions`
takes only these data sets.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import resource
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import linear_peers
from benchmarks.linear_float64 import LOSSES, log_odds, solve_float64
from mllosses_jax import data, metrics
from mllosses_jax.compare import linear, resampling, validation
from mllosses_jax.compare.bound_loss import bind
from mllosses_jax.compare.choice import BASELINE
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.judgment import Judgment, judge
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import Settings

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

TINY = "tiny"  # the data set of the quick run
LABELS_OF_ALL = 30  # data sets with no more labels are also solved in float64, with all losses
OTHERS = (
    "zlpr_loss",
    "sigmoid_focal_loss",
    "asymmetric_loss(detach_focus=False)",
    "soft_f1_loss",
)
CONVEX = (BASELINE, "zlpr_loss")
MANY_MINIMA = ("soft_f1_loss",)
OFF, MAP_OFF = 1e-4, 0.005  # tolerances: objective values if convex, otherwise mAP
FEW_ROWS = 300  # a test part with fewer rows is small
RESAMPLES = 1000


class Figure(NamedTuple):
    """A metric: its names in judgments and in `linear_peers.json`, and its allowed shortfall."""

    judged: str
    peer: str
    slack: float | None = None
    sign: int = 1  # -1 if lower is better


FIGURES = {
    "mAP": Figure("map", "map", 0.005),
    "micro-F1": Figure("micro_f1_tuned", "micro_f1", 0.01),
    "macro-F1": Figure("macro_f1_tuned", "macro_f1", 0.01),
    "P@1": Figure("precision_at_1", "p@1", 0.01),
    "P@3": Figure("precision_at_3", "p@3"),
    "P@5": Figure("precision_at_5", "p@5"),
    "ranking loss": Figure("ranking_loss", "ranking_loss", 0.01, -1),
}


def run(quick: bool, sets: Sequence[str] = ()) -> list[Row]:
    """Returns the rows of the peers, of binary cross-entropy and of the other losses.

    Args:
        quick: whether to take a tiny data set of random numbers, in this process.
        sets: the names of data sets; an empty sequence takes all of them.

    Raises:
        ValueError: a data set is unknown.
    """
    if quick:
        return [row for loss in (BASELINE, *OTHERS) for row in _rows(TINY, loss)]
    unknown = sorted(set(sets) - set(linear_peers.SETS))
    if unknown:
        raise ValueError(f"no data set {unknown[0]!r}; there are {', '.join(linear_peers.SETS)}")
    spawning = multiprocessing.get_context("spawn")
    rows: list[Row] = []
    for name in sets or linear_peers.SETS:
        if not _path(name).is_file():
            print(f"{name} is left out: there is no {_path(name)}", flush=True)
            continue
        few = data.load(_path(name)).y_train.shape[1] <= LABELS_OF_ALL
        for loss in (BASELINE, *OTHERS) if few else (BASELINE,):
            with ProcessPoolExecutor(1, spawning, _without_cache) as process:
                found = process.submit(_rows, name, loss).result()
            for row in found:
                print(json.dumps(row), flush=True)
            rows += found
    return rows


def _without_cache() -> None:
    jax.config.update("jax_enable_compilation_cache", False)


def _path(name: str) -> Path:
    return linear_peers.DATA / f"{name}.npz"


def _dataset(name: str) -> data.Dataset:
    """Returns a data set as `compare` takes it."""
    if name != TINY:
        return data.load(_path(name)).standardized()
    generator = np.random.default_rng(0)
    x = generator.normal(size=(180, 8)).astype(np.float32)
    y = x @ generator.normal(size=(8, 6)) + generator.normal(scale=2, size=(180, 6)) > 1
    return data.Dataset(
        name=TINY,
        x_train=x[:120],
        y_train=y[:120],
        x_test=x[120:],
        y_test=y[120:],
        label_names=tuple("abcdef"),
    )


def _rows(name: str, loss: str) -> list[Row]:
    """Returns the row of one fit, preceded by those of the peers if the loss is the baseline."""
    dataset = _dataset(name)
    ours = linear.run(dataset, (bind(loss, dataset),), Settings(), lambda: None)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    weights = resampling.draw(RESAMPLES if _is_small(dataset) else 0, len(ours.test_scores[0]))
    judged = judge(ours, dataset, weights)
    row = {"set": name, "model": loss, **_figures(judged, ours, dataset)}
    row |= {"CPU s": ours.cpu_seconds, "MB": round(memory)}
    misses: list[str] = []
    peers: list[Row] = []
    if loss == BASELINE:
        entry, errors = _peer(dataset, ours, judged, weights)
        peers = [_peer_row(name, entry, kind) for kind in ("one_c", "c_per_label")]
        misses += _missed_figures(row, peers[0], errors)
    if dataset.y_train.shape[1] <= LABELS_OF_ALL:
        row |= _second_opinion(dataset, ours, loss)
        misses += _missed_opinion(row)
    return [*peers, row | {"misses": ", ".join(misses) or "none"}]


def _is_small(dataset: data.Dataset) -> bool:
    assert dataset.y_test is not None
    return len(dataset.y_test) < FEW_ROWS


def _figures(judged: Judgment, outcome: Outcome, dataset: data.Dataset) -> Row:
    """Returns mean metrics over the models by heading, with P@3 and P@5 for few labels too."""
    assert dataset.y_test is not None
    values = {name: float(np.mean(each)) for name, each in judged.values.items()}
    for k in (3, 5):
        found = [
            metrics.precision_at_k(scores, dataset.y_test, k, where=dataset.mask_test)
            for scores in outcome.test_scores
        ]
        values[f"precision_at_{k}"] = float(np.mean(found))
    return {heading: values[figure.judged] for heading, figure in FIGURES.items()}


def _peer(
    dataset: data.Dataset, ours: Outcome, judged: Judgment, weights: resampling.Floats
) -> tuple[dict[str, Any], dict[str, float]]:
    """Returns the peer's entry and the standard errors of the differences to ours, by heading.

    Standard errors are given for small test parts only.
    """
    if not _is_small(dataset):
        return linear_peers.read()[dataset.name], {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        entry = linear_peers.fit(dataset, path)
        with np.load(path) as scores:
            test, out_of_fold = scores["one_c"], scores["one_c_out_of_fold"]
    held = validation.Held(np.arange(len(out_of_fold)), out_of_fold)
    decisions = validation.decide(held, dataset)
    peer = dataclasses.replace(ours, test_scores=test[None], held=held, decisions=decisions)
    theirs = judge(peer, dataset, weights)
    return entry, {
        heading: float(np.nanstd(judged.replicates[name] - theirs.replicates[name]))
        for heading, (name, _, slack, _) in FIGURES.items()
        if slack is not None
    }


def _peer_row(name: str, entry: dict[str, Any], kind: str) -> Row:
    figures = {heading: entry[kind][figure.peer] for heading, figure in FIGURES.items()}
    return {"set": name, "model": kind, **figures, "CPU s": entry[kind]["cpu_seconds"]}


def _missed_figures(ours: Row, theirs: Row, errors: dict[str, float]) -> list[str]:
    """Returns which metrics are worse than allowed, and by how much."""
    result = []
    for heading, figure in FIGURES.items():
        if figure.slack is not None:
            slack = max(figure.slack, errors.get(heading, 0))
            missing = figure.sign * (theirs[heading] - ours[heading]) - slack
            result += [f"{heading} by {missing:.4f}"] if missing > 0 else []
    return result


def _second_opinion(dataset: data.Dataset, ours: Outcome, loss: str) -> Row:
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    name, strength = parse(loss).terms[0][1].name, ours.chosen["strength"]
    x, x_test = (
        linear_peers.features(part, dataset.sparse) for part in (dataset.x_train, dataset.x_test)
    )
    y, mask = dataset.y_train, dataset.mask_train
    known = np.ones_like(y) if mask is None else mask

    def objective(weights: Array, bias: Array) -> tuple[float, float]:
        """Returns the value and the norm of the gradient."""
        value, slope = LOSSES[name](x @ weights + bias, y, known)
        gradient = x.T @ slope + strength * weights
        norm = np.sqrt(np.sum(gradient**2) + np.sum(slope.sum(axis=0) ** 2))
        return value + strength / 2 * float(np.sum(weights**2)), float(norm)

    weights, bias = (ours.params[part][0].astype(np.float64) for part in ("kernel", "bias"))
    begin = {"weights": weights, "bias": bias} if name in MANY_MINIMA else {}
    other = solve_float64(name, x, y, mask, strength, **begin)
    value, norm = objective(weights, bias)
    its_scores = (x_test @ other.weights + other.bias).astype(np.float32)
    precision, its_precision = (
        float(metrics.average_precision(scores, dataset.y_test, where=dataset.mask_test))
        for scores in (ours.test_scores[0], its_scores)
    )
    return {
        "off": (value - other.value) / abs(other.value),
        "slope": norm / objective(np.zeros_like(weights), log_odds(y, known))[1],
        "mAP apart": precision - its_precision,
    }


def _missed_opinion(row: Row) -> list[str]:
    if row["model"] in CONVEX:
        return [f"objective off by {row['off']:.1e}"] if abs(row["off"]) > OFF else []
    apart = row["mAP apart"]
    return [f"mAP apart by {apart:.4f}"] if abs(apart) > MAP_OFF else []
