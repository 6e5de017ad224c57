"""Rates of hard label sets that depend on the true negatives, and means of such rates."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import sets
from mllosses_jax.metrics._averaging import Average
from mllosses_jax.metrics._tally import Tally, average_of, average_ratio, filled, ratio, tally_of


@compiled()
def specificity(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Specificity, or true negative rate: the fraction of false labels that are not predicted.

    Formula:
        TN / (TN + FP); undefined where nothing is false

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "macro", the mean over labels; "micro", all entries as one; "weighted", the mean
            over labels weighted by their number of positives; "samples", the mean over rows;
            None, per label.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        Specificity in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `torchmetrics.functional.classification.multilabel_specificity`, whose value is 0
        where undefined; `sklearn.metrics.recall_score` of the complements.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.specificity(predictions, labels, average=None)
        Array([0. , 1. , 0.5], dtype=float32)
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return specificity_of(tally, average, zero_division)


@compiled()
def balanced_accuracy(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = float("nan"),
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Balanced accuracy: the mean of recall and specificity; ½ for random or constant predictions.

    Formula:
        ½·TP/(TP + FN) + ½·TN/(TN + FP)

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `specificity`.
        zero_division: the recall where nothing is true, and the specificity where nothing is
            false; nan leaves it out, so that the accuracy is the other of the two.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The accuracy in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.balanced_accuracy_score(label, prediction)` of each label, which, as with
        nan, averages over the classes that occur.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.balanced_accuracy(predictions, labels, average=None)
        Array([1. , 0.5, 0.5], dtype=float32)
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return balanced_accuracy_of(tally, average, zero_division)


@compiled()
def negative_predictive_value(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Negative predictive value: the fraction of the labels not predicted that are false.

    Formula:
        TN / (TN + FN); undefined where everything is predicted

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `specificity`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The value in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.precision_score` of the complements, except for the weights of "weighted".

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0], [1, 1], [0, 1], [1, 0]])
        >>> labels = jnp.array([[1, 0], [0, 1], [0, 1], [1, 0]])
        >>> print(metrics.negative_predictive_value(predictions, labels, average=None))
        [1. 1.]
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return negative_predictive_value_of(tally, average, zero_division)


@compiled()
def g_mean(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """G-mean: the geometric mean of recall and specificity; 0 for a constant prediction.

    Formula:
        √(TP/(TP + FN) · TN/(TN + FP)); undefined where nothing is true, or nothing is false

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `specificity`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        G-mean in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        M. Kubat and S. Matwin, "Addressing the Curse of Imbalanced Training Sets: One-Sided
        Selection", 1997.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0], [1, 1], [0, 1], [1, 0]])
        >>> labels = jnp.array([[1, 0], [0, 1], [0, 1], [1, 0]])
        >>> print(metrics.g_mean(predictions, labels, average=None))
        [0.70710677 1.        ]
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return g_mean_of(tally, average, zero_division)


@compiled()
def h_mean(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """H-mean: the harmonic mean of recall and specificity; 0 for a constant prediction.

    Formula:
        2·R·S / (R + S), R = TP/(TP + FN), S = TN/(TN + FP), 0 where both are 0; undefined where
        nothing is true, or nothing is false

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `specificity`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        H-mean in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        K. Kennedy, B. Mac Namee and S. J. Delany, "Learning without Default: A Study of One-Class
        Classification and the Low-Default Portfolio Problem", 2009.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0], [1, 1], [0, 1], [1, 0]])
        >>> labels = jnp.array([[1, 0], [0, 1], [0, 1], [1, 0]])
        >>> print(metrics.h_mean(predictions, labels, average=None))
        [0.6666667 1.       ]
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return h_mean_of(tally, average, zero_division)


def specificity_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of specificity, from counts."""
    return average_ratio(tally.tn, tally.negatives, tally, average, zero_division)


def balanced_accuracy_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of balanced accuracy, from counts."""
    rates = jnp.stack([ratio(tally.tp, tally.actual), ratio(tally.tn, tally.negatives)])
    defined = jnp.stack([tally.actual, tally.negatives]) != 0
    values = jnp.nanmean(filled(rates, defined, zero_division), axis=0)
    return average_of(values, jnp.any(defined, axis=0), tally, average, zero_division)


def negative_predictive_value_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of the negative predictive value, from counts."""
    unchosen = tally.tn + tally.fn
    return average_ratio(tally.tn, unchosen, tally, average, zero_division)


def g_mean_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of the G-mean, from counts."""
    recall, specificity, defined = _both_rates(tally)
    return average_of(jnp.sqrt(recall * specificity), defined, tally, average, zero_division)


def h_mean_of(tally: Tally, average: Average, zero_division: ArrayLike) -> Array:
    """Returns the average of the H-mean, from counts."""
    recall, specificity, defined = _both_rates(tally)
    total = recall + specificity
    values = 2 * recall * specificity / jnp.where(total == 0, 1, total)
    return average_of(values, defined, tally, average, zero_division)


class _BothRates(NamedTuple):
    recall: Array
    specificity: Array
    defined: Array  # whether both are


def _both_rates(tally: Tally) -> _BothRates:
    return _BothRates(
        recall=ratio(tally.tp, tally.actual),
        specificity=ratio(tally.tn, tally.negatives),
        defined=(tally.actual != 0) & (tally.negatives != 0),
    )
