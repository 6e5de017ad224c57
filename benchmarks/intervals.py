"""How often the intervals and marks of `mllosses compare` are right, by simulation.

Labels have true logits, which two losses score through noise: a part of it is common to both, a
part the loss's, a part the seed's, but for models that do not depend on a seed ("seeds" 1). Beyond
that, the quality of a seed moves the odds of each metric, and so mAP with the standard deviation
"seed noise". Cells:

- "null": losses of the same quality. Every mark is false, and 95 % of the intervals of a figure
  should cover what is expected of it at this test size.
- "differ in K rows": the same scores, except that K rows of each seed have them reversed, by
  chance those of either loss. Every mark is false.
- "apart": the mAP expected of the second loss is higher by 0.03. Marks of mAP are right.

Test parts that need a note, as a label has fewer than 5 positives, do not count for "covered",
except in cells that are there to show why.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.intervals import DIFFERENCE, FIGURE, interval, too_small
from mllosses_jax.compare.resampling import draw, rankings, row_means

Array = NDArray[Any]
Row = dict[str, Any]

SEEDS = (2, 3, 5, 10)
SEED_NOISE = (0.0, 0.001, 0.01, 0.3)
RESAMPLES = 300  # the command takes 500
METRICS = ("mAP", "P@1", "micro-F1")
GAIN = 0.03
SHARED, OF_SEED = 0.8, 0.2  # of the noise what is common to both losses; of the rest the seed's
BATCH = 200_000  # scores at a time


@dataclasses.dataclass(frozen=True)
class Tests:
    """A kind of test parts.

    Attributes:
        labels: what kind of labels.
        num_labels: how many.
        rows: test rows.
        positives: the mean number of positives of a label.
        quality: the correlation of scores with the true logits.
    """

    labels: str
    num_labels: int
    rows: int
    positives: float
    quality: float

    @property
    def share(self) -> float:
        return self.positives / self.rows


TESTS = [
    *(Tests("common", 3, rows, 0.3 * rows, 0.75) for rows in (50, 200, 1000)),
    *(Tests("rare", 6, rows, 10, 0.9) for rows in (50, 200, 1000)),
]
TOO_SMALL = [Tests("common", 3, 20, 6, 0.75), Tests("rarest", 6, 200, 3, 0.9)]


class Models:
    """Models of two losses on some test parts of a kind."""

    def __init__(self, tests: Tests, draws: int, rng: np.random.Generator) -> None:
        self.rng, self.quality = rng, tests.quality
        self.cutoff = NormalDist().inv_cdf(1 - tests.share)
        shape = tests.rows, draws, tests.num_labels
        self.logits = rng.standard_normal(shape, np.float32)
        chance = rng.logistic(scale=0.25, size=shape)
        # As the sum is nearly normal, about the share of it is above this.
        self.truth = self.logits + chance > self.cutoff * math.sqrt(1 + (0.25 * math.pi) ** 2 / 3)
        self.noises = rng.standard_normal((3, *shape), np.float32)

    def scores(self, loss: int, *, seeded: bool, quality: float | None = None) -> Array:
        """Returns the scores (N, draws, L) of a model."""
        quality = quality or self.quality
        noise = self.noises[1 + loss]
        if seeded:
            own = self.rng.standard_normal(noise.shape, np.float32)
            noise = math.sqrt(1 - OF_SEED) * noise + math.sqrt(OF_SEED) * own
        noise = math.sqrt(SHARED) * self.noises[0] + math.sqrt(1 - SHARED) * noise
        return quality * self.logits + math.sqrt(1 - quality**2) * noise

    def reversed_by_chance(self, scores: Array, num_rows: int) -> list[Array]:
        """Returns the scores of two losses: those of either are reversed in some rows."""
        chosen = self.rng.random(scores.shape[:2]).argsort(axis=0).argsort(axis=0) < num_rows
        of_first = self.rng.random(chosen.shape) < 0.5
        turned = (chosen & of_first, chosen & ~of_first)
        return [np.where(rows[..., None], -scores, scores) for rows in turned]

    def metrics(self, scores: Array, weights: Array) -> Array:
        """Returns the metrics of each test part under each weighting, (metrics, draws, R)."""
        rows, draws, labels = scores.shape
        flat, truth = scores.reshape(rows, -1), self.truth.reshape(rows, -1)
        precision, _ = rankings(flat, truth, np.ones_like(truth), weights)
        precision = precision.reshape(draws, labels, -1)
        defined = np.isfinite(precision)
        mean_precision = np.where(defined, precision, 0).sum(1) / np.maximum(defined.sum(1), 1)
        first = np.take_along_axis(self.truth, scores.argmax(2)[..., None], 2)[..., 0]
        predicted = scores > self.cutoff
        true, wrong = (predicted & self.truth).sum(2), (predicted ^ self.truth).sum(2)
        of_rows = np.concatenate([first, true, wrong], axis=1).T
        hit, true, wrong = np.split(row_means(of_rows.astype(np.float32), weights), 3)
        f1 = 2 * true / np.maximum(2 * true + wrong, 1e-9)
        return np.stack([mean_precision, hit, f1]).astype(np.float32)


Figures = list[Array]  # of either loss, (models, metrics, draws, 1 + R): on the test part as it
# is and on the resamples.


def run(quick: bool) -> list[Row]:
    """Returns one row per cell and number of seeds, and what they come to.

    Args:
        quick: whether to take 5 draws a cell instead of 1,000, and of each kind the smallest.
    """
    draws = 5 if quick else 1000
    kinds = [TESTS[0], TESTS[3]] if quick else TESTS
    rows = [row for tests in kinds for row in _rows(tests, draws, aside=False)]
    aside = [row for tests in TOO_SMALL for row in _rows(tests, draws, aside=True)]
    return rows + aside + _summary(rows)


def _rows(tests: Tests, draws: int, aside: bool) -> list[Row]:
    cells, positives = _simulate(tests, draws, aside)
    counts = np.ones(draws, bool) if aside else np.asarray([not too_small(tests.rows, p) for p in positives])
    result = []
    for (name, seeded), figures in cells.items():
        for noise in SEED_NOISE if seeded and not name.startswith("differ") else (0.0,):
            moved = _moved(figures, noise)
            for seeds in [s for s in SEEDS if s <= len(figures[0])] if seeded else [1]:
                row: Row = {"cell": name, "labels": tests.labels, "rows": tests.rows}
                row |= {"seed noise": noise, "seeds": seeds}
                part = [loss[:seeds] for loss in moved]
                marked, covered = _judged(part, moved, tests.rows, seeded, counts)
                row |= {f"{m} marked": x for m, x in zip(METRICS, marked, strict=True)}
                if name == "null":
                    row |= {f"{m} covered": x for m, x in zip(METRICS, covered, strict=True)}
                result.append(row)
    return result


def _simulate(
    tests: Tests, draws: int, aside: bool
) -> tuple[dict[tuple[str, bool], Figures], Array]:
    """Returns figures by cell and whether models have seeds; the positives, (draws, L)."""
    rng = np.random.default_rng(0)
    weights = draw(RESAMPLES, tests.rows)
    weights = np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)
    better = _better(tests) if tests.rows == 1000 else None
    parts: list[dict[tuple[str, bool], Figures]] = []
    positives = []
    size = max(1, BATCH // (tests.rows * tests.num_labels))
    for start in range(0, draws, size):
        models = Models(tests, min(size, draws - start), rng)
        positives.append(models.truth.sum(0))
        part: dict[tuple[str, bool], Figures] = {}

        def metrics(scores: Sequence[Array], models: Models = models) -> Array:
            return np.stack([models.metrics(s, weights) for s in scores])

        for seeded in (False, True):
            count = max(SEEDS) if seeded else 1
            null = [
                metrics([models.scores(loss, seeded=seeded) for _ in range(count)])
                for loss in (0, 1)
            ]
            part["null", seeded] = null
            if better:
                scores = [models.scores(1, seeded=seeded, quality=better) for _ in range(count)]
                part["apart", seeded] = [null[0], metrics(scores)]
            for rows in () if aside else (2,) if seeded else (1, 2, 3):
                pairs = [
                    models.reversed_by_chance(models.scores(0, seeded=seeded), rows)
                    for _ in range(2 if seeded else 1)
                ]
                part[f"differ in {rows} rows", seeded] = [
                    metrics(of_loss) for of_loss in zip(*pairs, strict=True)
                ]
        parts.append(part)
    joined = {
        key: [np.concatenate([part[key][loss] for part in parts], axis=2) for loss in (0, 1)]
        for key in parts[0]
    }
    return joined, np.concatenate(positives)


def _better(tests: Tests) -> float:
    """Returns the quality of scores whose expected mAP is higher by GAIN."""
    models = Models(tests, 100, np.random.default_rng(1))
    once = np.ones((tests.rows, 1), np.float32)

    def expected(quality: float) -> float:
        scores = models.scores(0, seeded=False, quality=quality)
        return float(models.metrics(scores, once)[0].mean())

    aim = expected(tests.quality) + GAIN
    low, high = tests.quality, 1.0
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < aim else (low, middle)
    return low


def _moved(figures: Figures, noise: float) -> Figures:
    """Returns the figures after the quality of each seed has moved its odds."""
    if not noise:
        return figures
    rng = np.random.default_rng(3)
    result = []
    for loss in figures:
        normal = rng.standard_normal((len(loss), 1, loss.shape[2], 1))
        factor = np.exp(_step(float(loss[:, 0].mean()), noise) * normal).astype(np.float32)
        result.append(loss * factor / (1 - loss + loss * factor))
    return result


def _step(figure: float, noise: float) -> float:
    """Returns by how much log-odds have to vary for a figure to do so by the noise."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    low, high = 0.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        values = 1 / (1 + (1 / figure - 1) * np.exp(-middle * nodes))
        variance = np.average(values**2, weights=weights) - np.average(values, weights=weights) ** 2
        low, high = (middle, high) if variance < noise**2 else (low, middle)
    return low


