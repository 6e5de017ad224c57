"""Thresholds tuned on given scores, with what they gain where they were not tuned."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

from mllosses_jax import decisions
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.score_metrics import in_precision_of
from mllosses_jax.data.scores import ScoreTable

BASELINE = {"logits": 0.0, "probabilities": 0.5}  # the threshold of whoever has tuned none


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
        beta: of "fbeta".
        scope: one threshold per "label", or a "global" one.
        min_positives: labels with fewer take the global threshold; None as in `tune_thresholds`.
        shrinkage: how many positives the data of all labels count for in that of each label.
        folds: of the cross-validation.
        seed: of the folds and the bootstrap.

    Returns:
        The report of `decisions.threshold_report`, whose settings hold these options too.

    Raises:
        UsageError: the options contradict each other or the data.
    """
    if objective == "f1" and beta != 1:
        raise UsageError(f"beta {beta:g} is of --objective fbeta; give it, or leave --beta out")
    if scope == "global" and shrinkage:
        raise UsageError("--shrinkage is towards the global threshold; leave it out, or --scope")
    check_folds(table, folds)
    if not table.labels.any():
        raise UsageError("no label has a positive, so that there is nothing to tune on")
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
    """Raises unless there is a row for each fold, and more than one fold."""
    if not 2 <= folds <= len(table.scores):
        raise UsageError(
            f"--folds is {folds}, and must be between 2 and the number of rows, {len(table.scores)}"
        )
