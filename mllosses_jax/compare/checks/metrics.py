"""Checks of what metrics rest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core import intervals
from mllosses_jax.compare import resampling
from mllosses_jax.compare.card import FEW_POSITIVES
from mllosses_jax.compare.checks.check import check, with_all_scores
from mllosses_jax.compare.references import PRIOR

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

MOST_TIED = 0.001  # of the pairs; half of it is what ROC AUC may be off by


@check(
    "MLC003",
    "issue",
    title="Losses are worse than constant scores",
    why="The prior scores every row by the frequencies of the labels. A loss below it, in mAP or, "
    "over very many labels, in nDCG@5, ranks worse than if its model had not seen the features.",
    remedy="Look for labels or rows in a wrong order in one of the parts, for test rows of another "
    "kind than the training rows, and for parameters that turn the loss around. Over very many "
    "labels, more rows or another model may be needed.",
)
def below_prior(comparison: Comparison) -> Iterator[str]:
    """Yields losses below the prior, by the interval of the difference in the leading metric."""
    prior = comparison.reference_judgments.get(PRIOR)
    if prior is None:  # references are judged after the losses
        return
    leading = comparison.experiment.leading
    heading = comparison.metrics[leading].heading
    constant = float(prior.values[leading].mean())
    for label, judged in comparison.judgments.items():
        difference = judged.difference(prior, leading)
        if difference.excludes_zero and difference.mean < 0:
            yield (
                f"{label}: {heading} {constant + difference.mean:.3f} against {constant:.3f}, a "
                f"difference of {difference.low:+.3f} to {difference.high:+.3f}"
            )


@check(
    "MLC009",
    "tip",
    title=f"Metrics of labels rest on fewer than {FEW_POSITIVES} test positives",
    why="Average precision and F1 of such a label change much with a single row, and means over "
    "labels count it as much as any other. Where labels have fewer than "
    f"{intervals.MIN_POSITIVES}, intervals of means over labels are rough.",
    remedy="Read the metrics of these labels with care, compare micro averages too, or give more "
    "test rows.",
)
def few_positives(comparison: Comparison) -> Iterator[str]:
    """Yields the labels with few test positives, the rarest first; those without any are MLC001."""
    if comparison.settings.model == "linear_head":
        return  # its metrics are no means over labels
    dataset = comparison.dataset
    assert dataset.y_test is not None
    positives = (dataset.y_test & dataset.known_test).sum(0)
    for place in np.argsort(positives, kind="stable"):
        if 0 < positives[place] < FEW_POSITIVES:
            yield f"{dataset.label_names[place]}: {positives[place]}"


@check(
    "MLC010",
    "tip",
    title="Scores tie",
    why="Average precision takes rows with equal scores together, and ROC AUC counts pairs of them "
    "as half right, so the metrics of a model with many ties depend on how its scores are rounded.",
    remedy="Compute scores in float32, not bfloat16 or float16, and keep logits rather than "
    "probabilities, which become equal near 0 and 1. Rows with equal features always tie.",
)
def ties(comparison: Comparison) -> Iterator[str]:
    """Yields the shares of pairs of a positive and a negative test row that a loss scores alike.

    Labels without a training positive are left out: their scores may well be constant.
    """
    dataset = comparison.dataset
    assert dataset.y_test is not None
    learned = (dataset.y_train & dataset.known_train).any(0)
    for label, outcome in with_all_scores(comparison):
        shares = _tied_shares(outcome.test_scores[0], dataset.y_test, dataset.known_test & learned)
        if not np.isfinite(shares).any():
            continue
        mean, worst = float(np.nanmean(shares)), int(np.nanargmax(shares))
        if mean > MOST_TIED:
            yield (
                f"{label}: {mean:.1%} of the pairs of a positive and a negative tie, as a mean "
                f"over labels; for {dataset.label_names[worst]} {shares[worst]:.1%}"
            )


def _tied_shares(
    scores: NDArray[np.float32], labels: NDArray[np.bool_], known: NDArray[np.bool_]
) -> resampling.Doubles:
    """Returns the share (L,) of tied pairs of a positive and a negative; NaN without a pair."""
    shares = np.full(labels.shape[1], np.nan)
    in_order = np.sort(scores, axis=0)
    has_ties = (in_order[1:] == in_order[:-1]).any(0)
    for place, (column, truth, counts) in enumerate(zip(scores.T, labels.T, known.T, strict=True)):
        positive = truth[counts]
        pairs = np.count_nonzero(positive) * np.count_nonzero(~positive)
        if pairs:
            shares[place] = _tied(column[counts], positive) / pairs if has_ties[place] else 0
    return shares


def _tied(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> int:
    """Returns the number of pairs of a positive and a negative with the same score."""
    values, place = np.unique(scores, return_inverse=True)
    positives, negatives = (
        np.bincount(place[kind], minlength=len(values)) for kind in (positive, ~positive)
    )
    return int(positives @ negatives)
