"""How often the intervals and marks of `mllosses compare` are right, by simulation.

Labels have true logits, which two losses score with noise. One part of the noise is common to both
losses, one part comes from the loss, and one from the seed, except for models that do not depend on
a seed ("seeds" 1). In addition, the quality of a seed moves the odds of each metric, so that mAP
varies with the standard deviation "seed noise". Cells:

- "null": losses of the same quality. Every mark is false, and 95 % of the intervals of a metric
  should cover its expected value at this test size.
- "K rows differ": the same scores, except that they are reversed in K rows of each seed, for
  either loss at random. Every mark is false.
- "apart": the expected mAP of the second loss is higher by 0.03. Marks of mAP are right.

Test parts that need a note, because a label has fewer than 5 positives, do not count for "covered",
except in cells that show why.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.intervals import DIFFERENCE, FIGURE, Interval, interval, too_small
from mllosses_jax.compare.resampling import draw, rankings, row_means

Array = NDArray[Any]
Row = dict[str, Any]

SEEDS = (2, 3, 5, 10)
SEED_NOISE = (0.0, 0.001, 0.01, 0.3)
RESAMPLES = 300  # The command takes 1,000, whose variances are steadier: 2 instead of 4 %.
METRICS = ("mAP", "P@1", "micro-F1")
GAIN = 0.03
SHARED, OF_SEED = 0.8, 0.2  # share of noise common to both losses; share of the rest from the seed
BATCH = 200_000  # number of scores that are computed at a time


@dataclasses.dataclass(frozen=True)
class Tests:
    """A kind of test part.

    Attributes:
        labels: the kind of labels.
        num_labels: the number of labels.
        rows: the number of test rows.
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
    """Models of two losses on several test parts of one kind."""

    def __init__(self, tests: Tests, draws: int, rng: np.random.Generator) -> None:
        self.rng, self.quality = rng, tests.quality
        self.cutoff = NormalDist().inv_cdf(1 - tests.share)
        shape = tests.rows, draws, tests.num_labels
        self.logits = rng.standard_normal(shape, np.float32)
        chance = rng.logistic(scale=0.25, size=shape)
        # The sum is nearly normal, so about `tests.share` of it is above this.
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
        result: Array = quality * self.logits + math.sqrt(1 - quality**2) * noise
        return result

    def reversed_by_chance(self, scores: Array, num_rows: int) -> list[Array]:
        """Returns the scores of two losses, with those of either reversed in some rows."""
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


# The metrics of each loss, on the test part and on resamples: (models, metrics, draws, 1 + R).
Figures = list[Array]
Cells = dict[tuple[str, bool], Figures]  # The keys are a name and whether the models have seeds.


def run(quick: bool) -> list[Row]:
    """Returns one row per cell and number of seeds, and rows that summarise them.

    Args:
        quick: whether to take 5 draws per cell instead of 1,000, and only the smallest of each
            kind.
    """
    draws = 5 if quick else 1000
    kinds = [TESTS[0], TESTS[3]] if quick else TESTS
    rows = [row for tests in kinds for row in _rows(tests, draws, aside=False)]
    aside = [row for tests in TOO_SMALL for row in _rows(tests, draws, aside=True)]
    return rows + aside + _summary(rows)


def _rows(tests: Tests, draws: int, *, aside: bool) -> list[Row]:
    """Returns the rows of a kind of test part; `aside` selects the parts that need a note."""
    cells, positives = _simulate(tests, draws, aside)
    notes = np.asarray([bool(too_small(tests.rows, each)) for each in positives])
    counts = notes == aside
    result = []
    for (name, seeded), figures in cells.items():
        for noise in SEED_NOISE if seeded and not name.endswith("differ") else (0.0,):
            moved = _moved(figures, noise)
            for seeds in [s for s in SEEDS if s <= len(figures[0])] if seeded else [1]:
                marked, covered = _judged(moved, seeds, tests.rows, seeded, counts)
                row: Row = {"cell": name, "labels": tests.labels, "rows": tests.rows}
                row |= {"seed noise": noise, "seeds": seeds}
                row |= {f"{m} marked": share for m, share in marked.items()}
                if name == "null":
                    row |= {f"{m} covered": share for m, share in covered.items()}
                result.append(row)
    return result


