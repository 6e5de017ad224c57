"""Beta calibration, which bends the two tails of the probability separately."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.numerics import log_sigmoid_pair, sigmoid_pair
from mllosses_jax.calibration._entries import entries, takes_soft_labels
from mllosses_jax.calibration._newton import LOWEST_SLOPE, Model, Scope, fit_model

_INF = float("inf")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BetaCalibrator:
    """The map from logits to probabilities σ(a·log p − b·log(1 − p) + c), p = σ(x), a pytree.

    Attributes:
        a: slope for logits far below 0, () or (L,).
        b: slope for logits far above 0, () or (L,).
        c: shift, () or (L,).
    """

    a: Array
    b: Array
    c: Array

    def logits(self, logits: ArrayLike) -> Array:
        """Returns calibrated logits (..., L), which do not saturate like probabilities."""
        return _bent(logits, self.a, self.b, self.c)

    def __call__(self, logits: ArrayLike) -> Array:
        """Returns probabilities (..., L); NaN for a NaN logit."""
        return sigmoid_pair(self.logits(logits))[0]


@compiled()
def _bent(logits: ArrayLike, a: ArrayLike, b: ArrayLike, c: ArrayLike) -> Array:
    x = checks.float_array("logits", logits)
    x = x.astype(compute_dtype(x))
    log_p, log_q = log_sigmoid_pair(x)
    rising = (
        checks.element_parameter("a", a, x) * log_p - checks.element_parameter("b", b, x) * log_q
    )
    return rising + checks.element_parameter("c", c, x)


def _features(x: Array) -> Array:
    log_p, log_q = log_sigmoid_pair(x)
    return jnp.stack([log_p, -log_q, jnp.ones_like(x)])


_MODEL = Model(
    features=_features,
    identity=(1.0, 1.0, 0.0),
    lowest=(LOWEST_SLOPE, LOWEST_SLOPE, -_INF),
    free=(True, True, True),
)


@takes_soft_labels
@compiled(any_labels=True, shrinkage=(0, _INF), weights=(0, _INF))
def fit_beta(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scope: Scope = "label",
    shrinkage: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> BetaCalibrator:
    """Beta calibration: Platt scaling with a separate slope for each tail of the probability.

    The paper asks for slopes a, b ≥ 0, but a slope of 0 would tie everything in a tail.

    Formula:
        P(y = 1) = σ(a·log p − b·log(1 − p) + c), p = σ(x), with a ≥ 0.01, b ≥ 0.01 and c of least
        cross-entropy

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
        A calibrator with a, b and c (L,), or () with "global". A label without positives or
        without negatives takes the common map. A NaN logit that counts makes everything NaN.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, a parameter is out of its range, or in an eager call a label
            that counts is NaN or outside [0, 1].

    Reference:
        M. Kull, T. M. Silva Filho and P. Flach, "Beta calibration: a well-founded and easily
        implemented improvement on logistic calibration for binary classifiers", AISTATS 2017.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import calibration
        >>> logits = jnp.repeat(jnp.array([3.0, 0.0, -3.0]), jnp.array([4, 2, 4]))[:, None]
        >>> labels = jnp.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 0])[:, None]
        >>> calibrator = calibration.fit_beta(logits, labels, shrinkage=0)
        >>> print(calibrator(jnp.array([[3.0], [0.0], [-3.0]])).round(2)[:, 0])
        [0.75 0.5  0.25]
    """
    theta = fit_model(entries(logits, labels, weights, where), _MODEL, shrinkage, scope)
    return BetaCalibrator(a=theta[..., 0], b=theta[..., 1], c=theta[..., 2])
