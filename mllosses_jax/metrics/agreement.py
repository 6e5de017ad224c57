"""Agreement of hard label sets with the labels beyond chance, and the counts of agreement.

All are formed from ratios of counts: products of counts would exceed an int32, and the range in
which a float32 is exact.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import sample_weights, sets
from mllosses_jax.metrics._averaging import Average
from mllosses_jax.metrics._tally import Tally, average_of, confusion, ratio, tally_of


@compiled()
def matthews_corrcoef(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Matthews correlation coefficient (MCC, φ): the correlation of predictions and labels.

    Formula:
        (TP·TN − FP·FN) / √((TP + FP)·(TP + FN)·(TN + FP)·(TN + FN)); undefined where everything or
        nothing is predicted, and where everything or nothing is true

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `metrics.specificity`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The coefficient in [-1, 1], (), or (L,) with average=None, with an absolute error of a few
        roundings; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.matthews_corrcoef(label, prediction)` of each label, which is 0 where
        undefined. "micro" is `torchmetrics.functional.classification.multilabel_matthews_corrcoef`
        wherever it is defined.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0], [1, 1], [0, 1], [1, 0]])
        >>> labels = jnp.array([[1, 0], [0, 1], [0, 1], [1, 0]])
        >>> print(f"{metrics.matthews_corrcoef(predictions, labels):.4f}")
        0.7887
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return matthews_corrcoef_of(tally, average, zero_division)


@compiled()
def cohen_kappa(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Cohen's kappa: the agreement of predictions and labels beyond chance.

    Formula:
        κ = (p_o − p_e) / (1 − p_e), p_o = (TP + TN)/n, n = TP + FP + FN + TN,
        p_e = ((TP + FP)·(TP + FN) + (TN + FP)·(TN + FN)) / n²; undefined where p_e = 1: everything
        is predicted and true, or nothing is

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `metrics.specificity`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        Kappa in [-1, 1], (), or (L,) with average=None, with an absolute error of a few roundings;
        float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.cohen_kappa_score(label, prediction)` of each label, which is nan where
        undefined; J. Cohen, "A Coefficient of Agreement for Nominal Scales", 1960.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0], [1, 1], [0, 1], [1, 0]])
        >>> labels = jnp.array([[1, 0], [0, 1], [0, 1], [1, 0]])
        >>> metrics.cohen_kappa(predictions, labels, average=None)
        Array([0.5, 1. ], dtype=float32)
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return cohen_kappa_of(tally, average, zero_division)


@compiled()
def multilabel_confusion_matrix(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """One confusion matrix per label.

    Formula:
        [[TN, FP], [FN, TP]] of each label

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Counts (L, 2, 2), indexed by label, truth and prediction; int32, or floating point with
        weights.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.multilabel_confusion_matrix(labels, predictions, ...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions, labels = jnp.array([[1], [1], [0]]), jnp.array([[1], [0], [0]])
        >>> metrics.multilabel_confusion_matrix(predictions, labels)
        Array([[[1, 1],
                [0, 1]]], dtype=int32)
    """
    inputs = sets(predictions, labels, where)
    w = sample_weights(weights, inputs.actual.shape[0])
    return confusion(inputs, 0, w).matrices()


def matthews_corrcoef_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of the Matthews correlation coefficient, from counts."""
    tp, fp, fn, tn, *_ = tally
    chosen, true = tally.predicted, tally.actual
    unchosen, false = tn + fn, tn + fp
    agreeing = _root(tp, chosen, tp, true) * _root(tn, false, tn, unchosen)
    opposed = _root(fp, chosen, fn, true) * _root(fp, false, fn, unchosen)
    defined = (chosen != 0) & (true != 0) & (unchosen != 0) & (false != 0)
    return average_of(agreeing - opposed, defined, tally, average, zero_division)


def cohen_kappa_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of Cohen's kappa, from counts."""
    tp, fp, fn, tn, *_ = tally
    n = tp + fp + fn + tn
    chosen, true = ratio(tally.predicted, n), ratio(tally.actual, n)
    unchosen, false = ratio(tn + fn, n), ratio(tn + fp, n)
    by_chance = chosen * false + true * unchosen  # 1 − p_e, without cancellation
    # The covariance is half of p_o − p_e.
    covariance = ratio(tp, n) * ratio(tn, n) - ratio(fp, n) * ratio(fn, n)
    defined = by_chance != 0
    return average_of(ratio(2 * covariance, by_chance), defined, tally, average, zero_division)


def _root(part: Array, whole: Array, other_part: Array, other_whole: Array) -> Array:
    """Returns the geometric mean of two ratios of counts."""
    return jnp.sqrt(ratio(part, whole)) * jnp.sqrt(ratio(other_part, other_whole))
