"""How often any of several equal losses is marked, by simulation: the part of `intervals` for that.

Eight losses of the quality of the baseline are compared to it, as often as the default losses of
`mllosses compare` are. On the data sets mosaics and yeast, their differences to the baseline have
correlations of -0.4 to 0.99, half of them between 0.1 and 0.4. Families:

- "unlike": the baseline is in the middle of the losses, so that the differences have a correlation
  of 0.2. Such losses need the widest intervals.
- "alike": the losses are in two groups, with correlations of 0.9 within a group and 0.5 between.

Models either do not depend on a seed, or the quality of each seed moves the odds of its metrics,
independently for each loss.

"any" is the share of test parts on which a loss is marked by its simultaneous interval, and "plain"
the share on which one would be marked by its plain interval.
"""

from __future__ import annotations

import itertools
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
    is_clear,
    moved,
)
from mllosses_jax.compare.judgment import Judgment, simultaneous

COMPARED = 8
DRAWS = 1000
SEEDS = (2, 5)
SEED_NOISE = (0.01, 0.1, 0.3)
WITHIN = 0.8  # share of a loss's own noise that it has in common with its group


def rows(quick: bool) -> list[Row]:
    """Returns one row per family, kind of test part and number of seeds."""
    kinds = [TESTS[0]] if quick else [tests for tests in TESTS if tests.rows < 1000]
    draws = 5 if quick else DRAWS
    return [
        row
        for tests in kinds
        for name, mix in (("unlike", _in_the_middle), ("alike", _in_groups))
        for row in _rows(tests, name, _simulate(tests, draws, mix))
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


def _simulate(tests: Tests, draws: int, mix: Callable[[Array], None]) -> Figures:
    """Returns the metrics of the baseline and of each loss, on the test part and on resamples."""
    rng = np.random.default_rng(0)
    weights = drawn_weights(tests)
    parts = []
    for size in batches(tests, draws):
        models = Models(tests, size, rng, losses=1 + COMPARED)
        mix(models.noises[1:])
        parts.append(
            [
                models.metrics(models.scores(loss, seeded=False), weights)[None]
                for loss in range(1 + COMPARED)
            ]
        )
    return [np.concatenate(each, axis=2) for each in zip(*parts, strict=True)]


def _rows(tests: Tests, name: str, figures: Figures) -> list[Row]:
    result = []
    for noise, seeds in ((0.0, 1), *itertools.product(SEED_NOISE, SEEDS)):
        row: Row = {"cell": f"{COMPARED} {name}", "labels": tests.labels, "rows": tests.rows}
        row |= {"seed noise": noise, "seeds": seeds, "draws": figures[0].shape[2]}
        together, plain = _marked(moved(figures, noise, seeds), tests.rows, varies=seeds > 1)
        row |= {f"{metric} any": share for metric, share in together.items()}
        row |= {f"{metric} plain": share for metric, share in plain.items()}
        result.append(row)
        print(row)
    return result


def _marked(
    figures: Figures, num_rows: int, *, varies: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns how often a loss is marked by simultaneous and by plain intervals, by metric."""
    values = np.stack([loss[..., 0] for loss in figures]).astype(float)
    replicates = np.stack([loss[..., 1:].mean(axis=0) for loss in figures]).astype(float)
    together, plain = {}, {}
    for place, metric in enumerate(METRICS):
        of_models, drawn = values[:, :, place], replicates[:, place]
        clear = is_clear(of_models[1:] - of_models[0], drawn[1:] - drawn[0])
        marks = np.zeros((2, clear.shape[1]))
        for test in np.flatnonzero(clear.any(axis=0)):
            base, *others = (
                Judgment(
                    {metric: of_models[loss, :, test]},
                    {metric: drawn[loss, test]},
                    varies,
                    num_rows,
                )
                for loss in range(len(figures))
            )
            likely = itertools.compress(others, clear[:, test])
            marks[1, test] = any(each.difference(base, metric).excludes_zero for each in likely)
            # Simultaneous intervals hold the plain ones, so they mark nothing else.
            if marks[1, test]:
                found = simultaneous({str(k): each for k, each in enumerate(others)}, base, metric)
                marks[0, test] = any(each.excludes_zero for each in found.values())
        together[metric], plain[metric] = marks.mean(axis=1).tolist()
    return together, plain
