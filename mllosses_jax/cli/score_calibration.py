"""Calibrators fitted to given scores, and what they change on held-out rows."""

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
LARGEST_LOGIT = 40.0  # stands for a probability of 1; the float64 below 1 has the logit 37


@dataclass(frozen=True)
class Calibration:
    """A calibrator and its effect on rows that it was not fitted to.

    Attributes:
        calibrator: the calibrator to use, fitted to all rows.
        before: metrics of the scores as they are.
        after: the same metrics, with every row calibrated by a fit to the other folds.
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
        scope: one map per "label", or one "global" map.
        shrinkage: weight of the common map in that of each label, in observations.
        folds: number of folds of the cross-validation; rows are assigned to them at random.
        seed: seed of the folds.

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
            # All rows are calibrated, so that the folds share one compiled program.
            held_out[part] = np.asarray(fitted(~part)(logits))[part]
        return Calibration(
            calibrator=fitted(np.ones(len(known), bool)),
            before=judged(table, table.scores, table.inputs),
            after=judged(table, held_out, "probabilities"),
        )


def apply(table: ScoreTable, path: Path) -> NDArray[Any]:
    """Returns the probabilities (N, L) that a saved calibrator makes of scores.

    Raises:
        UsageError: the file holds no calibrator, or one for other labels.
    """
    with in_precision_of(table.scores):
        try:
            calibrator = calibration.load(path, table.label_names)
        except OtherLabels as error:
            remedy = "both need the same label names" if table.named else NAMELESS
            raise UsageError(f"{error}; {remedy}") from None
        except ValueError as error:
            raise UsageError(f"{error}; give a file that `mllosses calibrate` wrote") from None
        return np.asarray(calibrator(logits_of(table)))


def logits_of(table: ScoreTable) -> NDArray[Any]:
    """Returns the logits, log p − log(1 − p) for probabilities, within ±`LARGEST_LOGIT`."""
    if table.inputs == "logits":
        return table.scores
    with np.errstate(divide="ignore", invalid="ignore"):  # unknown entries may be outside [0, 1]
        logits = np.log(table.scores) - np.log1p(-table.scores)
    clipped: NDArray[Any] = np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return clipped


def judged(table: ScoreTable, scores: NDArray[Any], inputs: str) -> dict[str, float]:
    """Returns how good the scores of the rows are as probabilities, and how well they rank.

    A map per label changes the order of the labels in a row, and so the ranking metrics.
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
