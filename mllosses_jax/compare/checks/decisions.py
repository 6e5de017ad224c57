"""Checks of thresholds and of probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.card import FEW_POSITIVES
from mllosses_jax.compare.checks.check import check, num_diverged, with_all_scores
from mllosses_jax.compare.large import judgment as large_judgment
from mllosses_jax.compare.large.outcome import RankedOutcome
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.data import Dataset

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

FAR_SLOPE = 1.5  # a slope above it, or below one over it, is far from 1


@check(
    "MLC005",
    "tip",
    title="The gain of thresholds per label does not hold out",
    why="On the rows that they were tuned on, thresholds per label raise macro-F1. On the test "
    "rows the gain over a logit of 0 is smaller, and may be none.",
    remedy="Take the common threshold (global_threshold.json), or tune with more rows, or with "
    "shrinkage for rare labels (decisions.tune_thresholds).",
)
def gain_not_held_out(comparison: Comparison) -> Iterator[str]:
    """Yields gains on tuning rows that are outside the test part's interval, which has zero."""
    for label, outcome in with_all_scores(comparison):
        by_label = comparison.thresholds[label].by_label
        if by_label is None or not comparison.is_comparable(label, "macro_f1_at_half"):
            continue
        gain, promised = by_label.macro, _gain_on_tuning_rows(outcome, comparison.dataset)
        if gain.low <= 0 and promised > max(gain.high, 0):
            yield (
                f"{label}: {promised:+.3f} on the rows of tuning, "
                f"{gain.gain:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) on test rows"
            )


def _gain_on_tuning_rows(outcome: Outcome, dataset: Dataset) -> float:
    """Returns macro-F1 at the thresholds per label minus that at 0, on the held-out rows."""
    labels, known = outcome.held.labels(dataset)
    true, counted = labels & known, known.any(0)

    def macro_f1(sets: NDArray[np.bool_]) -> float:
        both = (sets & known).sum(0) + true.sum(0)
        return float(np.mean((2 * (sets & true).sum(0) / np.maximum(both, 1))[counted]))

    scores = outcome.held.scores
    return macro_f1(scores >= outcome.decisions.label_thresholds) - macro_f1(scores > 0)


@check(
    "MLC006",
    "tip",
    title="Probabilities are too extreme, or not extreme enough",
    why="The calibration slope is the factor that turns the logits of held-out rows into true log "
    "odds. Below 1, sigmoid(logit) is too close to 0 and 1; above 1, it is too close to 0.5.",
    remedy="Use calibrated probabilities (calibrator.json, or `mllosses calibrate`) where a "
    "probability is used as such. Rankings and tuned thresholds are not concerned.",
)
def slope_off(comparison: Comparison) -> Iterator[str]:
    """Yields losses whose median slope over labels is far from 1, if logits are log odds."""
    for label, outcome in with_all_scores(comparison):
        if not comparison.is_comparable(label, "calibration_error"):
            continue
        labels, known = outcome.held.labels(comparison.dataset)
        fewer = np.minimum((labels & known).sum(0), (~labels & known).sum(0))
        slopes = np.asarray(outcome.decisions.calibrator.slope)[fewer >= FEW_POSITIVES]
        if not slopes.size:
            continue
        median = float(np.median(slopes))
        if not 1 / FAR_SLOPE <= median <= FAR_SLOPE:
            far = np.count_nonzero((slopes < 1 / FAR_SLOPE) | (slopes > FAR_SLOPE))
            yield (
                f"{label}: median slope {median:.2f}; {far} of {len(slopes)} labels are below "
                f"{1 / FAR_SLOPE:.2f} or above {FAR_SLOPE:.2f}"
            )


@check(
    "MLC011",
    "issue",
    title="Labels with test positives are never predicted",
    why="At the tuned threshold no test row gets the label, so its recall and F1 are 0.",
    remedy="Lower the threshold by hand or by proportions (`decisions.proportional_thresholds`), "
    "give positives more weight, or collect more of them.",
)
def never_predicted(comparison: Comparison) -> Iterator[str]:
    """Yields labels that a loss never predicts, those with the most test positives first."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    positives = (dataset.y_test & dataset.known_test).sum(0)
    never = {
        label: ~_predicted(outcome, dataset)
        for label, outcome in comparison.outcomes.items()
        if not num_diverged(outcome)
    }
    for place in np.argsort(-positives, kind="stable"):
        losses = [label for label, labels in never.items() if labels[place]]
        if losses and positives[place]:
            by = "any loss" if len(losses) == len(never) > 1 else ", ".join(losses)
            name = dataset.label_names[place]
            yield f"{name} (test positives: {positives[place]}): not under {by}"


def _predicted(outcome: Outcome | RankedOutcome, dataset: Dataset) -> NDArray[np.bool_]:
    """Returns which labels (L,) are predicted for a known entry of the test part by any model."""
    known = dataset.known_test
    if isinstance(outcome, Outcome):
        sets = outcome.test_scores >= outcome.decisions.label_thresholds
        return np.asarray((sets & known).any((0, 1)))
    found = np.zeros(known.shape[1], bool)
    for ranked in outcome.test:
        chosen = large_judgment.predicted(ranked, float(outcome.global_threshold))
        rows, _ = np.nonzero(chosen)
        ids = ranked.ids[chosen]
        found[ids[known[rows, ids]]] = True
    return found
