"""The asymmetry of asymmetric losses, adjusted from batch to batch."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import sigmoid_pair
from mllosses_jax._core.reduction import masked_count, masked_mean
from mllosses_jax._core.types import AxisName

_INF = float("inf")


@compiled(gamma_neg=(0, _INF), target=(-1, 1), rate=(0, _INF))
def adaptive_asymmetry(
    gamma_neg: ArrayLike,
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    target: ArrayLike,
    rate: ArrayLike,
    where: ArrayLike | None = None,
    axis_name: AxisName = None,
) -> Array:
    """Returns γ₋ for the next batch, after one step towards a target gap of probabilities.

    Without asymmetry a model is surer of the many negatives than of the few positives, so the gap
    is below 0. A larger γ₋ makes negatives count less, the model less sure of them, and the gap
    larger, so γ₋ grows while the gap is below its target.

    Formula:
        γ₋ ← max(γ₋ + λ·(Δp_target − Δp), 0),  Δp = p_t⁺ − p_t⁻
        p_t⁺ = mean of p over the positives,  p_t⁻ = mean of 1 − p over the negatives,  p = σ(x)

    Args:
        gamma_neg: γ₋ ≥ 0 of this batch, a scalar.
        logits: float array (..., L) of this batch.
        labels: bool, integer or float array (..., L); positive where > 0.
        target: Δp_target in [−1, 1], a scalar: 0 makes the model as sure of positives as of
            negatives, and a larger value makes it surer of positives.
        rate: λ ≥ 0, a scalar: how much γ₋ changes in a batch whose gap is off by 1.
        where: bool, with the rank of logits and axes equal or 1: which entries count.
        axis_name: mesh axis over which the means are taken inside `shard_map`.

    Returns:
        γ₋ for the next batch, (), in the dtype of gamma_neg if that is an array of floats. A
        batch without positives or without negatives has no gap and leaves γ₋ unchanged. There is
        no other state: carry γ₋ through the loop along with the parameters of the model.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or a parameter is out of its range or not a scalar.

    Reference:
        Adaptive asymmetry of T. Ridnik, E. Ben-Baruch, N. Zamir, A. Noy, I. Friedman, M. Protter
        and L. Zelnik-Manor, "Asymmetric Loss For Multi-Label Classification", 2021,
        arXiv:2009.14119; their code does not include it. Their equation is quoted with either
        sign. With λ·(Δp − Δp_target) for the same Δp, γ₋ runs away: to 0 if the gap is below its
        target, and without bound if it is above. With the sign used here, the gap converges to its
        target. The lower bound of 0 for γ₋ is our addition: below 0 the loss is unbounded.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.training import adaptive_asymmetry
        >>> logits, labels = jnp.array([[0.0, -2.0, -3.0]]), jnp.array([[1, 0, 0]])
        >>> gamma_neg = adaptive_asymmetry(2.0, logits, labels, target=0.1, rate=0.5)
        >>> print(f"{gamma_neg:.4f}")
        2.2583
    """
    inputs = loss_inputs(logits, labels, where)
    dtype = inputs.x.dtype
    gamma = checks.scalar("gamma_neg", gamma_neg, dtype)
    p, q = sigmoid_pair(inputs.x)
    positives, negatives = inputs.positives(), inputs.negatives()
    gap = masked_mean(p, positives, axis_name) - masked_mean(q, negatives, axis_name)
    change = checks.scalar("rate", rate, dtype) * (checks.scalar("target", target, dtype) - gap)
    known = masked_count(positives, axis_name) > 0
    known &= masked_count(negatives, axis_name) > 0
    result = jnp.where(known, jnp.maximum(gamma + change, 0), gamma)
    given = jnp.result_type(gamma_neg)
    return result.astype(given) if jnp.issubdtype(given, jnp.floating) else result
