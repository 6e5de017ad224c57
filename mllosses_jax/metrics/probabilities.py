"""Proper scores, which rate probabilities themselves and not only their order.

A proper score is best, on average, for the true probabilities: it cannot be gamed.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.numerics import log_share, log_sigmoid_pair
from mllosses_jax._core.probabilities import (
    ScoreKind,
    check_inputs,
    forecasts,
    probabilities_of,
    scores_or_zero,
)
from mllosses_jax._core.sets import Scored, sample_weights
from mllosses_jax.metrics._averaging import Average, check_average, mean_over, seen
from mllosses_jax.metrics._binning import BinnedAverage, Binning, averaged, binned, rows_of


class BrierDecomposition(NamedTuple):
    """The terms of a Brier score, each () or (L,) with average=None; see `brier_decomposition`.

    Attributes:
        reliability: () or (L,), how far the probabilities are from the frequencies; 0 is best.
        resolution: () or (L,), how far the frequencies in the bins are from the prevalence.
        uncertainty: () or (L,), the variance of the labels.
        within_bin_variance: () or (L,), the variance of the probabilities within bins.
        within_bin_covariance: () or (L,), twice their covariance with the labels within bins.
    """

    reliability: Array
    resolution: Array
    uncertainty: Array
    within_bin_variance: Array
    within_bin_covariance: Array

    @property
    def brier_score(self) -> Array:
        """The Brier score, to which the five terms add up."""
        between = self.reliability - self.resolution + self.uncertainty
        return between + self.within_bin_variance - self.within_bin_covariance


@compiled(probabilities="scores")
def binary_log_loss(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    average: Average = "micro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Binary log loss: the mean cross-entropy of all entries, true and false labels alike.

    Formula:
        mean of −y·log p − (1 − y)·log(1 − p); p = σ(s) for logits, whose loss is
        log(1 + exp(−s)) or log(1 + exp(s)) and never rounds to infinity

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities".
        average: "micro", the mean over entries; "macro", the mean over labels; "weighted",
            weighted by the number of positives; "samples", the mean over rows; None, per label.
            Where nothing is masked and no weights are given, "micro", "macro" and "samples" agree.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The loss ≥ 0, () or (L,), in float32 or the wider dtype of the scores. A true label of
        probability 0, or a false one of probability 1, makes it infinite; nothing is clipped.
        NaN where a score that counts is NaN or, under a transformation, is not a probability.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown, or concrete probabilities lie outside
            [0, 1].

    Reference:
        I. J. Good, "Rational Decisions", JRSS B, 1952. Per label it is
        `sklearn.metrics.log_loss(labels[:, i], p[:, i], labels=[0, 1])`, which clips p to
        [ε, 1 − ε], with ε the machine epsilon of its dtype. Given a matrix of labels, that function
        takes them for classes: it sums −y·log p over each row and leaves all negatives out.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> p, labels = jnp.array([[0.5, 0.25]]), jnp.array([[1, 0]])
        >>> metrics.binary_log_loss(p, labels, inputs="probabilities", average=None)
        Array([0.6931472, 0.2876821], dtype=float32)
    """
    given = scores_or_zero(scores, labels, where)
    losses = _log_losses(given.scores, given.actual, inputs)
    return _mean(losses, given, average, weights)