def _judged(
    figures: Figures, moved: Figures, num_rows: int, varies: bool, counts: Array
) -> tuple[list[float], list[float]]:
    """Returns the shares of differences that are marked and of figures that are covered."""
    marked, covered = [], []
    for metric in range(len(METRICS)):
        first, second = (loss[:, metric] for loss in figures)
        expected = float(np.mean([loss[:, metric, :, 0].mean(dtype=float) for loss in moved]))
        marks, covers = [], []
        for index in range(first.shape[1]):
            one, other = first[:, index].astype(float), second[:, index].astype(float)
            apart = other - one
            difference = interval(apart[:, 0], apart[:, 1:].mean(0), bounds=DIFFERENCE, num_rows=num_rows, varies=varies)
            marks.append(difference.excludes_zero)
            figure = interval(one[:, 0], one[:, 1:].mean(0), bounds=FIGURE, num_rows=num_rows, varies=varies)
            covers.append(figure.low <= expected <= figure.high)
        marked.append(float(np.mean(marks)))
        covered.append(float(np.mean(np.asarray(covers)[counts])) if counts.any() else math.nan)
    return marked, covered


def _summary(rows: list[Row]) -> list[Row]:
    false = [row for row in rows if row["cell"] != "apart"]
    marks = {f"{m} marked": [row[f"{m} marked"] for row in false] for m in METRICS}
    covers = {f"{m} covered": [row[f"{m} covered"] for row in rows if f"{m} covered" in row] for m in METRICS}
    return [
        {"cell": "all false marks, mean"} | {key: float(np.mean(x)) for key, x in marks.items()},
        {"cell": "most"} | {key: max(x) for key, x in (marks | covers).items()},
        {"cell": "least"} | {key: min(x) for key, x in (marks | covers).items()},
    ]
