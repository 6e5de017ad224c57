"""Checks of the labels of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit

from mllosses_jax.compare.card import FEW_POSITIVES
from mllosses_jax.compare.checks.check import check, with_all_scores
from mllosses_jax.compare.validation import MIN_POSITIVES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


@check(
    "MLC001",
    "issue",
    title="Labels have no positive in a part of the data",
    why="A label without a training positive cannot be learned. A label without a test positive "
    "does not enter mAP and ROC AUC, and its F1 is 0 whatever is predicted.",
    remedy="Add rows with these labels, merge or drop the labels, or give the data without a test "
    "part: it is then drawn so that rare labels are in both parts.",
)
def without_positives(comparison: Comparison) -> Iterator[str]:
    """Yields the numbers of positives of labels that have none in a part."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    training = (dataset.y_train & dataset.known_train).sum(0)
    test = (dataset.y_test & dataset.known_test).sum(0)
    for place in np.flatnonzero((training == 0) | (test == 0)):
        yield (
            f"{dataset.label_names[place]}: {training[place]} in the training part, "
            f"{test[place]} in the test part"
        )


@check(
    "MLC012",
    "tip",
    title="Labels always go together",
    why="Two labels that are never apart are one label under two names: it counts twice in every "
    "mean over labels, and losses over pairs of labels learn nothing from the pair.",
    remedy="Merge them, or find out why no row has only one of them.",
)
def always_together(comparison: Comparison) -> Iterator[str]:
    """Yields pairs of labels that agree in every row where both are known."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    known = np.concatenate([dataset.known_train, dataset.known_test])
    labels = csr_matrix(np.concatenate([dataset.y_train, dataset.y_test]) & known, dtype=np.int32)
    both = (labels.T @ labels).tocoo()
    # Rarer labels may go together by chance.
    chosen = (both.row < both.col) & (both.data >= MIN_POSITIVES)
    first, second, times = both.row[chosen], both.col[chosen], both.data[chosen]
    totals = np.asarray(labels.sum(0)).ravel()
    of_unknown = (labels.T @ csr_matrix(~known, dtype=np.int32)).tocsr()
    never_apart = np.ones(len(times), bool)
    for one, other in ((first, second), (second, first)):
        never_apart &= times == totals[one] - np.asarray(of_unknown[one, other]).ravel()
    names = dataset.label_names
    order = np.lexsort((second, first))
    for place in order[never_apart[order]]:
        yield (
            f"{names[first[place]]} and {names[second[place]]}: {times[place]} times together, "
            "never apart"
        )


@check(
    "MLC013",
    "tip",
    title="Labels may be wrong",
    why="A model that was not trained on these rows is confident of the opposite (confident "
    "learning: C. G. Northcutt, L. Jiang and I. L. Chuang, 2021, arXiv:1911.00068). Wrong labels "
    "cost training rows their use, and wrong test labels can reverse a comparison.",
    remedy="Look at these rows of `comparison.dataset.x_train`, the most suspicious first, and "
    "correct or mask what is wrong. Do not correct them unseen: rare but right rows look the same.",
)
def likely_errors(comparison: Comparison) -> Iterator[str]:
    """Yields training labels that the baseline contradicts, by calibrated held-out scores.

    A given label is contradicted if the probability of the other class is at least the mean
    probability of that class among its own rows, while the probability of the given class is below
    half of the mean among its rows. Labels that the model does not tell apart, of which one of the
    two means is below one half, or which have few rows of a class, are left out.
    """
    outcome = dict(with_all_scores(comparison)).get(comparison.baseline)
    if outcome is None or not np.isfinite(outcome.held.scores).all():
        return
    labels, known = outcome.held.labels(comparison.dataset)
    calibrator = outcome.decisions.calibrator
    slope, bias = np.asarray(calibrator.slope), np.asarray(calibrator.bias)
    positive = expit(outcome.held.scores * slope + bias)
    given = np.where(labels, positive, 1 - positive)
    classes = (~labels & known, labels & known)
    counts = [rows.sum(0) for rows in classes]
    means = [
        (given * rows).sum(0) / np.maximum(count, 1)
        for rows, count in zip(classes, counts, strict=True)
    ]
    told_apart = (np.minimum(*counts) >= FEW_POSITIVES) & (np.minimum(*means) >= 0.5)
    own, other = np.where(labels, means[1], means[0]), np.where(labels, means[0], means[1])
    suspicious = known & told_apart & (1 - given >= other) & (given < own / 2)
    places = np.argwhere(suspicious)
    for row, label in places[np.argsort(given[suspicious], kind="stable")]:
        yield (
            f"training row {outcome.held.rows[row]}, {comparison.dataset.label_names[label]}: "
            f"given {int(labels[row, label])}, probability {positive[row, label]:.3f}"
        )
