"""The experiments: what is trained, how it is judged, and what decides between losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mllosses_jax.compare import grids, judgment, linear, steps_search, thresholds
from mllosses_jax.compare.bound_loss import HeadLoss, bind_to_head
from mllosses_jax.compare.choice import AnyChoice
from mllosses_jax.compare.judgment import Judgment, Metric
from mllosses_jax.compare.large import judgment as large_judgment
from mllosses_jax.compare.large import linear as large_linear
from mllosses_jax.compare.large import thresholds as large_thresholds
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.settings import ExperimentName
from mllosses_jax.compare.strengths import PASSES
from mllosses_jax.compare.thresholds import Thresholds
from mllosses_jax.data import Dataset


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        passes: the number of times that `run` reports a pass, about.
        bind: gives a loss what it needs from the data set, in each of its settings.
        run: chooses a setting of a loss and trains its models.
        outcome: what `run` returns.
        judge: gives the metrics of an outcome.
        thresholds: gives its thresholds.
        metrics: the metrics, by name.
        leading: the metric in which a loss must be ahead of the baseline to be recommended.
    """

    passes: int
    bind: Callable[..., Any]
    run: Callable[..., Any]
    outcome: type[Outcome | RankedOutcome]
    judge: Callable[..., Judgment]
    thresholds: Callable[..., Thresholds]
    metrics: Mapping[str, Metric]
    leading: str


def _of_all_scores(passes: int, run: Callable[..., Outcome]) -> Experiment:
    return Experiment(
        passes,
        grids.bind_settings,
        run,
        Outcome,
        judgment.judge,
        thresholds.thresholds,
        judgment.METRICS,
        leading="map",
    )


def _bind_settings_to_head(choice: AnyChoice, dataset: Dataset) -> tuple[HeadLoss, ...]:
    return tuple(bind_to_head(setting, dataset) for setting in grids.settings_of(choice))  # type: ignore[arg-type]


EXPERIMENTS: Mapping[ExperimentName, Experiment] = {
    "linear": _of_all_scores(PASSES, linear.run),
    "mlp": _of_all_scores(steps_search.PASSES, steps_search.run),
    "own": _of_all_scores(steps_search.PASSES, steps_search.run),
    "linear_head": Experiment(
        PASSES,
        _bind_settings_to_head,
        grids.one_by_one(large_linear.run),
        RankedOutcome,
        large_judgment.judge,
        large_thresholds.thresholds,
        large_judgment.METRICS,
        leading="ndcg_at_5",
    ),
}
