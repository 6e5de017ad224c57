"""How often the intervals and marks of `mllosses compare` are right, by simulation.

Labels have true logits, which two losses score with noise. One part of the noise is common to both
losses, one part comes from the loss, and one from the seed, except for models that do not depend on
a seed ("seeds" 1). In addition, the quality of a seed moves the odds of each metric, so that mAP
varies with the standard deviation "seed noise". Cells:

- "null": losses of the same quality. Every mark is false, and 95 % of the intervals of a metric
  should cover its expected value at this test size.
- "K rows differ": the same scores, except that they are reversed in K rows of each seed, for
  either loss at random. Every mark is false. How many rows there are besides matters little, so
  the largest test parts have no such cells.
- "apart": the expected mAP of the second loss is higher by 0.03. Marks of mAP are right.

Test parts that need a note, because a label has fewer than 5 positives, do not count for "covered",
except in cells that are too small on purpose, which show why. Marks of several losses at once are
simulated in `families`. "draws" is the number of test parts that a share is of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from benchmarks import families
from benchmarks.simulated_models import (
    METRICS,
    TESTS,
    TOO_SMALL,
    Array,
    Figures,
    Models,
    Row,
    Tests,
    batches,
    drawn_weights,
    is_clear,
    moved,
)
from mllosses_jax._core.intervals import DIFFERENCE, FIGURE, Interval, interval, too_small

DRAWS = 1000
SEEDS = (2, 3, 5)
SEED_NOISE = (0.0, 0.01, 0.1, 0.3)
GAIN = 0.03
LARGEST = max(tests.rows for tests in TESTS)
COVERED = (0.93, 0.97)  # the bars: how often an interval should hold what it is for
MARKED = (0.0, 0.06)  # and how often any of several equal losses may be marked

Cells = dict[tuple[str, bool], Figures]  # The keys are a name and whether the models have seeds.


def run(quick: bool) -> list[Row]:
    """Returns one row per cell and number of seeds, and rows that summarise them.

    Args:
        quick: whether to take 5 draws per cell instead of 1,000, and only the smallest of each
            kind.
    """
    draws = 5 if quick else DRAWS
    kinds = [TESTS[0], TESTS[3]] if quick else TESTS
    of_families = families.rows(quick)
    rows = [row for tests in kinds for row in _rows(tests, draws, aside=False)]
    aside = [row for tests in TOO_SMALL for row in _rows(tests, draws, aside=True)]
    return rows + aside + of_families + _summary(rows, of_families)


def _rows(tests: Tests, draws: int, *, aside: bool) -> list[Row]:
    """Returns the rows of a kind of test part; `aside` selects the parts that need a note."""
    cells, positives = _simulate(tests, draws, aside)
    notes = np.asarray([bool(too_small(tests.rows, each)) for each in positives])
    counts = notes == aside
    result = []
    for (name, seeded), figures in cells.items():
        for noise in SEED_NOISE if seeded and not name.endswith("differ") else (0.0,):
            after = moved(figures, noise, max(SEEDS))
            for seeds in [s for s in SEEDS if s <= len(figures[0])] if seeded else [1]:
                marked, covered = _judged(after, seeds, tests.rows, seeded, counts)
                cell = f"{name}, too small" if aside else name
                row: Row = {"cell": cell, "labels": tests.labels, "rows": tests.rows}
                row |= {"seed noise": noise, "seeds": seeds, "draws": int(counts.sum())}
                row |= {f"{m} marked": share for m, share in marked.items()}
                if name == "null":
                    row |= {f"{m} covered": share for m, share in covered.items()}
                result.append(row)
                print(row)
    return result


def _simulate(tests: Tests, draws: int, aside: bool) -> tuple[Cells, Array]:
    """Returns the cells, and the positives of each label (draws, L)."""
    rng = np.random.default_rng(0)
    weights = drawn_weights(tests)
    better = _better(tests) if tests.rows == LARGEST else None
    parts: list[Cells] = []
    positives = []
    for size in batches(tests, draws):
        models = Models(tests, size, rng)
        positives.append(models.truth.sum(0))
        parts.append(_cells(models, weights, better, differ=not aside and tests.rows < LARGEST))
    joined = {
        cell: [np.concatenate([part[cell][loss] for part in parts], axis=2) for loss in (0, 1)]
        for cell in parts[0]
    }
    return joined, np.concatenate(positives)


def _cells(models: Models, weights: Array, better: float | None, *, differ: bool) -> Cells:
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
        for rows in ((2,) if seeded else (1, 2, 3)) if differ else ():
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


def _judged(
    figures: Figures, seeds: int, num_rows: int, varies: bool, counts: Array
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the shares of marked differences and of covered values, by metric."""
    marked, covered = {}, {}
    for index, metric in enumerate(METRICS):
        expected = float(np.mean([loss[:, index, :, 0].mean(dtype=float) for loss in figures]))
        first, second = (loss[:seeds, index].astype(float) for loss in figures)
        difference = second - first
        clear = is_clear(difference[..., 0], difference[..., 1:].mean(axis=0))
        likely = _intervals(difference[:, clear], DIFFERENCE, num_rows, varies)
        marked[metric] = sum(each.excludes_zero for each in likely) / len(clear)
        covers = _intervals(first[:, counts], FIGURE, num_rows, varies)
        held = [each.low <= expected <= each.high for each in covers]
        covered[metric] = float(np.mean(held)) if held else math.nan
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


