"""Calibration: how far probabilities are from the frequencies that they promise.

Each label is a binary problem of its own. Its probability p is compared with the fraction of
positives; the confidence max(p, 1 − p) of a decision is never compared with the fraction of right
decisions.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.probabilities import ScoreKind, forecasts
from mllosses_jax._core.sets import Scored
from mllosses_jax.metrics._binning import BinnedAverage, Binning, averaged, binned, rows_of

Norm = Literal["l1", "l2", "max"]


class CalibrationCurve(NamedTuple):
    """The bins of a reliability diagram; see `calibration_curve`.

    Attributes:
        mean_predicted: float (L, bins), or (bins,) with average="micro": the mean probability in
            each bin; NaN for an empty bin.
        fraction_of_positives: float, of the same shape: the fraction of positives in each bin;
            NaN for an empty bin.
        counts: int32, of the same shape: the number of entries in each bin.
    """

    mean_predicted: Array
    fraction_of_positives: Array
    counts: Array


@compiled(probabilities="scores")
def calibration_curve(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    bins: int = 15,
    binning: Binning = "uniform",
    average: Literal["micro"] | None = None,
    where: ArrayLike | None = None,
) -> CalibrationCurve:
    """Calibration curve: mean probability against fraction of positives, bin by bin.

    Formula:
        p̄_b = mean of p, ȳ_b = mean of y over the entries in bin b; p = σ(s) for logits

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities".
        bins: number of bins (a, b]; the first one includes its lower end.
        binning: "uniform", bins of equal width; "quantile", bins of equal mass: bin k of K ends at
            the probability at place ⌊(n − 1)·k/K⌋ of n in ascending order, counted from 0. Equal
            probabilities are always in one bin, so ties make some bins larger and others empty.
        average: None, the bins of each label; "micro", one set of bins for all entries.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        `mean_predicted` and `fraction_of_positives`, (L, bins) or (bins,), in float32 or the wider
        dtype of the scores, and `counts`, int32, the number of entries in each bin. An empty bin
        is NaN. A label is NaN in all bins if one of its scores that count is NaN or, under a
        transformation, is not a probability.

    Raises:
        TypeError: if scores are not floating point, bins is not an integer, or where is not bool.
        ValueError: if shapes differ, an option is unknown, bins is below 1, or concrete
            probabilities lie outside [0, 1].

    Reference:
        `sklearn.calibration.calibration_curve(labels[:, i], p[:, i], n_bins=..., strategy=...)`,
        which leaves empty bins out. Its quantiles are rounded, so that a probability equal to an
        edge may fall above that edge.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> p, labels = jnp.array([[0.25], [0.5], [0.75]]), jnp.array([[0], [1], [1]])
        >>> curve = metrics.calibration_curve(p, labels, inputs="probabilities", bins=2)
        >>> print(curve.mean_predicted, curve.fraction_of_positives, curve.counts)
        [[0.375 0.75 ]] [[0.5 1. ]] [[2 1]]
    """
    checks.one_of("average", average, ("micro", None))
    rows = rows_of(forecasts(scores, labels, inputs, where), average)
    table = binned(rows, bins, binning)
    known = (table.counts > 0) & ~rows.has_nan()[:, None]
    curve = CalibrationCurve(
        jnp.where(known, table.predicted, jnp.nan),
        jnp.where(known, table.observed, jnp.nan),
        table.counts,
    )
    return CalibrationCurve(*(part[0] for part in curve)) if average == "micro" else curve


@compiled(probabilities="scores")
def expected_calibration_error(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    bins: int = 15,
    binning: Binning = "uniform",
    norm: Norm = "l1",
    average: BinnedAverage = "macro",
    relative: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Expected calibration error per label (ECE); with bins of equal mass, ACE.

    Formula:
        with n_b of n entries in bin b, p̄_b and ȳ_b their mean probability and fraction of
        positives: Σ n_b·|p̄_b − ȳ_b|/n ("l1"), √(Σ n_b·(p̄_b − ȳ_b)²/n) ("l2") or
        max |p̄_b − ȳ_b| ("max"); relative: divided by the prevalence, the mean of y

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities".
        bins: number of bins, which are those of `calibration_curve`.
        binning: "uniform" or "quantile"; see `calibration_curve`. Nearly all probabilities of a
            rare label share the lowest uniform bin, which hides their errors.
        norm: "l1", "l2" or "max".
        average: "macro", the mean over labels; "micro", all entries as one label; None, per label.
        relative: whether to divide the error of each label by its prevalence (with "micro" by the
            prevalence of all): an error of 0.01 is large for a label with a prevalence of 0.01. The
            error of a label without positives is then undefined: NaN, and left out of the mean.
        where: bool, (N, L) with axes equal or 1: which entries count. A label without any is NaN
            and is left out of the mean.

    Returns:
        The error ≥ 0, () or (L,), in float32 or the wider dtype of the scores; NaN where a score
        that counts is NaN or, under a transformation, is not a probability, and where nothing is
        defined. Its gradient treats the bins as constant.

    Raises:
        TypeError: if scores are not floating point, bins is not an integer, or where is not bool.
        ValueError: if shapes differ, an option is unknown, bins is below 1, or concrete
            probabilities lie outside [0, 1].

    Reference:
        M. P. Naeini, G. Cooper and M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using
        Bayesian Binning", AAAI 2015; equal mass: J. Nixon et al., "Measuring Calibration in Deep
        Learning", 2019, arXiv:1904.01685. `torchmetrics`'s `BinaryCalibrationError` of a label's
        column is the same with uniform bins, unless a probability is an edge: its bins are
        [a, b), and 1 has a bin to itself.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> p, labels = jnp.array([[0.25], [0.25], [0.75], [0.75]]), jnp.array([[0], [0], [0], [1]])
        >>> metrics.expected_calibration_error(p, labels, inputs="probabilities")
        Array(0.25, dtype=float32)
    """
    checks.one_of("average", average, ("macro", "micro", None))
    checks.one_of("norm", norm, get_args(Norm))
    rows = rows_of(forecasts(scores, labels, inputs, where), average)
    errors = _errors_of_rows(rows, bins, binning, norm)
    defined = jnp.ones(errors.shape, bool)
    if relative:
        prevalence, defined = _prevalence(rows)
        errors = errors / jnp.where(defined, prevalence, 1)
    return averaged(errors, rows, defined, average)


