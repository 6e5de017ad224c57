"""How often any of several equal losses is marked, by simulation: the part of `intervals` for that.

Eight losses of the quality of the baseline are compared to it, as often as the default losses of
`mllosses compare` are. On the data sets mosaics and yeast, their differences to the baseline have
correlations of -0.4 to 0.99, half of them between 0.1 and 0.4. Families:

- "unlike": the baseline is in the middle of the losses, so that the differences have a correlation
  of 0.2. Such losses need the widest intervals.
- "alike": the losses are in two groups, with correlations of 0.9 within a group and 0.5 between.

"any" is the share of test parts on which a loss is marked by its simultaneous interval, and "plain"
the share on which one would be marked by its plain interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from benchmarks.simulated_models import (
    METRICS,
    TESTS,
    Array,
    Figures,
    Models,
    Row,
    Tests,
    batches,
    drawn_weights,
    moved,
)
from mllosses_jax.compare.judgment import Judgment, simultaneous

COMPARED = 8
SEEDS = (2, 5)
SEED_NOISE = (0.0, 0.01, 0.3)
WITHIN = 0.8  # share of a loss's own noise that it has in common with its group


def rows(quick: bool) -> list[Row]:
    """Returns one row per family, kind of test part and number of seeds."""
    kinds = [TESTS[0]] if quick else [tests for tests in TESTS if tests.rows < 1000]
    draws = 5 if quick else 1000
    return [
        row
        for tests in kinds
        for name, mix in (("unlike", _in_the_middle), ("alike", _in_groups))
        for seeded in (False, True)
        for row in _rows(tests, name, _simulate(tests, draws, mix, seeded), seeded)
    ]


def _in_the_middle(own: Array) -> None:
    """Makes the noise of the baseline (the first) the sum of that of the losses, scaled."""
    own[0] = own[1:].sum(axis=0) / math.sqrt(COMPARED)


def _in_groups(own: Array) -> None:
    """Gives each half of the losses noise in common, which is that of its first loss."""
    half = COMPARED // 2
    for first in (1, 1 + half):
        others = slice(first + 1, first + half)
        own[others] = math.sqrt(WITHIN) * own[first] + math.sqrt(1 - WITHIN) * own[others]


def _simulate(tests: Tests, draws: int, mix: Callable[[Array], None], seeded: bool) -> Figures:
    """Returns the metrics of the baseline and of each loss, on the test part and on resamples."""
    rng = np.random.default_rng(0)
    weights = drawn_weights(tests)
    parts = []
    for size in batches(tests, draws):
        models = Models(tests, size, rng, losses=1 + COMPARED)
        mix(models.noises[1:])
        of_loss = [
            [
                models.metrics(models.scores(loss, seeded=seeded), weights)
                for _ in range(max(SEEDS) if seeded else 1)
            ]
            for loss in range(1 + COMPARED)
        ]
        parts.append([np.stack(each) for each in of_loss])
    return [np.concatenate(each, axis=2) for each in zip(*parts, strict=True)]


def _rows(tests: Tests, name: str, figures: Figures, seeded: bool) -> list[Row]:
    result = []
    for noise in SEED_NOISE if seeded else (0.0,):
        after = moved(figures, noise)
        for seeds in SEEDS if seeded else (1,):
            row: Row = {"cell": f"{COMPARED} {name}", "labels": tests.labels, "rows": tests.rows}
            row |= {"seed noise": noise, "seeds": seeds}
            together, plain = _marked([loss[:seeds] for loss in after], tests.rows, seeded)
            row |= {f"{metric} any": share for metric, share in together.items()}
            row |= {f"{metric} plain": share for metric, share in plain.items()}
            result.append(row)
    return result


def _marked(
    figures: Figures, num_rows: int, varies: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns how often a loss is marked by simultaneous and by plain intervals, by metric."""
    together, plain = {}, {}
    for place, metric in enumerate(METRICS):
        marks = []
        for test in range(figures[0].shape[2]):
            base, *others = (
                Judgment(
                    {metric: loss[:, place, test, 0].astype(float)},
                    {metric: loss[:, place, test, 1:].mean(axis=0, dtype=float)},
                    varies,
                    num_rows,
                )
                for loss in figures
            )
            judged = {str(number): each for number, each in enumerate(others)}
            found = simultaneous(judged, base, metric).values()
            alone = (each.difference(base, metric) for each in others)
            marks.append([any(i.excludes_zero for i in kind) for kind in (found, alone)])
        together[metric], plain[metric] = np.mean(marks, axis=0).tolist()
    return together, plain
