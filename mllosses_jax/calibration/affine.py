"""Calibrators that map logits affinely: temperature, bias and Platt scaling."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.numerics import sigmoid_pair
from mllosses_jax.calibration._entries import entries, takes_soft_labels
from mllosses_jax.calibration._newton import LOWEST_SLOPE, Model, Scope, fit_model

_INF = float("inf")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class AffineCalibrator:
    """The map from logits x to probabilities σ(slope·x + bias), a pytree.

    Attributes:
        slope: factor on the logits, one over the temperature, () or (L,).
        bias: shift of the logits, () or (L,).
    """

    slope: Array
    bias: Array

    def logits(self, logits: ArrayLike) -> Array:
        """Returns calibrated logits (..., L), which do not saturate like probabilities."""
        return _affine(logits, self.slope, self.bias)

    def __call__(self, logits: ArrayLike) -> Array:
        """Returns probabilities (..., L); NaN for a NaN logit."""
        return sigmoid_pair(self.logits(logits))[0]


@compiled()
def _affine(logits: ArrayLike, slope: ArrayLike, bias: ArrayLike) -> Array:
    x = checks.float_array("logits", logits)
    x = x.astype(compute_dtype(x))
    a = checks.element_parameter("slope", slope, x)
    return a * x + checks.element_parameter("bias", bias, x)


def _model(*, slope: bool, bias: bool) -> Model:
    return Model(
        features=lambda x: jnp.stack([x, jnp.ones_like(x)]),
        identity=(1.0, 0.0),
        lowest=(LOWEST_SLOPE, -_INF),
        free=(slope, bias),
    )


@takes_soft_labels
@compiled(any_labels=True, shrinkage=(0, _INF), weights=(0, _INF))
def fit_temperature(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scope: Scope = "label",
    shrinkage: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> AffineCalibrator:
    """Temperature scaling: a factor corrects overconfident or underconfident logits.

    Formula:
        P(y = 1) = σ(x / T), T = 1 / slope of least cross-entropy, 0 < T ≤ 100 (for scores of
        median |x| above 10, ten times that median)

    Args:
        logits: float array (N, L), of data that the model was not trained on, or scores of any
            size and origin, such as margins, which are fitted in units that make them logits.
        labels: bool, integer or float array (N, L); floats may be soft labels in [0, 1].
        scope: "label" fits one temperature per label, "global" one for all.
        shrinkage: s ≥ 0, the number of observations of the rarer class that the common fit is
            worth in the fit of a label (see `mllosses_jax.calibration`). The common fit is itself
            shrunk to T = 1.
        weights: non-negative, (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A calibrator with slope (L,), or () with "global", and bias 0. A label without positives or
        without negatives takes the common temperature. A NaN logit that counts makes everything
        NaN.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, a parameter is out of its range, or in an eager call a label
            that counts is NaN or outside [0, 1].

    Reference:
        C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural
        Networks", 2017, arXiv:1706.04599; here with one sigmoid per label.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import calibration
        >>> logits = jnp.array([[4.0], [4.0], [4.0], [-4.0]])
        >>> labels = jnp.array([[1], [1], [0], [0]])
        >>> calibrator = calibration.fit_temperature(logits, labels, shrinkage=0)
        >>> print(calibrator(logits).round(4)[:, 0])  # three of four are right
        [0.75 0.75 0.75 0.25]
    """
    return _fit(logits, labels, _model(slope=True, bias=False), shrinkage, scope, weights, where)


@takes_soft_labels
@compiled(any_labels=True, shrinkage=(0, _INF), weights=(0, _INF))
def fit_bias(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scope: Scope = "label",
    shrinkage: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> AffineCalibrator:
    """Bias only: logits are shifted, as when label frequencies have changed since training.

    Formula:
        P(y = 1) = σ(x + b), with b of least cross-entropy: then the mean probability is the
        frequency of the label

    Args:
        logits: float array (N, L), of data that the model was not trained on, or scores of any
            size and origin, such as margins, which are fitted in units that make them logits.
        labels: bool, integer or float array (N, L); floats may be soft labels in [0, 1].
        scope: "label" fits one bias per label, "global" one for all.
        shrinkage: s ≥ 0, the number of observations of the rarer class that the common fit is
            worth in the fit of a label (see `mllosses_jax.calibration`). The common fit is itself
            shrunk to b = 0.
        weights: non-negative, (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A calibrator with bias (L,), or () with "global", and slope 1. A label without positives or
        without negatives takes the common bias. A NaN logit that counts makes everything NaN.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, a parameter is out of its range, or in an eager call a label
            that counts is NaN or outside [0, 1].

    Reference:
        The correction for new priors of M. Saerens, P. Latinne and C. Decaestecker, "Adjusting
        the Outputs of a Classifier to New a Priori Probabilities", Neural Computation 14, 2002,
        with the priors taken from labels.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import calibration
        >>> logits, labels = jnp.zeros((4, 1)), jnp.array([[1], [0], [0], [0]])
        >>> print(calibration.fit_bias(logits, labels, shrinkage=0)(logits).round(4)[:, 0])
        [0.25 0.25 0.25 0.25]
    """
    return _fit(logits, labels, _model(slope=False, bias=True), shrinkage, scope, weights, where)


@takes_soft_labels
@compiled(any_labels=True, shrinkage=(0, _INF), weights=(0, _INF))
def fit_platt(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scope: Scope = "label",
    shrinkage: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> AffineCalibrator:
    """Platt scaling: the logits of each label are scaled and shifted.

    Shrinkage replaces Platt's own guard against certainty, which moves targets off 0 and 1. With
    shrinkage=0, slope and bias are the diagnostics known as calibration slope (below 1 the model is
    overconfident) and intercept. Without shrinkage, a label whose classes a threshold separates
    gets a very steep slope.

    Formula:
        P(y = 1) = σ(a·x + b), a ≥ 0.01 and b of least cross-entropy

    Args:
        logits: float array (N, L), of data that the model was not trained on, or scores of any
            size and origin, such as margins, which are fitted in units that make them logits.
        labels: bool, integer or float array (N, L); floats may be soft labels in [0, 1].
        scope: "label" fits one map per label, "global" one for all.
        shrinkage: s ≥ 0, the number of observations of the rarer class that the common fit is
            worth in the fit of a label (see `mllosses_jax.calibration`). The common fit is itself
            shrunk to the identity.
        weights: non-negative, (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A calibrator with slope and bias (L,), or () with "global". A label without positives or
        without negatives takes the common map. A NaN logit that counts makes everything NaN.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, a parameter is out of its range, or in an eager call a label
            that counts is NaN or outside [0, 1].

    Reference:
        J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to
        Regularized Likelihood Methods", 1999. With shrinkage=0 and a positive slope it is
        `sklearn.linear_model.LogisticRegression(C=inf)` of one label's logits.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import calibration
        >>> logits = jnp.array([[2.0], [2.0], [2.0], [2.0], [-2.0], [-2.0]])
        >>> labels = jnp.array([[1], [1], [1], [0], [1], [0]])
        >>> calibrator = calibration.fit_platt(logits, labels, shrinkage=0)
        >>> print(calibrator(jnp.array([[2.0], [-2.0]])).round(4)[:, 0])
        [0.75 0.5 ]
    """
    return _fit(logits, labels, _model(slope=True, bias=True), shrinkage, scope, weights, where)


def _fit(
    logits: ArrayLike,
    labels: ArrayLike,
    model: Model,
    shrinkage: ArrayLike,
    scope: Scope,
    weights: ArrayLike | None,
    where: ArrayLike | None,
) -> AffineCalibrator:
    theta = fit_model(entries(logits, labels, weights, where), model, shrinkage, scope)
    return AffineCalibrator(slope=theta[..., 0], bias=theta[..., 1])
