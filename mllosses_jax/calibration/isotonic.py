"""Isotonic calibration: the best increasing map of any shape."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.numerics import sigmoid_pair
from mllosses_jax.calibration._entries import Entries, entries, takes_soft_labels
from mllosses_jax.calibration._newton import Scope
from mllosses_jax.calibration._pooling import isotonic_curves

_INF = float("inf")
_LARGEST_LOGIT = 1e30  # stands for infinity: its differences are finite in float32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class IsotonicCalibrator:
    """The map from logits to weight·curve + (1 − weight)·base, a pytree.

    A curve is interpolated linearly between its knots and constant beyond them.

    Attributes:
        knots: ascending logits, (K,) or (L, K), padded by repeating the last one.
        values: probabilities at the knots, of the same shape.
        weight: the weight of the curve, () or (L,).
        base: the map that the curve is shrunk to: that of all labels or, if None, the identity
            σ(x).
    """

    knots: Array
    values: Array
    weight: Array
    base: IsotonicCalibrator | None = None

    def __call__(self, logits: ArrayLike) -> Array:
        """Returns probabilities (..., L); NaN for a NaN logit."""
        base = _sigmoid(logits) if self.base is None else self.base(logits)
        return _mixed(logits, base, self.knots, self.values, self.weight)


def _checked(logits: ArrayLike) -> Array:
    x = checks.float_array("logits", logits)
    return x.astype(compute_dtype(x))


@compiled()
def _sigmoid(logits: ArrayLike) -> Array:
    return sigmoid_pair(_checked(logits))[0]


@compiled()
def _mixed(logits: ArrayLike, base: Array, knots: Array, values: Array, weight: Array) -> Array:
    x = _checked(logits)
    w = checks.element_parameter("weight", weight, x)
    last = x.ndim - 1
    if knots.ndim == 1:
        curve = _interpolate(x, knots.astype(x.dtype), values.astype(x.dtype))
    else:
        by_label = jax.vmap(_interpolate, in_axes=(last, 0, 0), out_axes=last)
        curve = by_label(x, knots.astype(x.dtype), values.astype(x.dtype))
    # Rounding keeps the order in each operation, so the map is monotone to the last bit.
    return w * curve + (1 - w) * base


def _interpolate(x: Array, knots: Array, values: Array) -> Array:
    x = jnp.clip(x, knots[0], knots[-1])
    after = jnp.clip(jnp.searchsorted(knots, x, side="right"), 1, len(knots) - 1)
    start, end = knots[after - 1], knots[after]
    low, high = values[after - 1], values[after]
    gap = end - start
    share = jnp.where(gap > 0, (x - start) / jnp.where(gap > 0, gap, 1), x - end + 1)
    return jnp.minimum(low + share * (high - low), high)


@takes_soft_labels
def fit_isotonic(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    scope: Scope = "label",
    shrinkage: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> IsotonicCalibrator:
    """Isotonic calibration: the increasing function of the logit with the least squared error.

    The pooling of adjacent violators runs on the host, in float64, for all labels at once, so this
    function is not for use under `jit`; the calibrator itself is for use anywhere. Probabilities of
    exactly 0 and 1 occur at the ends of a curve.

    Formula:
        f = argmin Σ w·(f(x) − y)² over increasing f, at the given logits, entries of equal logit
        taken as one; f is linear in between and constant outside

    Args:
        logits: float array (N, L), of data that the model was not trained on.
        labels: bool, integer or float array (N, L); floats may be soft labels in [0, 1].
        scope: "label" fits one curve per label, "global" one for all.
        shrinkage: s ≥ 0; a label with n observations of its rarer class gets n / (n + s) of its
            own curve and the rest of the common one, which is itself shrunk to the identity (see
            `mllosses_jax.calibration`).
        weights: non-negative, (N,), how much each sample counts.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        A calibrator whose curves keep the ends of their flat pieces as knots. A label without
        positives or without negatives takes the common curve. A NaN logit that
        counts makes everything NaN.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, a parameter is out of its range, or in an eager call a label
            that counts is NaN or outside [0, 1].

    Reference:
        B. Zadrozny and C. Elkan, "Transforming Classifier Scores into Accurate Multiclass
        Probability Estimates", KDD 2002. With shrinkage=0 it is
        `sklearn.isotonic.IsotonicRegression(out_of_bounds="clip")` of one label's logits.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import calibration
        >>> logits = jnp.array([[-1.0], [0.0], [1.0], [2.0]])
        >>> labels = jnp.array([[0], [1], [0], [1]])
        >>> calibrator = calibration.fit_isotonic(logits, labels, shrinkage=0)
        >>> print(calibrator(jnp.array([[-2.0], [-0.5], [0.5], [2.0]]))[:, 0])
        [0.   0.25 0.5  1.  ]
    """
    checks.one_of("scope", scope, ("label", "global"))
    s = float(checks.scalar("shrinkage", shrinkage, jnp.result_type(float)))
    if not s >= 0:
        raise ValueError(f"shrinkage must be at least 0, got {shrinkage}")
    if weights is not None and not np.all(np.asarray(weights) >= 0):  # NaN is rejected too
        raise ValueError(f"weights must be at least 0, got {np.min(np.asarray(weights))}")
    data = entries(logits, labels, weights, where)
    common = _calibrator(data.pooled(), s)
    common = IsotonicCalibrator(common.knots[0], common.values[0], common.weight[0])
    if scope == "global":
        return common
    return dataclasses.replace(_calibrator(data, s), base=common)


def _calibrator(rows: Entries, shrinkage: float) -> IsotonicCalibrator:
    rarer = rows.rarer()
    known = rarer > 0
    weight = jnp.where(known, rarer / jnp.where(known, rarer + shrinkage, 1), 0)
    weight = jnp.where(rows.has_nan(), jnp.nan, weight)
    x = jnp.clip(rows.x, -_LARGEST_LOGIT, _LARGEST_LOGIT)
    curve = isotonic_curves(np.asarray(x), np.asarray(rows.y), np.asarray(rows.w))
    dtype = x.dtype
    return IsotonicCalibrator(
        jnp.asarray(curve.knots, dtype), jnp.asarray(curve.values, dtype), weight
    )
