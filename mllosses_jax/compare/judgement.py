"""Figures of merit on the test part, with intervals and differences to a baseline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax.compare import bootstrap
from mllosses_jax.compare.experiment import Outcome
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import apply_thresholds
from mllosses_jax.metrics import average_precision, f1, label_ranking_loss, precision_at_k

Array = jax.Array

HIGHER_IS_BETTER = {
    "map": True,
    "macro_f1_at_half": True,
    "macro_f1_tuned": True,
    "micro_f1_tuned": True,
    "ranking_loss": False,
    "precision_at_1": True,
}
NUM_RESAMPLES = 500
NUM_RESAMPLES_LARGE = 200  # for more scores per loss than these
LARGE = 5_000_000


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How one loss did.

    Attributes:
        values: (S,) by metric: one value per seed, on the test part.
        replicates: (R,) by metric: the mean over seeds on each resample.
    """

    values: dict[str, np.ndarray]
    replicates: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Difference:
    """A metric minus that of the baseline, with its interval.

    Attributes:
        mean: the difference of the means over seeds.
        low: the lower end of the 95 % interval.
        high: the upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


def num_resamples(scores: int) -> int:
    """Returns how many resamples judge a loss that has this many test scores over all seeds."""
    return NUM_RESAMPLES if scores <= LARGE else NUM_RESAMPLES_LARGE


def decide(outcome: Outcome) -> dict[str, Array]:
    """Returns the predicted label sets (S, N, L) by the F1 that they are for."""
    scores = jnp.asarray(outcome.test_scores)
    at_thresholds = jax.vmap(apply_thresholds)
    return {
        "macro_f1_at_half": scores > 0,  # sigmoid > 0.5
        "macro_f1_tuned": at_thresholds(scores, outcome.label_thresholds),
        "micro_f1_tuned": at_thresholds(scores, outcome.global_thresholds),
    }


def judge(outcome: Outcome, dataset: Dataset, resamples: bootstrap.Resamples) -> Judgement:
    """Returns the metrics of each seed and of each resample; NaN where training diverged."""
    num_seeds = len(outcome.test_scores)
    if not np.isfinite(outcome.test_scores).all():
        nothing = {name: np.full(num_seeds, math.nan) for name in HIGHER_IS_BETTER}
        return Judgement(nothing, {n: np.full(len(resamples.rows), math.nan) for n in nothing})
    scores, labels = jnp.asarray(outcome.test_scores), jnp.asarray(dataset.y_test)
    mask = dataset.mask_test
    where = jnp.ones_like(labels) if mask is None else jnp.asarray(mask)
    predictions = decide(outcome)
    values = {
        "map": _map_of_seeds(scores, labels, where),
        **{
            name: f1_of_seeds(sets, labels, where, "macro" if name.startswith("macro") else "micro")
            for name, sets in predictions.items()
        },
    }
    rows = _row_values(scores, labels, where)
    values |= {name: np.nanmean(np.asarray(row, np.float64), axis=1) for name, row in rows.items()}
    return Judgement(
        {name: np.asarray(values[name], np.float64) for name in HIGHER_IS_BETTER},
        bootstrap.replicates(
            scores,
            predictions=predictions,
            row_values=rows,
            labels=labels,
            where=where,
            resamples=resamples,
        ),
    )


def differences(judgement: Judgement, baseline: Judgement) -> dict[str, Difference]:
    """Returns the difference to the baseline by metric, on the same resamples."""
    result = {}
    for name, values in judgement.values.items():
        replicates = judgement.replicates[name] - baseline.replicates[name]
        mean = float(values.mean() - baseline.values[name].mean())
        result[name] = Difference(mean, *bootstrap.interval(mean, replicates))
    return result


def summary(judgement: Judgement, outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Returns ``{metric: {"mean", "low", "high", "values"}}`` with the seconds per seed."""
    result: dict[str, dict[str, Any]] = {}
    for name, values in judgement.values.items():
        low, high = bootstrap.interval(float(values.mean()), judgement.replicates[name])
        result[name] = _figures(values, max(low, 0.0), min(high, 1.0))
    share = float(outcome.seconds) / len(outcome.test_scores)  # the seeds are trained together
    result["seconds"] = _figures(np.full(len(outcome.test_scores), share), share, share)
    return result


def best(judgements: Mapping[str, Judgement]) -> str:
    """Returns the loss of the highest mean average precision."""
    return max(judgements, key=lambda name: np.nan_to_num(judgements[name].values["map"].mean()))


def _figures(values: np.ndarray, low: float, high: float) -> dict[str, Any]:
    return {"mean": float(values.mean()), "low": low, "high": high, "values": values.tolist()}


@jax.jit
def _map_of_seeds(scores: Array, labels: Array, where: Array) -> Array:
    result: Array = jax.lax.map(lambda seed: average_precision(seed, labels, where=where), scores)
    return result


@jax.jit(static_argnums=3)
def f1_of_seeds(
    sets: Array, labels: Array, where: Array, average: Literal["macro", "micro"] | None
) -> Array:
    """Returns F1 of the sets (S, N, L) of each seed, (S,), or with average=None (S, L)."""
    result: Array = jax.lax.map(lambda seed: f1(seed, labels, average=average, where=where), sets)
    return result


@jax.jit
def _row_values(scores: Array, labels: Array, where: Array) -> dict[str, Array]:
    """The metrics that are means over rows, in each row (S, N); NaN where nothing is known."""
    known = jnp.any(where, axis=1)

    def on_seed(seed: Array) -> dict[str, Array]:
        def on_row(row: Array, truth: Array, counts: Array) -> dict[str, Array]:
            one = (row[None, :], truth[None, :])
            return {
                "ranking_loss": label_ranking_loss(*one, where=counts[None, :]),
                "precision_at_1": precision_at_k(*one, 1, where=counts[None, :]),
            }

        values = jax.vmap(on_row)(seed, labels, where)
        return {name: jnp.where(known, value, jnp.nan) for name, value in values.items()}

    result: dict[str, Array] = jax.lax.map(on_seed, scores)
    return result
