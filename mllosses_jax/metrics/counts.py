"""Metrics of hard label sets, from counts of true positives, predictions and positives.

Counts are int32, exact up to 2³¹ − 1 (floating point only where sample weights are given).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import (
    Sets,
    count_entries,
    fbeta_denominator,
    result_dtype,
    sample_weights,
    sets,
)
from mllosses_jax.metrics._averaging import Average
from mllosses_jax.metrics._tally import average_ratio, tally_of

_INF = float("inf")


@compiled()
def precision(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Precision: the fraction of predicted labels that are true.

    Formula:
        TP / (TP + FP); undefined where nothing is predicted

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
        Precision in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.precision_score(labels, predictions, ...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.precision(predictions, labels, average=None)
        Array([1., 0., 0.], dtype=float32)
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return average_ratio(tally.tp, tally.predicted, tally, average, zero_division)


@compiled()
def recall(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Recall: the fraction of true labels that are predicted.

    Formula:
        TP / (TP + FN); undefined where nothing is true

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `precision`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Recall in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.recall_score(labels, predictions, ...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> print(f"{metrics.recall(predictions, labels, average='micro'):.4f}")
        0.6667
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    return average_ratio(tally.tp, tally.actual, tally, average, zero_division)


@compiled()
def f1(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """F1: the harmonic mean of precision and recall.

    Formula:
        2·TP / (2·TP + FP + FN); undefined where nothing is predicted or true

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `precision`. With "samples",
            zero_division=1 rewards predicting nothing for a row without labels.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        F1 in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.f1_score(labels, predictions, ...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> print(f"{metrics.f1(predictions, labels):.4f}")
        0.3333
    """
    return _fbeta(sets(predictions, labels, where), 1, average, zero_division, weights)


@compiled(beta=(0, _INF))
def fbeta(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """F-beta: the weighted harmonic mean of precision and recall, recall weighing β² times as much.

    Formula:
        (1 + β²)·TP / ((1 + β²)·TP + FP + β²·FN); undefined where nothing is predicted or true

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        beta: β ≥ 0; 0 gives precision and infinity gives recall.
        average: "micro", "macro", "weighted", "samples" or None; see `precision`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        F-beta in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, average is unknown, or beta is negative.

    Reference:
        `sklearn.metrics.fbeta_score(labels, predictions, ...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.fbeta(predictions, labels, beta=2, average=None)
        Array([1., 0., 0.], dtype=float32)
    """
    return _fbeta(sets(predictions, labels, where), beta, average, zero_division, weights)


@compiled()
def jaccard(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    zero_division: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Jaccard index: the size of the intersection divided by that of the union.

    Formula:
        TP / (TP + FP + FN); undefined where nothing is predicted or true

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        average: "micro", "macro", "weighted", "samples" or None; see `precision`.
        zero_division: the number used where undefined; nan leaves the value out of the mean.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        The index in [0, 1], (), or (L,) with average=None; float32, float64 under x64.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ, or average is unknown.

    Reference:
        `sklearn.metrics.jaccard_score(labels, predictions, ...)`, whose zero_division is never nan.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.jaccard(predictions, labels, average="samples")
        Array(0.5, dtype=float32)
    """
    tally = tally_of(sets(predictions, labels, where), average, weights)
    union = tally.predicted + tally.fn
    return average_ratio(tally.tp, union, tally, average, zero_division)


@compiled()
def hamming_loss(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Hamming loss: the fraction of entries that are predicted wrongly.

    Formula:
        (FP + FN) / (number of entries)

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        The loss in [0, 1], (); float32, float64 under x64; NaN where nothing counts.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.hamming_loss(labels, predictions, ...)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions, labels = jnp.array([[1, 0], [1, 1]]), jnp.array([[1, 0], [1, 0]])
        >>> metrics.hamming_loss(predictions, labels)
        Array(0.25, dtype=float32)
    """
    inputs = sets(predictions, labels, where)
    w = sample_weights(weights, inputs.actual.shape[0])
    wrong = jnp.sum(inputs.predicted != inputs.actual, axis=1, dtype=jnp.int32)
    entries = count_entries(inputs.where, inputs.actual.shape, axis=1)
    return _weighted_sum(wrong, w) / _weighted_sum(entries, w)


@compiled()
def subset_accuracy(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Subset accuracy, or exact match: the fraction of samples with every label right.

    Formula:
        mean over samples of [predicted set = true set]

    Args:
        predictions: bool or integer array (N, L), the predicted sets.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count; a sample without any is
            left out of the mean.

    Returns:
        The accuracy in [0, 1], (); float32, float64 under x64; NaN where nothing counts.

    Raises:
        TypeError: if predictions are floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.accuracy_score(labels, predictions, ...)` for label sets.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> predictions, labels = jnp.array([[1, 0], [1, 1]]), jnp.array([[1, 0], [1, 0]])
        >>> metrics.subset_accuracy(predictions, labels)
        Array(0.5, dtype=float32)
    """
    inputs = sets(predictions, labels, where)
    w = sample_weights(weights, inputs.actual.shape[0])
    exists = count_entries(inputs.where, inputs.actual.shape, axis=1) > 0
    right = exists & jnp.all(inputs.predicted == inputs.actual, axis=1)
    return _weighted_sum(right, w) / _weighted_sum(exists, w)


def _fbeta(
    inputs: Sets,
    beta: ArrayLike,
    average: Average,
    zero_division: ArrayLike,
    weights: ArrayLike | None,
) -> Array:
    tally = tally_of(inputs, average, weights)
    denominator = fbeta_denominator(beta, tally.actual, tally.predicted, result_dtype())
    return average_ratio(tally.tp, denominator, tally, average, zero_division)


def _weighted_sum(counts: Array, weights: Array | None) -> Array:
    if weights is None:
        return jnp.sum(counts, dtype=jnp.int32).astype(result_dtype())
    return jnp.sum(counts.astype(weights.dtype) * weights)