@compiled(probabilities="scores")
def calibration_in_the_large(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    inputs: ScoreKind,
    average: Literal["micro"] | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Calibration in the large: mean probability over prevalence, 1 where they agree.

    Formula:
        Σ p / Σ y; p = σ(s) for logits; undefined without positives

    Args:
        scores: float array (N, L).
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        inputs: what the scores are, "logits" or "probabilities".
        average: None, per label; "micro", over all entries.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        The ratio, (L,) or (), in float32 or the wider dtype of the scores; above 1, more positives
        are promised than occur. NaN where undefined, and where a score that counts is NaN or,
        under a transformation, is not a probability.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown, or concrete probabilities lie outside
            [0, 1].

    Reference:
        The expected over the observed number of events of E. W. Steyerberg, "Clinical Prediction
        Models", 2009.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> p, labels = jnp.array([[0.5, 0.25], [1.0, 0.25]]), jnp.array([[1, 0], [0, 1]])
        >>> metrics.calibration_in_the_large(p, labels, inputs="probabilities")
        Array([1.5, 0.5], dtype=float32)
    """
    checks.one_of("average", average, ("micro", None))
    rows = rows_of(forecasts(scores, labels, inputs, where), average)
    prevalence, defined = _prevalence(rows)
    mean = jnp.mean(rows.scores, axis=1, where=rows.where)
    return averaged(mean / jnp.where(defined, prevalence, 1), rows, defined, average)


def _errors_of_rows(rows: Scored, bins: int, binning: Binning, norm: Norm) -> Array:
    """Returns the calibration error of each row of probabilities (R, n), (R,)."""
    table = binned(rows, bins, binning)
    gap = jnp.abs(table.predicted - table.observed)
    if norm == "max":
        return jnp.max(gap, axis=1)
    dtype = gap.dtype
    share = table.counts.astype(dtype) / jnp.maximum(rows.num_entries(), 1).astype(dtype)[:, None]
    if norm == "l1":
        return jnp.sum(share * gap, axis=1)
    square = jnp.sum(share * gap * gap, axis=1)
    # The slope of the root is infinite at 0; the gradient at this minimum is set to 0.
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _prevalence(rows: Scored) -> tuple[Array, Array]:
    """Returns the fraction of positives in each row, (R,), and whether there are any."""
    dtype = rows.scores.dtype
    num_positives = rows.num_positives()
    size = jnp.maximum(rows.num_entries(), 1).astype(dtype)
    return num_positives.astype(dtype) / size, num_positives > 0
