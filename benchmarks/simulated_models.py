"""Simulated test parts and the scores of simulated models, for `intervals` and `families`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.resampling import draw, rankings, row_means

Array = NDArray[Any]
Row = dict[str, Any]
# The metrics of each loss, on the test part and on resamples: (models, metrics, draws, 1 + R).
Figures = list[Array]

RESAMPLES = 300  # The command takes 1,000, whose variances are steadier: 2 instead of 4 %.
METRICS = ("mAP", "P@1", "micro-F1")
SHARED, OF_SEED = 0.8, 0.2  # share of noise common to all losses; share of the rest from the seed
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
    """Models of losses on several test parts of one kind.

    Attributes:
        noises: normal noise, (1 + losses, N, draws, L): that common to all losses, then their own.
    """

    def __init__(self, tests: Tests, draws: int, rng: np.random.Generator, losses: int = 2) -> None:
        self.rng, self.quality = rng, tests.quality
        self.cutoff = NormalDist().inv_cdf(1 - tests.share)
        shape = tests.rows, draws, tests.num_labels
        self.logits = rng.standard_normal(shape, np.float32)
        chance = rng.logistic(scale=0.25, size=shape)
        # The sum is nearly normal, so about `tests.share` of it is above this.
        self.truth = self.logits + chance > self.cutoff * math.sqrt(1 + (0.25 * math.pi) ** 2 / 3)
        self.noises = rng.standard_normal((1 + losses, *shape), np.float32)

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


def batches(tests: Tests, draws: int) -> Iterator[int]:
    """Yields into how many draws at a time the draws of a kind of test part are cut."""
    size = max(1, BATCH // (tests.rows * tests.num_labels))
    for start in range(0, draws, size):
        yield min(size, draws - start)


def drawn_weights(tests: Tests) -> Array:
    """Returns weights (N, 1 + R): ones, which stand for the test part itself, and resamples."""
    weights = draw(RESAMPLES, tests.rows)
    return np.concatenate([np.ones_like(weights[:, :1]), weights], axis=1)


def moved(figures: Figures, noise: float, seeds: int) -> Figures:
    """Returns the metrics of several seeds after the quality of each seed has moved their odds.

    Args:
        figures: the metrics of each loss, of which there is one model or one for each seed.
        noise: the standard deviation of mAP over seeds.
        seeds: the number of seeds.
    """
    if not noise:
        return [loss[:seeds] for loss in figures]
    rng = np.random.default_rng(3)
    result = []
    for loss in figures:
        normal = rng.standard_normal((seeds, 1, loss.shape[2], 1))
        factor = np.exp(_step(float(loss[:, 0].mean()), noise) * normal).astype(np.float32)
        of_seeds = loss[:seeds]
        result.append(of_seeds * factor / (1 - of_seeds + of_seeds * factor))
    return result


def is_clear(values: Array, replicates: Array) -> Array:
    """Returns where differences are so large that an interval might exclude zero, (..., draws).

    No interval of 95 % ends within 1.9 standard errors, so that most need not be computed.

    Args:
        values: the differences of the models, (..., M, draws).
        replicates: those on resamples of the rows, (..., draws, R).
    """
    models = values.shape[-2]
    of_seeds = values.var(axis=-2, ddof=1) / models if models > 1 else 0.0
    errors = np.sqrt(replicates.var(axis=-1, ddof=1) + of_seeds)
    result: Array = np.abs(values.mean(axis=-2)) > 1.9 * errors
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
