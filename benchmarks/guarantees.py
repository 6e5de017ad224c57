"""How often thresholds keep what they promise, by simulation.

A large population of rows stands for the truth, so that the risk of a threshold is exact. Each draw
takes n of its rows, with replacement, and tunes a threshold on them. Cells:

- "on average": the mean risk over draws must not be above 1 − level, but for three standard errors.
- "with confidence": a risk above 1 − level must not occur in a larger share of draws than 1 −
  confidence, but for three standard errors of the binomial.

Rows have strong or weak scores, tied scores, unknown labels, or mostly no positive.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.bars import Bar
from benchmarks.bars import report as report_of_bars
from mllosses_jax import decisions

Row = dict[str, Any]
Array = NDArray[Any]

POPULATIONS = ("strong", "weak", "tied", "masked", "mostly empty")
SIZES = (10, 50, 200, 1000)
LEVELS = (0.8, 0.9)
CONFIDENCE = 0.9
LABELS = 6


class Population(NamedTuple):
    """Rows of scores and labels, and which labels are known."""

    scores: Array
    labels: Array
    where: Array

    def risk(self, kind: str, threshold: float) -> Array:
        """Returns the risk of a threshold: that of rows as (1,), or of labels (L,)."""
        if kind == "recall of a label":
            missed = self.labels & (self.scores < threshold)
            return np.asarray(missed.sum(0) / self.labels.sum(0))
        predicted = self.where & (self.scores >= threshold)
        wrong = self.labels & ~predicted if kind == "recall" else predicted & ~self.labels
        sets = self.labels if kind == "recall" else predicted
        shares = wrong.sum(1) / np.maximum(sets.sum(1), 1)
        return np.atleast_1d(shares[self.where.any(1)].mean())


def population(kind: str, rows: int) -> Population:
    """Returns a population; masked labels are false."""
    rng = np.random.default_rng(POPULATIONS.index(kind))
    labels = rng.random((rows, LABELS)) < np.linspace(0.05, 0.5, LABELS)
    if kind == "mostly empty":
        labels &= rng.random((rows, 1)) < 0.2
    noise = rng.standard_normal(labels.shape)
    scores = (noise + (1.0 if kind == "weak" else 3.0) * labels).astype(np.float32)
    if kind == "tied":
        scores = scores.round(0)
    where = np.ones_like(labels)
    if kind == "masked":
        where = rng.random(labels.shape) < 0.5
        where[::5] = False
    return Population(scores, labels & where, where)


TUNERS: dict[str, Callable[..., Any]] = {
    "recall": decisions.threshold_for_recall,
    "recall of a label": functools.partial(decisions.threshold_for_recall, scope="label"),
    "precision": decisions.threshold_for_precision,
}
PROMISES = [  # of what, and with which confidence
    *(("recall", None), ("recall", CONFIDENCE)),
    *(("recall of a label", None), ("recall of a label", CONFIDENCE)),
    ("precision", CONFIDENCE),
]


def run(quick: bool) -> list[Row]:
    """Returns one row per cell.

    Args:
        quick: whether to take 20 draws per cell instead of 1,000, and only a few cells.
    """
    names: Sequence[str] = POPULATIONS[2:4] if quick else POPULATIONS
    sizes: Sequence[int] = SIZES[1:2] if quick else SIZES
    levels: Sequence[float] = LEVELS[:1] if quick else LEVELS
    draws = 20 if quick else 1000
    rows = []
    for name in names:
        everything = population(name, 500 if quick else 5000)
        for size, level, (kind, confidence) in itertools.product(sizes, levels, PROMISES):
            cell = {"population": name, "promised": kind, "level": level, "confidence": confidence}
            kept = _kept(everything, kind, level, confidence, size, draws)
            rows.append({**cell, "n": size, **kept})
    return rows


@functools.cache
def _tuned(kind: str, confidence: float | None) -> Callable[..., Array]:
    """Returns the compiled function of many draws of rows, and a level, that tunes thresholds."""

    def tune(scores: Array, labels: Array, where: Array, level: Array) -> Any:
        options = {"level": level, "confidence": confidence, "where": where}
        return TUNERS[kind](scores, labels, **options)

    return jax.jit(jax.vmap(tune, in_axes=(0, 0, 0, None)))


def _kept(
    everything: Population,
    kind: str,
    level: float,
    confidence: float | None,
    size: int,
    draws: int,
) -> Row:
    """Returns the mean risk, and what the promise is about with its bound and standard error.

    Of the labels, the one that is the furthest above its bound is shown.
    """
    taken = np.random.default_rng(1).integers(0, len(everything.scores), (draws, size))
    given = (jnp.asarray(array[taken]) for array in everything)
    thresholds = np.asarray(_tuned(kind, confidence)(*given, level))
    found, places = np.unique(thresholds, axis=0, return_inverse=True)
    risks = np.stack([everything.risk(kind, each) for each in found])[places.ravel()]
    alpha = round(1 - level, 9)
    if confidence is None:
        about, bound = risks.mean(0), alpha
        error = risks.std(0) / np.sqrt(draws)
    else:
        about, bound = np.mean(risks > alpha, axis=0), round(1 - confidence, 9)
        error = np.full_like(about, np.sqrt(bound * (1 - bound) / draws))
    worst = np.argmax(about - 3 * error)
    return {
        "mean risk": float(risks[:, worst].mean()),
        "promise is about": "mean risk" if confidence is None else "share of draws above",
        "found": float(about[worst]),
        "at most": bound,
        "error": float(error[worst]),
        "infinite": float(np.mean(~np.isfinite(thresholds))),
    }


def misses(rows: list[Row]) -> list[Row]:
    """Returns the cells in which a promise is broken by more than three standard errors."""
    return [row for row in rows if row["found"] > row["at most"] + 3 * row["error"]]


def report(rows: list[Row]) -> str:
    """Returns the cells that miss what is promised."""
    missed = misses(rows)
    kept = Bar("cells that miss what they promise", len(missed), 0)
    cells = [
        f"{row['population']}, {row['promised']} {row['level']:g}, n = {row['n']}, confidence "
        f"{row['confidence']}: {row['found']:.4f}, promised {row['at most']:.4f}"
        for row in missed
    ]
    return "\n".join([report_of_bars([kept]), f"{len(rows)} cells.", *cells])
