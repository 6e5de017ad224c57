"""Distillation: a student learns the probabilities of a teacher."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from numpy.polynomial import Polynomial

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import log_sigmoid_pair, sigmoid_pair, tempered, with_slope
from mllosses_jax._core.polynomials import near_best, polynomial
from mllosses_jax._core.reduction import reduce_samples
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["multilabel_distillation_loss"]

_SMALLEST = 1e-30  # the smallest temperature


def _divergence_slope(x: Array, teacher: Array) -> Array:
    p, q = sigmoid_pair(x)
    p_t, q_t = sigmoid_pair(teacher)
    return q_t * p - p_t * q


@with_slope(_divergence_slope)
def _divergence(x: Array, teacher: Array) -> Array:
    """Returns KL(Bernoulli(σ(teacher)) ‖ Bernoulli(σ(x))).

    With w the smaller of the teacher's two probabilities and d the change of its logit, this is
    log(1 + w·(eᵈ − 1)) − w·d. Near d = 0, where both terms are close to w·d, it is computed as
    the sum of log(1 + z) − z at z = w·(eᵈ − 1) and w·(eᵈ − 1 − d), each from its series.
    """
    (log_p, log_q), (log_p_t, log_q_t) = log_sigmoid_pair(x), log_sigmoid_pair(teacher)
    p_t, q_t = sigmoid_pair(teacher)
    # Dividing by the temperature may make logits infinite.
    apart = jnp.where(p_t > 0, p_t * (log_p_t - log_p), 0)
    apart = apart + jnp.where(q_t > 0, q_t * (log_q_t - log_q), 0)
    near = jnp.abs(x - teacher) < 0.5
    w = jnp.where(teacher > 0, q_t, p_t)
    d = jnp.where(near, jnp.where(teacher > 0, teacher - x, x - teacher), 0)
    single = x.dtype == jnp.float32
    bend = d * d * polynomial(d, _EXPONENTIAL if single else _SERIES_OF_EXPONENTIAL)
    z = w * (d + bend)
    s = z / (2 + z)  # at most 0.14
    artanh = polynomial(s * s, _ARTANH if single else _SERIES_OF_ARTANH)
    together = w * bend - s * z + s**3 * artanh
    return jnp.where(near, together, apart)


# The series of (eᵈ − 1 − d)/d² for |d| < 1/2 and, in powers of s², of 2·(artanh s − s)/s³. There
# are enough terms for float64. In float32 the relative errors of the polynomials are below 3e-8 and
# 1e-7, the latter in a term that is a small part of the sum.
_SERIES_OF_EXPONENTIAL = tuple(1 / math.factorial(n + 2) for n in range(12))
_SERIES_OF_ARTANH = tuple(2 / (2 * n + 3) for n in range(7))
_EXPONENTIAL = near_best(Polynomial(_SERIES_OF_EXPONENTIAL), -0.5, 0.5, terms=6)
_ARTANH = near_best(Polynomial(_SERIES_OF_ARTANH), 0, 0.14**2, terms=3)


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
    divergences = _divergence(tempered(inputs.x, t), tempered(teacher, t))  # 0 where masked
    losses = jnp.sum(divergences, axis=-1)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
