"""Decisions based on scores of held-out rows: settings, thresholds and calibration."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax.calibration import AffineCalibrator, fit_platt
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import tune_thresholds
from mllosses_jax.metrics import average_precision

Floats = NDArray[np.float32]

MIN_POSITIVES = 5  # a label with fewer positives takes the common threshold


class Held(NamedTuple):
    """Scores of training rows by models that were not trained on them.

    Attributes:
        rows: (V,) places in the training part, all different.
        scores: (V, L), logits.
    """

    rows: NDArray[np.intp]
    scores: Floats

    def labels(self, dataset: Dataset) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Returns the labels of the rows and which labels are known, both (V, L)."""
        return dataset.y_train[self.rows], dataset.known_train[self.rows]


class Decisions(NamedTuple):
    """The thresholds and the calibrator that were tuned on held-out scores.

    Attributes:
        label_thresholds: thresholds (L,) for macro-F1.
        global_threshold: a threshold () for micro-F1.
        calibrator: the Platt calibrator of each label, from logits to probabilities.
    """

    label_thresholds: Floats
    global_threshold: Floats
    calibrator: AffineCalibrator


class _Tuned(NamedTuple):
    """The fields of `Decisions` as JAX arrays."""

    by_label: Array
    common: Array
    calibrator: AffineCalibrator


def quality(held: Held, dataset: Dataset) -> float:
    """Returns the mean of average precision by label (mAP) and by row, or -inf after divergence.

    With mAP alone, labels with one or two positives would decide, and nearly equal mAP can come
    with very unequal F1 and ranking.
    """
    if not np.isfinite(held.scores).all():  # training may diverge
        return -math.inf
    found = float(_quality(held.scores, *held.labels(dataset)))
    return -math.inf if math.isnan(found) else found


def decide(held: Held, dataset: Dataset, *, tune: bool = True) -> Decisions:
    """Tunes thresholds and fits a calibrator; scores that are not finite give neutral ones.

    Args:
        held: the scores of held-out rows.
        dataset: the data set, with their labels.
        tune: whether to tune thresholds, which are 0 otherwise: the model has learned its own.
    """
    num_labels = held.scores.shape[1]
    if not np.isfinite(held.scores).all():
        zeros = np.zeros(num_labels, np.float32)
        return Decisions(
            zeros, zeros[0], AffineCalibrator(jnp.ones(num_labels), jnp.zeros(num_labels))
        )
    found = _decide(held.scores, *held.labels(dataset))
    by_label, common = np.asarray(found.by_label), np.asarray(found.common)
    if not tune:
        by_label, common = np.zeros_like(by_label), np.zeros_like(common)
    return Decisions(by_label, common, found.calibrator)


@jax.jit
def _quality(scores: Array, labels: Array, where: Array) -> Array:
    by_label = average_precision(scores, labels, where=where)
    return (by_label + average_precision(scores, labels, average="samples", where=where)) / 2


@jax.jit
def _decide(scores: Array, labels: Array, where: Array) -> _Tuned:
    def tuned(scope: Literal["label", "global"]) -> Array:
        return tune_thresholds(
            scores, labels, scope=scope, min_positives=MIN_POSITIVES, default=0, where=where
        )

    return _Tuned(tuned("label"), tuned("global"), fit_platt(scores, labels, where=where))
