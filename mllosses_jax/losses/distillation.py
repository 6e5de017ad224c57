"""Distillation: a student learns the probabilities of a teacher."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from numpy.polynomial import Polynomial

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import exp_unit, sigmoid_pair, tempered, unwritten, with_slope
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.polynomials import near_best, polynomial
from mllosses_jax._core.reduction import reduce_samples
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["multilabel_distillation_loss"]

_SMALLEST = 1e-30  # the smallest temperature


def _exponential_rest(d: Array) -> Array:
    """Returns eᵈ − 1 − d for |d| < 1/2."""
    single = d.dtype == jnp.float32
    return d * d * polynomial(d, _EXPONENTIAL if single else _SERIES_OF_EXPONENTIAL)


@jax.custom_jvp
def _difference(x: Array, teacher: Array) -> Array:
    """Returns σ(x) − σ(teacher) with one quotient, from exponentials that cannot overflow.

    Their difference would lose its digits where x is near the teacher, as at a high temperature.
    There it comes from a series.
    """
    a, b = exp_unit(-jnp.abs(x)), exp_unit(-jnp.abs(teacher))
    one_side = (x >= 0) == (teacher >= 0)
    d = jnp.where(one_side, jnp.abs(teacher), -jnp.abs(teacher)) - jnp.abs(x)
    bend = _exponential_rest(d)
    near = jnp.abs(d) < 0.5
    change = jnp.where(near, -(d + bend), 1 - jnp.where(one_side, 0, a * b))
    size = jnp.where(one_side & ~near, b - a, jnp.where(one_side, b, 1) * change)
    size = size / ((1 + a) * (1 + b))
    return jnp.where(x >= 0, size, -size)


@_difference.defjvp
def _difference_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (p, q), (p_t, q_t) = (sigmoid_pair(logits) for logits in primals)
    return _difference(*primals), p * q * tangents[0] - p_t * q_t * tangents[1]


@jax.custom_jvp
def _divergence_of_both(x: Array, teacher: Array) -> Array:
    """Returns KL(Bernoulli(σ(teacher)) ‖ Bernoulli(σ(x))).

    With t = −|teacher|, x turned like it, d = x − t, a = exp(−|x|) and b = exp(t), this is

        log((1 + a)/(1 + b)) + max(x, 0) − w·d = 2·artanh(s) + max(x, 0) − w·d,
        w = b/(1 + b),  s = (a − b)/(2·(1 + b) + a − b), at most 1/3.

    Near d = 0 the terms nearly cancel. There z = w·(eᵈ − 1) has s = z/(2 + z), the loss is
    2·artanh(s) − w·d, and 2·s is z − s·z. So the loss is the sum of w·(eᵈ − 1 − d) − s·z and of
    2·(artanh(s) − s), where eᵈ − 1 − d comes from a series.
    """
    turned = jnp.where(teacher > 0, -x, x)
    d = turned + jnp.abs(teacher)
    a, b = exp_unit(-jnp.abs(x)), exp_unit(-jnp.abs(teacher))
    near = jnp.abs(d) < 0.5
    bend = _exponential_rest(d)
    single = x.dtype == jnp.float32
    change = jnp.where(near, b * (d + bend), a - b)
    whole = 2 * (1 + b) + change
    inverse = unwritten(1 / ((1 + b) * whole))  # one quotient serves both
    s = change * ((1 + b) * inverse)
    rest = s**3 * polynomial(s * s, _ARTANH if single else _SERIES_OF_ARTANH)
    # Dividing by the temperature may make logits infinite.
    linear = jnp.where(b > 0, b * jnp.minimum(d, jnp.finfo(d.dtype).max), 0)
    scaled = jnp.where(near, b * bend - s * change, -linear) * (whole * inverse)
    return rest + scaled + jnp.where(near, 0, 2 * s + jnp.maximum(turned, 0))


@_divergence_of_both.defjvp
def _divergence_of_both_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    x, teacher = primals
    p_t, q_t = sigmoid_pair(teacher)
    by_teacher = p_t * q_t * jnp.where(p_t * q_t > 0, teacher - x, 0)
    change = _difference(x, teacher) * tangents[0] + by_teacher * tangents[1]
    return _divergence_of_both(x, teacher), change


# Two passes over (B, L): one of values, which are added up at once, and one of slopes.
_divergence = with_slope(_difference)(_divergence_of_both)

# The series of (eᵈ − 1 − d)/d² for |d| < 1/2 and, in powers of s², of 2·(artanh s − s)/s³. There
# are enough terms for float64. In float32 the relative errors of the polynomials are below 3e-8 and
# 5e-7, the latter in a term that is a small part of the sum.
_SERIES_OF_EXPONENTIAL = tuple(1 / math.factorial(n + 2) for n in range(12))
_SERIES_OF_ARTANH = tuple(2 / (2 * n + 3) for n in range(16))
_EXPONENTIAL = near_best(Polynomial(_SERIES_OF_EXPONENTIAL), -0.5, 0.5, terms=6)
_ARTANH = near_best(Polynomial(_SERIES_OF_ARTANH), 0, 1 / 9, terms=4)


@compiled_loss(temperature=(_SMALLEST, 1e30))
def multilabel_distillation_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    teacher_logits: ArrayLike,
    temperature: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Multi-label logits distillation (MLD): the student's probabilities follow the teacher's.

    Formula:
        ℓ = Σ_c KL(Bernoulli(σ(t_c/T)) ‖ Bernoulli(σ(x_c/T)))

    The labels are not used: add a loss that uses them (the authors weight the distillation by 10
    in the sum). The authors have no temperature, so T = 1; with another T the gradient shrinks
    with 1/T², and the loss is not multiplied by T² here.

    Args:
        logits: x, the student's, float array (..., L).
        labels: bool, integer or float array (..., L): unused, but required so that the loss has
            the common signature.
        teacher_logits: t, the teacher's, float array (..., L). They get no gradient.
        temperature: T > 0, a scalar. Derivatives in T are finite for T ≥ 1e-7 if the logits
            divided by T² are finite.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample, at least 0: (...) with "none", else (). The authors' code is
        "mean" (its "batchmean"), except that it clamps probabilities at 1e-8, so its gradient is
        0 or NaN if the student is certain but wrong.

    Reference:
        P. Yang, M.-K. Xie, C.-C. Zong, L. Feng, G. Niu, M. Sugiyama and S.-J. Huang, "Multi-Label
        Knowledge Distillation", 2023, arXiv:2308.06453.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import multilabel_distillation_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> teacher = jnp.array([[3.0, 0.0]])
        >>> print(f"{multilabel_distillation_loss(logits, labels, teacher_logits=teacher):.4f}")
        0.1510
    """
    inputs = loss_inputs(logits, labels, where)
    given = checks.float_array("teacher_logits", teacher_logits)
    checks.same_shape("teacher_logits", given, "logits", inputs.x)
    teacher = jax.lax.stop_gradient(given.astype(inputs.x.dtype))
    if inputs.where is not None:
        teacher = jnp.where(inputs.where, teacher, 0)
    t = checks.scalar("temperature", temperature, inputs.x.dtype)
    both = tempered(inputs.x, t), tempered(teacher, t)
    losses = sum_of_terms(_divergence, both, (inputs.x.ndim - 1,))  # terms are 0 where masked
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
