"""Exact precision-recall and ROC curves: every distinct score is a cut-off.

The number of cut-offs depends on the data, so these functions run on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np
from jax.typing import ArrayLike

from mllosses_jax._core.compile import checked
from mllosses_jax._core.sets import scored
from mllosses_jax.metrics._long_rows import Block, of_long_rows

Curve = TypeVar("Curve")
Points = np.ndarray[Any, np.dtype[Any]]


class PrecisionRecallCurve(NamedTuple):
    """A curve of T distinct scores, in ascending order of the threshold.

    Attributes:
        precision: (T + 1,), the precision of [s ≥ t] for each threshold t, then 1.
        recall: (T + 1,), the recall of [s ≥ t] for each threshold t, then 0.
        thresholds: (T,), the distinct scores.
    """

    precision: Points
    recall: Points
    thresholds: Points


class ROCCurve(NamedTuple):
    """A curve of T distinct scores, in descending order of the threshold.

    Attributes:
        false_positive_rate: (T + 1,), 0, then the rate of [s ≥ t] for each threshold t.
        true_positive_rate: (T + 1,), 0, then the rate of [s ≥ t] for each threshold t.
        thresholds: (T + 1,), infinity, then the distinct scores.
    """

    false_positive_rate: Points
    true_positive_rate: Points
    thresholds: Points


@checked()
def precision_recall_curve(
    scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> list[PrecisionRecallCurve]:
    """Precision and recall of each label at every cut-off; tied scores are one cut-off.

    The lengths of the curves depend on the data, so they are computed on the host, in float64. Not
    for use under `jit`.

    Formula:
        P(t) = TP/(TP + FP), R(t) = TP/(TP + FN) of [s ≥ t] for each distinct score t

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are left out.

    Returns:
        One curve per label. The recall of a label without positives is 1, as in scikit-learn; a
        label without entries has no thresholds. If a score that counts is NaN, the label has one
        threshold, at which precision and recall are NaN.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.precision_recall_curve(labels[:, i], scores[:, i])`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores, labels = jnp.array([[0.75], [0.5], [0.25]]), jnp.array([[1], [0], [1]])
        >>> (curve,) = metrics.precision_recall_curve(scores, labels)
        >>> print(curve.recall, curve.thresholds)
        [1.  0.5 0.5 0. ] [0.25 0.5  0.75]
    """
    return _of_labels(_precision_recall_of_row, scores, labels, where)


@checked()
def roc_curve(
    scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
) -> list[ROCCurve]:
    """True and false positive rates of each label at every cut-off; tied scores are one cut-off.

    The lengths of the curves depend on the data, so they are computed on the host, in float64. Not
    for use under `jit`.

    Formula:
        TPR(t) = TP/(TP + FN), FPR(t) = FP/(FP + TN) of [s ≥ t] for each distinct score t

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are left out.

    Returns:
        One curve per label, with every cut-off. The true positive rate of a label without
        positives is NaN, as is the false positive rate of a label without negatives. If a score
        that counts is NaN, the label has one threshold, at which both rates are NaN.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.roc_curve(labels[:, i], scores[:, i], drop_intermediate=False)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores, labels = jnp.array([[0.75], [0.5], [0.25]]), jnp.array([[1], [0], [1]])
        >>> (curve,) = metrics.roc_curve(scores, labels)
        >>> print(curve.true_positive_rate, curve.thresholds)
        [0.  0.5 0.5 1. ] [ inf 0.75 0.5  0.25]
    """
    return _of_labels(_roc_of_row, scores, labels, where)


def _of_labels(
    of_row: Callable[[Points, Points], Curve],
    scores: ArrayLike,
    labels: ArrayLike,
    where: ArrayLike | None,
) -> list[Curve]:
    jax.eval_shape(scored, scores, labels, where)  # checks only: JAX would narrow float64
    s = np.asarray(scores).astype(np.float64)
    actual = np.asarray(labels) > 0

    def of_block(block: Block) -> list[Curve]:
        return [of_row(*row) for row in block.rows()]

    if where is None:
        return of_long_rows(of_block, s.T, actual.T, None)
    mask = np.broadcast_to(np.asarray(where), s.shape)
    return of_long_rows(of_block, s.T, (actual & mask).T, mask.T)


class _CutOffs(NamedTuple):
    """The cut-offs of a label, by descending score, all (T,)."""

    thresholds: Points  # the distinct scores
    predicted: Points  # the number of entries that reach each
    tp: Points  # the number of positives among them


def _cut_offs(scores: Points, actual: Points) -> _CutOffs:
    entries, positives = np.sort(-scores), np.sort(-scores[actual])
    if np.isnan(entries).any():
        return _CutOffs(*np.full((3, 1), np.nan))
    ends = np.flatnonzero(np.append(entries[1:] != entries[:-1], entries.size > 0))
    tp = np.searchsorted(positives, entries[ends], side="right")
    return _CutOffs(-entries[ends], ends + 1.0, tp.astype(np.float64))


def _precision_recall_of_row(scores: Points, actual: Points) -> PrecisionRecallCurve:
    thresholds, predicted, tp = _cut_offs(scores, actual)
    num_positives = np.count_nonzero(actual)
    recall = tp / num_positives if num_positives or np.isnan(tp).any() else np.ones_like(tp)
    return PrecisionRecallCurve(
        np.append((tp / predicted)[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]
    )


def _roc_of_row(scores: Points, actual: Points) -> ROCCurve:
    thresholds, predicted, tp = _cut_offs(scores, actual)
    num_positives = int(np.count_nonzero(actual))
    return ROCCurve(
        _rate(predicted - tp, scores.size - num_positives),
        _rate(tp, num_positives),
        np.append(np.inf, thresholds),
    )


def _rate(counts: Points, total: int) -> Points:
    counts = np.append(0.0, counts)
    return counts / total if total else np.full_like(counts, np.nan)
