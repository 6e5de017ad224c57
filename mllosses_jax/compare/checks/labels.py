"""Checks of the labels of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit

from mllosses_jax.compare import parts
from mllosses_jax.compare.card import first_part
from mllosses_jax.compare.checks import label_noise
from mllosses_jax.compare.checks.check import check, with_all_scores
from mllosses_jax.compare.validation import MIN_POSITIVES

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

ENOUGH = 30  # rows of each class of a label whose rate of wrong labels is estimated
SUSPICIOUS = 0.9  # the probability from which on a label is named


@check(
    "MLC001",
    "issue",
    title="Labels have no positive in a part of the data",
    why="A label without a training positive cannot be learned. A label without a test positive "
    "does not enter mAP and ROC AUC, and its F1 is 0 whatever is predicted. One without a positive "
    "in a validation part of your own has no say in what is chosen.",
    remedy="Add rows with these labels, merge or drop the labels, or give the data without a test "
    "part: it is then drawn so that rare labels are in both parts.",
)
def without_positives(comparison: Comparison) -> Iterator[str]:
    """Yields the numbers of positives of labels that have none in a part."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    counts = {
        first_part(dataset): (dataset.y_train & dataset.known_train).sum(0),
        "test": (dataset.y_test & dataset.known_test).sum(0),
    }
    if dataset.y_validation is not None:
        pool = parts.pool(dataset)
        counts["validation"] = (pool.y & pool.known).sum(0)
    for place in np.flatnonzero(np.min(list(counts.values()), axis=0) == 0):
        in_parts = ", ".join(f"{of[place]} in the {part} part" for part, of in counts.items())
        yield f"{dataset.label_names[place]}: {in_parts}"


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
    why="Labels contradict the scores of a model that has not seen these rows, and more often than "
    "its calibrated scores explain, so some labels of this kind are wrong (confident learning: "
    "C. G. Northcutt, L. Jiang and I. L. Chuang, 2021, arXiv:1911.00068). Wrong labels cost "
    "training rows their use, and wrong test labels can reverse a comparison. Rows are counted "
    "from 0 in their file, without its header and blank lines.",
    remedy="Look at these rows, the most suspicious first, and correct or mask what is wrong. Do "
    "not correct them unseen: rare but right rows look the same, and some of these are right.",
    lasting=True,
)
def likely_errors(comparison: Comparison) -> Iterator[str]:
    """Yields held-out labels that are wrong with a probability of at least `SUSPICIOUS`.

    The scores are those of the baseline. Labels with few rows of a class are left out, as a rate of
    wrong ones cannot be told from so few.
    """
    outcome = dict(with_all_scores(comparison)).get(comparison.baseline)
    if outcome is None or not np.isfinite(outcome.held.scores).all():
        return
    dataset, pool = comparison.dataset, parts.pool(comparison.dataset)
    rows, place = np.unique(outcome.held.rows, return_inverse=True)
    scores = np.zeros((len(rows), outcome.held.scores.shape[1]), np.float32)
    np.add.at(scores, place.reshape(-1), outcome.held.scores)
    scores /= np.bincount(place.reshape(-1))[:, None]  # a row has a score of each model
    labels, known = pool.y[rows], pool.known[rows]
    chance = np.zeros(scores.shape)
    for label, counted in enumerate(known.T):
        truth = labels[counted, label]
        if min(np.count_nonzero(truth), np.count_nonzero(~truth)) >= ENOUGH:
            chance[counted, label] = label_noise.wrong(scores[counted, label], truth)
    calibrator = outcome.decisions.calibrator
    positive = expit(scores * np.asarray(calibrator.slope) + np.asarray(calibrator.bias))
    part = first_part(dataset) if dataset.y_validation is None else "validation"
    places = np.argwhere(chance >= SUSPICIOUS)
    for row, label in places[np.argsort(-chance[chance >= SUSPICIOUS], kind="stable")]:
        yield (
            f"{part} row {pool.file_rows[rows[row]]}, {dataset.label_names[label]}: given "
            f"{int(labels[row, label])}, probability {positive[row, label]:.3f}"
        )