def _summary(rows: list[Row], of_families: list[Row]) -> list[Row]:
    """Returns the mean and the extremes over cells of the shares of false marks and coverage."""
    false = [row for row in rows if row["cell"] != "apart"]
    null = [row for row in rows if row["cell"] == "null"]
    kinds = (("marked", false), ("covered", null), ("any", of_families), ("plain", of_families))
    shares = {
        f"{metric} {kind}": [row[f"{metric} {kind}"] for row in cells]
        for kind, cells in kinds
        for metric in METRICS
    }
    takes: dict[str, Callable[[list[float]], Any]] = {"mean": np.mean, "least": min, "most": max}
    return [
        {"cell": f"in all: {name}"} | {key: float(take(values)) for key, values in shares.items()}
        for name, take in takes.items()
    ]


def report(rows: list[Row]) -> str:
    """Returns how many cells meet the bars, and which do not, with the noise of their draws."""
    lines = []
    for what, kind, cells, bars in (
        ("of the intervals hold the expected figure", "covered", "null", COVERED),
        ("of the families of equal losses have a mark", "any", "8 ", MARKED),
    ):
        found = [
            (row, metric, row[f"{metric} {kind}"])
            for row in rows
            if row["cell"].startswith(cells) and not row["cell"].endswith("small")
            for metric in METRICS
        ]
        low, high = (100 * take(share for *_, share in found) for take in (min, max))
        missed = [each for each in found if not bars[0] <= each[2] <= bars[1]]
        lines.append(
            f"{low:.1f} to {high:.1f} % {what}; {len(found) - len(missed)} of {len(found)} cells "
            f"lie within {100 * bars[0]:.0f} to {100 * bars[1]:.0f} %."
        )
        lines += [f"MISSED: {_said(*each, bars)}" for each in missed]
    return "\n".join(lines)


def _said(row: Row, metric: str, share: float, bars: tuple[float, float]) -> str:
    """Returns a cell that misses a bar, with the standard error at the bar."""
    bar = min(bars, key=lambda each: abs(each - share))
    error = math.sqrt(bar * (1 - bar) / row["draws"])
    return (
        f"{metric}, {row['cell']}, {row['rows']} rows, {row['labels']} labels, "
        f"{row['seeds']} seeds, seed noise {row['seed noise']:g}: {100 * share:.1f} %, which is "
        f"{abs(share - bar) / error:.1f} standard errors of {row['draws']} draws beyond the bar"
    )