@compiled(probabilities="scores")
def brier_score(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    average: Average = "micro",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Brier score: the mean squared error of the probabilities.

    Formula:
        mean of (p − y)²; p = σ(s) for logits

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities".
        average: "micro", the mean over entries; "macro", the mean over labels; "weighted",
            weighted by the number of positives; "samples", the mean over rows; None, per label.
            Where nothing is masked and no weights are given, "micro", "macro" and "samples" agree.
        weights: (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN,
            and it is left out of the mean, as is a row without any.

    Returns:
        The score in [0, 1], 0 is best, () or (L,), in float32 or the wider dtype of the scores.
        NaN where a score that counts is NaN or, under a transformation, is not a probability.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown, or concrete probabilities lie outside
            [0, 1].

    Reference:
        G. W. Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly
        Weather Review, 1950. Per label it is
        `sklearn.metrics.brier_score_loss(labels[:, i], p[:, i])`; given a matrix of labels, that
        function sums each row, as if a sample had exactly one of them.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> p, labels = jnp.array([[0.5, 0.25]]), jnp.array([[1, 0]])
        >>> metrics.brier_score(p, labels, inputs="probabilities", average=None)
        Array([0.25  , 0.0625], dtype=float32)
    """
    given = forecasts(scores, labels, inputs, where)
    errors = given.scores - given.actual.astype(given.scores.dtype)
    return _mean(errors * errors, given, average, weights)


@compiled(probabilities="scores")
def brier_decomposition(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    bins: int = 15,
    binning: Binning = "uniform",
    average: BinnedAverage = "macro",
    where: ArrayLike | None = None,
) -> BrierDecomposition:
    """Decomposition of the Brier score into reliability, resolution, uncertainty and bin effects.

    Formula:
        Brier = reliability − resolution + uncertainty + within-bin variance − within-bin
        covariance; with n_b of n entries in bin b, p̄_b and ȳ_b their mean probability and
        fraction of positives: Σ n_b·(p̄_b − ȳ_b)²/n, Σ n_b·(ȳ_b − ȳ)²/n, ȳ·(1 − ȳ),
        Σ (p − p̄_b)²/n and 2·Σ (p − p̄_b)·(y − ȳ_b)/n

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities".
        bins: number of bins; see `calibration_curve`. The within-bin terms vanish where every
            bin holds one distinct probability.
        binning: "uniform" or "quantile"; see `calibration_curve`.
        average: "macro", the mean over labels of each term; "micro", all entries as one label;
            None, per label. The terms add up to the Brier score of the same average.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN
            and is left out of the mean.

    Returns:
        The terms, each () or (L,), in float32 or the wider dtype of the scores, and their sum
        `brier_score`. Reliability is 0 for calibrated probabilities, resolution is large where
        the bins tell positives from negatives, and uncertainty depends on the labels alone. NaN
        where a score that counts is NaN or, under a transformation, is not a probability.

    Raises:
        TypeError: if scores are not floating point, bins is not an integer, or where is not bool.
        ValueError: if shapes differ, an option is unknown, bins is below 1, or concrete
            probabilities lie outside [0, 1].

    Reference:
        A. H. Murphy, "A New Vector Partition of the Probability Score", Journal of Applied
        Meteorology, 1973; the within-bin terms are those of D. B. Stephenson, C. A. S. Coelho and
        I. T. Jolliffe, "Two Extra Components in the Brier Score Decomposition", Weather and
        Forecasting, 2008.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> p, labels = jnp.array([[0.25], [0.25], [0.75], [0.75]]), jnp.array([[0], [0], [0], [1]])
        >>> parts = metrics.brier_decomposition(p, labels, inputs="probabilities")
        >>> print(parts.reliability, parts.resolution, parts.uncertainty, parts.brier_score)
        0.0625 0.0625 0.1875 0.1875
    """
    checks.one_of("average", average, ("macro", "micro", None))
    rows = rows_of(forecasts(scores, labels, inputs, where), average)
    defined = jnp.ones(rows.scores.shape[0], bool)
    parts = _decomposition_of_rows(rows, bins, binning)
    return BrierDecomposition(*(averaged(part, rows, defined, average) for part in parts))


def _log_losses(scores: Array, actual: Array, inputs: ScoreKind) -> Array:
    check_inputs(inputs)
    if inputs == "logits":
        log_p, log_q = log_sigmoid_pair(scores)
        return -jnp.where(actual, log_p, log_q)
    p = probabilities_of(scores, inputs)
    return -log_share(jnp.where(actual, p, 1 - p), jnp.where(actual, 1 - p, p))


def _mean(values: Array, inputs: Scored, average: Average, weights: ArrayLike | None) -> Array:
    """Returns the average of a value per entry, (N, L), which is finite where masked."""
    check_average(average)
    w = sample_weights(weights, values.shape[0])
    axes: dict[str | None, tuple[int, ...]] = {"micro": (0, 1), "samples": (1,)}
    axis = axes.get(average, (0,))
    share = jnp.ones_like(values)
    if w is not None and average != "samples":
        share = share * w.astype(values.dtype)[:, None]
    share = share if inputs.where is None else jnp.where(inputs.where, share, 0)
    mass = jnp.sum(share, axis)
    # A value without weight may be infinite or NaN.
    means = jnp.sum(jnp.where(share == 0, 0, values * share), axis) / mass
    if average in {"micro", None}:
        return means
    support = seen(jnp.sum(jnp.where(inputs.actual, share, 0), axis), jnp.isnan(means))
    if average == "samples":
        return mean_over(means, mass != 0, w, weightless=jnp.nan)
    return mean_over(means, mass != 0, support if average == "weighted" else None)


def _decomposition_of_rows(rows: Scored, bins: int, binning: Binning) -> BrierDecomposition:
    """Returns the terms of each row of probabilities (R, n), each (R,)."""
    table = binned(rows, bins, binning)
    dtype = rows.scores.dtype
    size = jnp.maximum(rows.num_entries(), 1).astype(dtype)
    share = table.counts.astype(dtype) / size[:, None]
    prevalence = jnp.sum(table.num_positives, axis=1, dtype=jnp.int32).astype(dtype) / size
    dp = rows.scores - table.at_entries(table.predicted)
    dy = rows.actual.astype(dtype) - table.at_entries(table.observed)

    def mean_of_entries(values: Array) -> Array:
        counted = values if rows.where is None else jnp.where(rows.where, values, 0)
        return jnp.sum(counted, axis=1) / size

    return BrierDecomposition(
        reliability=jnp.sum(share * (table.predicted - table.observed) ** 2, axis=1),
        resolution=jnp.sum(share * (table.observed - prevalence[:, None]) ** 2, axis=1),
        uncertainty=prevalence * (1 - prevalence),
        within_bin_variance=mean_of_entries(dp * dp),
        within_bin_covariance=2 * mean_of_entries(dp * dy),
    )
