"""Losses for incomplete labels: some labels are known, or only positives are."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import pair_of_tail, power, signed_tail
from mllosses_jax._core.platforms import sum_of_terms, total_over_labels
from mllosses_jax._core.reduction import (
    all_sum,
    count_entries,
    masked_count,
    reduce_labels,
    reduce_samples,
    safe_divide,
)
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import cross_entropy

__all__ = ["partial_binary_cross_entropy", "positive_unlabeled_loss"]

_INF = float("inf")


@compiled_loss()
def partial_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = -4.45,
    beta: ArrayLike = 5.45,
    gamma: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Partial binary cross-entropy: samples are weighted by the share of labels that are known.

    Formula:
        ℓ = −(g(ρ)/L)·Σ_known [y_c·log σ(x_c) + (1 − y_c)·log σ(−x_c)]
        g(ρ) = α·ρ^γ + β,  ρ = number of known labels / L

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        alpha: α, a scalar. With the defaults g(1) = 1 and g(0.1) is about 5: the fewer labels are
            known, the more each of them counts.
        beta: β, a scalar.
        gamma: γ, a scalar. α = 1, β = 0, γ = −1 gives the mean over the known labels, in which
            each counts even more.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are known. L is the
            length of the label axis, known or not.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per label: (...) with "none", else (). A sample without a known label has
        loss 0 and does not count.

    Reference:
        T. Durand, N. Mehrasa and G. Mori, "Learning a Deep ConvNet for Multi-label Classification
        with Partial Labels", 2019, arXiv:1902.09720.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import partial_binary_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> known = jnp.array([[True, False]])
        >>> print(f"{partial_binary_cross_entropy(logits, labels, where=known):.4f}")
        0.2047
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    dtype, counted = inputs.x.dtype, inputs.counted()
    size = max(inputs.x.shape[-1], 1)
    number = jnp.maximum(jnp.sum(counted, axis=-1), 1)  # a power of 0 may be infinite
    share = number.astype(dtype) / size
    exponent = gamma if isinstance(gamma, int) else checks.scalar("gamma", gamma, dtype)
    a, b = checks.scalar("alpha", alpha, dtype), checks.scalar("beta", beta, dtype)
    scale = a * power(share, jnp.log(share), exponent) + b
    losses = total_over_labels(jnp.where(counted, cross_entropy(inputs), 0))
    return reduce_samples(scale * losses / size, inputs.where, weights, reduction, axis_name)


def _risks(inputs: LossInputs, x: Array, prior: Array, axis_name: AxisName) -> tuple[Array, Array]:
    """Returns the risks of the positives and of the negatives, both (L,); the latter may be < 0.

    The signed tail of σ(x) is written once. Then the batch is passed over four times: for the
    number of the positives, their σ(x) and σ(−x), and the σ(x) of the others.
    """
    batch, positives, tail = tuple(range(x.ndim - 1)), inputs.positives(), signed_tail(x)
    if inputs.where is not None:
        tail = jnp.where(inputs.where, tail, 0)
    in_all = count_entries(x, inputs.where, axis_name, axis=batch)
    in_positives = masked_count(positives, axis_name, axis=batch)
    in_unlabeled = in_all - in_positives

    def mean(terms: Callable[[Array, Array], Array], count: Array) -> Array:
        total = all_sum(sum_of_terms(terms, (tail, positives), batch), axis_name)
        return total * safe_divide(jnp.ones_like(total), count.astype(total.dtype))

    claimed = mean(lambda tail, y: jnp.where(y, 0, pair_of_tail(tail)[0]), in_unlabeled)
    hit = mean(lambda tail, y: jnp.where(y, pair_of_tail(tail)[0], 0), in_positives)
    missed = mean(lambda tail, y: jnp.where(y, pair_of_tail(tail)[1], 0), in_positives)
    return prior * missed, jnp.where(in_unlabeled > 0, claimed - prior * hit, 0)


@compiled_loss(prior=(0, 1))
def positive_unlabeled_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    prior: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Positive-unlabeled loss (nnPU): the risk estimated from positive and unlabeled entries.

    Formula:
        ℓ = π·mean_P σ(−x) + max(0, R),  R = mean_U σ(x) − π·mean_P σ(x)

    Each label has its own loss, where P are its positives in the batch and U its unlabeled entries.
    The surrogate of the 0-1 loss is the authors' σ(−z), which is bounded and flat in both tails.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 is unlabeled, not negative.
        prior: π in [0, 1], a scalar or (L,): the share of true positives of each label, which
            exceeds the share of its known positives.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 2], without a unit: (L,) with "none", else (). If R is below 0, which
        shows that the model overfits, the gradient in the logits is that of −R alone, as in the
        authors' algorithm with β = 0 and γ = 1: it is not the derivative of the value. The
        derivative in the prior is always that of the value. A label without positives in the batch
        has loss mean_U σ(x), and one without unlabeled entries has π·mean_P σ(−x).

    Reference:
        R. Kiryo, G. Niu, M. C. du Plessis and M. Sugiyama, "Positive-Unlabeled Learning with
        Non-Negative Risk Estimator", 2017, arXiv:1703.00593.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import positive_unlabeled_loss
        >>> logits, labels = jnp.array([[2.0], [-1.0]]), jnp.array([[1], [0]])
        >>> print(f"{positive_unlabeled_loss(logits, labels, prior=0.2):.4f}")
        0.1166
    """
    inputs = loss_inputs(logits, labels, where)
    x, fixed = inputs.x, jax.lax.stop_gradient
    prior = checks.per_label("prior", prior, x.shape[-1], x.dtype)
    risk, rest = _risks(inputs, fixed(x), prior, axis_name)
    value = risk + jnp.where(rest < 0, 0, rest)
    risk, rest = _risks(inputs, x, fixed(prior), axis_name)
    descended = jnp.where(rest < 0, -rest, risk + rest)
    losses = value + (descended - fixed(descended))
    return reduce_labels(losses, inputs.where, weights, reduction, axis_name)