def _simulate(tests: Tests, draws: int, aside: bool) -> tuple[Cells, Array]:
    """Returns the cells, and the positives of each label (draws, L)."""
    rng = np.random.default_rng(0)
    weights = draw(RESAMPLES, tests.rows)
    weights = np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)
    better = _better(tests) if tests.rows == 1000 else None
    parts: list[Cells] = []
    positives = []
    size = max(1, BATCH // (tests.rows * tests.num_labels))
    for start in range(0, draws, size):
        models = Models(tests, min(size, draws - start), rng)
        positives.append(models.truth.sum(0))
        parts.append(_cells(models, weights, better, aside))
    joined = {
        cell: [np.concatenate([part[cell][loss] for part in parts], axis=2) for loss in (0, 1)]
        for cell in parts[0]
    }
    return joined, np.concatenate(positives)


def _cells(models: Models, weights: Array, better: float | None, aside: bool) -> Cells:
    result: Cells = {}

    def metrics(scores: Iterable[Array]) -> Array:
        return np.stack([models.metrics(each, weights) for each in scores])

    def score(loss: int, seeded: bool, quality: float | None = None) -> Iterator[Array]:
        for _ in range(max(SEEDS) if seeded else 1):
            yield models.scores(loss, seeded=seeded, quality=quality)

    for seeded in (False, True):
        result["null", seeded] = null = [metrics(score(loss, seeded)) for loss in (0, 1)]
        if better:
            result["apart", seeded] = [null[0], metrics(score(1, seeded, better))]
        for rows in () if aside else (2,) if seeded else (1, 2, 3):
            pairs = [
                models.reversed_by_chance(models.scores(0, seeded=seeded), rows)
                for _ in range(2 if seeded else 1)
            ]
            both = [metrics(of_loss) for of_loss in zip(*pairs, strict=True)]
            result[f"{rows} rows differ", seeded] = both
    return result


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
    """Returns the metrics after the quality of each seed has moved their odds."""
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
    """Returns the standard deviation of log-odds that makes a metric vary by the noise."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    low, high = 0.0, 6.0
    for _ in range(40):
        middle = (low + high) / 2
        values = 1 / (1 + (1 / figure - 1) * np.exp(-middle * nodes))
        variance = np.average(values**2, weights=weights) - np.average(values, weights=weights) ** 2
        low, high = (middle, high) if variance < noise**2 else (low, middle)
    return low


def _judged(
    figures: Figures, seeds: int, num_rows: int, varies: bool, counts: Array
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the shares of marked differences and of covered values, by metric."""
    marked, covered = {}, {}
    for index, metric in enumerate(METRICS):
        expected = float(np.mean([loss[:, index, :, 0].mean(dtype=float) for loss in figures]))
        first, second = (loss[:seeds, index].astype(float) for loss in figures)
        marks = [i.excludes_zero for i in _intervals(second - first, DIFFERENCE, num_rows, varies)]
        covers = [i.low <= expected <= i.high for i in _intervals(first, FIGURE, num_rows, varies)]
        marked[metric] = float(np.mean(marks))
        covered[metric] = float(np.mean(np.asarray(covers)[counts])) if counts.any() else math.nan
    return marked, covered


def _intervals(
    values: Array, bounds: tuple[float, float], num_rows: int, varies: bool
) -> list[Interval]:
    """Returns the interval of each draw, from (M, draws, 1 + R)."""
    means = values.mean(0)
    return [
        interval(each, of_rows, bounds=bounds, num_rows=num_rows, varies=varies)
        for each, of_rows in zip(values[:, :, 0].T, means[:, 1:], strict=True)
    ]


def _summary(rows: list[Row]) -> list[Row]:
    """Returns the mean and the extremes over cells of the shares of false marks and coverage."""
    false = [row for row in rows if row["cell"] != "apart"]
    marks = {f"{m} marked": [row[f"{m} marked"] for row in false] for m in METRICS}
    covers = {
        f"{m} covered": [row[f"{m} covered"] for row in rows if row["cell"] == "null"]
        for m in METRICS
    }
    takes: dict[str, Callable[[list[float]], Any]] = {"mean": np.mean, "least": min, "most": max}
    return [
        {"cell": f"in all: {name}"}
        | {key: float(take(shares)) for key, shares in (marks | covers).items()}
        for name, take in takes.items()
    ]
