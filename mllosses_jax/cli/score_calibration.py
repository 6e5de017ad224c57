"""Calibrators fitted to given scores, with what they change where they were not fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mllosses_jax import calibration, metrics
from mllosses_jax.calibration.files import OtherLabels
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.score_metrics import in_precision_of, probability_metrics
from mllosses_jax.cli.score_thresholds import check_folds
from mllosses_jax.data.scores import NAMELESS, ScoreTable

METHODS: Mapping[str, Callable[..., calibration.Calibrator]] = {
    "platt": calibration.fit_platt,
    "temperature": calibration.fit_temperature,
    "bias": calibration.fit_bias,
    "beta": calibration.fit_beta,
    "isotonic": calibration.fit_isotonic,
}
LARGEST_LOGIT = 40.0  # of a probability of 0 or 1; float64 has none nearer to 1 than 37 is


@dataclass(frozen=True)
class Calibration:
    """A calibrator and what it does to rows that it was not fitted to.

    Attributes:
        calibrator: fitted to all rows: the one to use.
        before: metrics of the scores as they are.
        after: the same of every row calibrated by a fit to the other folds.
    """

    calibrator: calibration.Calibrator
    before: dict[str, float]
    after: dict[str, float]


def calibrate(
    table: ScoreTable,
    *,
    method: str = "platt",
    scope: Literal["label", "global"] = "label",
    shrinkage: float = 2.0,
    folds: int = 5,
    seed: int = 0,
) -> Calibration:
    """Fits a calibrator of `mllosses_jax.calibration` and judges it by cross-validation.

    Args:
        table: scores and labels.
        method: a key of `METHODS`.
        scope: one map per "label", or a "global" one.
        shrinkage: how many observations the common map counts for in that of each label.
        folds: of the cross-validation; rows are dealt out at random.
        seed: of the folds.

    Returns:
        The calibrator, and metrics before and after, held out.

    Raises:
        UsageError: there are fewer rows than folds.
    """
    check_folds(table, folds)
    known = table.known()
    fold = np.random.default_rng(seed).permutation(len(known)) % folds
    with in_precision_of(table.scores):
        logits = logits_of(table)
        held_out = np.empty_like(logits)

        def fitted(rows: NDArray[np.bool_]) -> calibration.Calibrator:
            return METHODS[method](
                logits,
                table.labels,
                scope=scope,
                shrinkage=float(shrinkage),
                where=known & rows[:, None],
            )

        for number in range(folds):
            part = fold == number
            # All rows go through, so that every fold shares one compiled program.
            held_out[part] = np.asarray(fitted(~part)(logits))[part]
        return Calibration(
            calibrator=fitted(np.ones(len(known), bool)),
            before=judged(table, table.scores, table.inputs),
            after=judged(table, held_out, "probabilities"),
        )


def apply(table: ScoreTable, path: Path) -> NDArray[Any]:
    """Returns the probabilities (N, L) that a saved calibrator makes of scores.

    Raises:
        UsageError: the file is no calibrator, or not of these labels.
    """
    with in_precision_of(table.scores):
        try:
            calibrator = calibration.load(path, table.label_names)
        except OtherLabels as error:
            remedy = "it and the scores need the same label names" if table.named else NAMELESS
            raise UsageError(f"{error}; {remedy}") from None
        except ValueError as error:
            raise UsageError(f"{error}; give a file of `mllosses calibrate`") from None
        return np.asarray(calibrator(logits_of(table)))


def logits_of(table: ScoreTable) -> NDArray[Any]:
    """Returns logits: of probabilities log p − log(1 − p), within ±`LARGEST_LOGIT`."""
    if table.inputs == "logits":
        return table.scores
    with np.errstate(divide="ignore", invalid="ignore"):  # beyond [0, 1] where nothing counts
        logits = np.log(table.scores) - np.log1p(-table.scores)
    clipped: NDArray[Any] = np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return clipped


def judged(table: ScoreTable, scores: NDArray[Any], inputs: str) -> dict[str, float]:
    """Returns how good scores of the table's rows are as probabilities, and how well they rank.

    A map per label changes the order of the labels of a row, and so the ranking metrics.
    """
    with in_precision_of(scores):
        where = table.where
        found = probability_metrics(scores, table.labels, inputs=inputs, where=where) | {
            "map_micro": metrics.average_precision(
                scores, table.labels, average="micro", where=where
            ),
            "lrap": metrics.label_ranking_average_precision(scores, table.labels, where=where),
        }
    return {name: float(value) for name, value in found.items()}
