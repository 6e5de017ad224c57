"""Which losses to try first on a data set, with which parameters, judged by its labels alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mllosses_jax.compare.choice import BASELINE
from mllosses_jax.compare.settings import MANY_LABELS
from mllosses_jax.data import Dataset

NUM_LOSSES = 3
NEARLY_ALL = 0.95  # share of rows
SPARSE, VERY_SPARSE = 0.1, 0.03  # shares of positives among known labels
ENOUGH_KNOWN = 0.5
IMBALANCED = 10.0  # how many times the positives of a typical label the most frequent one has


@dataclass(frozen=True)
class Advice:
    """A loss to try.

    Attributes:
        loss: the loss, with parameters if the defaults should change, as `compare` takes it.
        why: what in the labels speaks for it, and which figure to look at, in one sentence.
    """

    loss: str
    why: str


def advise(dataset: Dataset) -> tuple[Advice, ...]:
    """Returns three losses to compare first: the baseline, and two that the labels speak for.

    The rules are those of the page "Which loss?" and of the papers of the losses. Only labels of
    the training part are looked at.
    """
    return tuple(advice for _, advice in zip(range(NUM_LOSSES), _advice(dataset), strict=False))


def _advice(dataset: Dataset) -> Iterator[Advice]:
    """Yields losses to try, the ones that fit best first."""
    known, positive = dataset.known_train, dataset.y_train & dataset.known_train
    num_labels = positive.shape[1]
    masked = "" if known.all() else f" The {np.mean(~known):.0%} unknown labels are masked."
    yield Advice(
        BASELINE,
        f"Few losses beat it once thresholds are tuned, and its probabilities are usable.{masked}",
    )
    per_row = positive.sum(1)
    if num_labels > 2 and known.all() and np.mean(per_row == 1) >= NEARLY_ALL:
        yield Advice(
            "hill_loss",
            "Nearly every row has exactly one positive. If others were left out, this loss takes "
            "a confident negative for a missing positive.",
        )
        yield Advice(
            "softmax_cross_entropy",
            "If only one label of a row can be true, its probabilities should add up to one.",
        )
    if num_labels > MANY_LABELS:
        yield Advice(
            "softmax_cross_entropy",
            "With this many labels the first few of the ranking count, and all labels of a row "
            "compete for them. Look at P@k and nDCG@k.",
        )
    density = float(positive.sum() / max(known.sum(), 1))
    if density < SPARSE:
        focus = 4 if density < VERY_SPARSE else 2
        yield Advice(
            f"asymmetric_loss(gamma_neg={focus})",
            f"Only {density:.1%} of the labels are positive. It lets easy negatives count less, "
            "which helps decisions at 0.5 and costs calibration.",
        )
    counts = positive.sum(0)
    imbalance = float(np.mean(counts.max() / counts[counts > 0])) if counts.any() else 1.0
    if imbalance > IMBALANCED and num_labels <= MANY_LABELS:
        yield Advice(
            "distribution_balanced_loss",
            f"The most frequent label has {imbalance:.0f} times the positives of the others on "
            "average. It weights rare labels up. Look at macro-F1, and at what micro-F1 loses.",
        )
    if num_labels > MANY_LABELS:
        yield Advice("zlpr_loss", "It counts how many labels of a row to take by itself.")
        return
    if np.mean(known) > ENOUGH_KNOWN:  # losses over pairs starve where few labels are known
        yield Advice(
            "two_way_loss",
            "It compares the labels of a row and the rows of a label, which is what ranking "
            "metrics such as mAP measure.",
        )
    yield Advice(
        "zlpr_loss",
        f"A row has {float(per_row.mean()):.1f} labels on average. It learns a row's whole label "
        "set, with 0 as the threshold.",
    )
    yield Advice("asymmetric_loss", "It lets easy negatives count less. Look at macro-F1 at 0.5.")
