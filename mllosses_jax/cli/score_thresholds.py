"""Thresholds tuned on given scores, and what they gain on held-out rows."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

from mllosses_jax import decisions
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.score_metrics import in_precision_of
from mllosses_jax.data.scores import ScoreTable

BASELINE = {"logits": 0.0, "probabilities": 0.5}  # the threshold of untuned decisions


def tune(
    table: ScoreTable,
    *,
    objective: Literal["f1", "fbeta"] = "f1",
    beta: float = 1.0,
    scope: Literal["label", "global"] = "label",
    min_positives: int | None = None,
    shrinkage: float = 0,
    folds: int = 5,
    seed: int = 0,
) -> decisions.ThresholdReport:
    """Tunes thresholds by `decisions.tune_thresholds` and judges them by cross-validation.

    Args:
        table: scores and labels.
        objective: "f1", or "fbeta" with `beta`.
        beta: the beta of "fbeta".
        scope: one threshold per "label", or one "global" threshold.
        min_positives: labels with fewer positives take the global threshold; None is the default
            of `tune_thresholds`.
        shrinkage: weight of the data of all labels in each label's threshold, in positives.
        folds: number of folds of the cross-validation.
        seed: seed of the folds and of the bootstrap.

    Returns:
        The report of `decisions.threshold_report`, whose settings include these options.

    Raises:
        UsageError: the options contradict each other or the data.
    """
    if objective == "f1" and beta != 1:
        raise UsageError(f"--beta {beta:g} needs --objective fbeta; give both, or leave --beta out")
    if scope == "global" and shrinkage:
        raise UsageError(
            "--shrinkage needs a threshold per label; leave out --shrinkage or --scope"
        )
    check_folds(table, folds)
    if not table.labels.any():
        raise UsageError("no label has a positive, so there is nothing to tune on")
    options: dict[str, Any] = {
        "objective": objective,
        "scope": scope,
        "min_positives": min_positives,
        "shrinkage": shrinkage or 0,
    }
    with in_precision_of(table.scores):
        report = decisions.threshold_report(
            table.scores,
            table.labels,
            inputs=table.inputs,
            tune=functools.partial(
                decisions.tune_thresholds,
                beta=1 if objective == "f1" else float(beta),
                default=BASELINE[table.inputs],
                **options,
            ),
            beta=beta,
            folds=folds,
            seed=seed,
            label_names=table.label_names,
            where=table.where,
        )
    return dataclasses.replace(report, settings={**report.settings, **options})


def check_folds(table: ScoreTable, folds: int) -> None:
    """Raises unless there are at least two folds and a row for each of them."""
    if not 2 <= folds <= len(table.scores):
        raise UsageError(
            f"--folds must be between 2 and the number of rows, {len(table.scores)}, got {folds}"
        )
