"""Cross-entropies that know how often each label is positive, or how often a positive is missed."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.frequencies import log_odds
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    exp_unit,
    finite_product,
    log1p_unit,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import cross_entropy, soft_cross_entropy

__all__ = [
    "equalization_loss",
    "ldam_loss",
    "logit_adjusted_binary_cross_entropy",
    "unbiased_binary_cross_entropy",
]

_INF = float("inf")
_TINY = float(np.finfo(np.float32).tiny)


@compiled_loss(label_counts=(0, _INF), max_margin=(0, _INF), scale=(0, _INF))
def ldam_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_counts: ArrayLike,
    max_margin: ArrayLike = 0.5,
    scale: ArrayLike = 30.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Label-distribution-aware margin loss (LDAM): the rarer a label, the larger its margin.

    This is the multi-label form, a binary cross-entropy per label. The paper's form for a single
    label is a softmax cross-entropy of the same logits s·(x − Δ·y). Code that feeds label sets to
    the authors' matrix product subtracts the sum of all margins of a set from each of its logits.

    Formula:
        ℓ_c = BCE(s·(x_c − Δ_c·y_c), y_c),  Δ_c = m·(min_j n_j / n_c)^{1/4}

    Args:
        logits: float array (..., L): cosines in [−1, 1] for s = 30, or any logits for s = 1.
        labels: bool, integer or float array (..., L), hard or soft.
        label_counts: n, a scalar or (L,): the number of positives of each label in the training
            data. A label without positives is treated as if it had one.
        max_margin: m ≥ 0, a scalar or (L,): the margin of the rarest label.
        scale: s ≥ 0, a scalar or (L,).
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry. For the
            paper's deferred reweighting (DRW), pass effective-number weights late in training.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The gradient in x is at most s.

    Reference:
        K. Cao, C. Wei, A. Gaidon, N. Arechiga and T. Ma, "Learning Imbalanced Datasets with
        Label-Distribution-Aware Margin Loss", 2019, arXiv:1906.07413.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import ldam_loss
        >>> logits, labels = jnp.array([[0.6, -0.2]]), jnp.array([[1, 0]])
        >>> counts = jnp.array([16, 256])
        >>> losses = ldam_loss(logits, labels, label_counts=counts, scale=10.0, reduction="none")
        >>> print([f"{loss:.4f}" for loss in losses[0]])
        ['0.3133', '0.1269']
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x = inputs.x
    counts = jnp.maximum(checks.element_parameter("label_counts", label_counts, x), 1)
    rarity = jnp.min(counts, initial=_INF) / counts
    margin = checks.element_parameter("max_margin", max_margin, x) * jnp.sqrt(jnp.sqrt(rarity))
    s = checks.element_parameter("scale", scale, x)
    losses = cross_entropy(inputs._replace(x=s * (x - margin * inputs.soft_y)))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(prior=(0, 1))
def logit_adjusted_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    prior: ArrayLike,
    tau: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Binary cross-entropy of logits to which the log-odds of the priors are added in training.

    The model then learns log-odds as if positives and negatives were equally frequent: decisions by
    its own logits, without the addition, minimize the balanced error.

    Formula:
        ℓ = BCE(x + τ·log(π/(1 − π)), y)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        prior: π in [0, 1], a scalar or (L,): the share of positives in the training data, as
            returned by `weighting.label_priors`. Priors are clamped to [1e-6, 1 − 1e-6].
        tau: τ, a scalar or (L,): 1 follows from theory, 0 gives binary cross-entropy.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The paper has the softmax form with log π;
        this is the same argument for one label at a time.

    Reference:
        A. K. Menon, S. Jayasumana, A. S. Rawat, H. Jain, A. Veit and S. Kumar, "Long-Tail
        Learning via Logit Adjustment", 2021, arXiv:2007.07314.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import logit_adjusted_binary_cross_entropy
        >>> logits, labels = jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]])
        >>> losses = logit_adjusted_binary_cross_entropy(
        ...     logits, labels, prior=jnp.array([0.1, 0.2]), reduction="none"
        ... )
        >>> print([f"{loss:.4f}" for loss in losses[0]])
        ['2.3026', '0.2231']
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    shift = log_odds(checks.element_parameter("prior", prior, inputs.x))
    shift = checks.element_parameter("tau", tau, inputs.x) * shift
    losses = cross_entropy(inputs._replace(x=inputs.x + shift))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(label_frequencies=(0, 1), threshold=(0, 1))
def equalization_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_frequencies: ArrayLike,
    threshold: ArrayLike = 1.77e-3,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Equalization loss (EQL): binary cross-entropy in which rare labels have no negatives.

    Formula:
        ℓ_c = w_c·BCE(x_c, y_c),  w_c = 1 − [f_c < t]·(1 − y_c)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        label_frequencies: f in [0, 1], a scalar or (L,): the share of training samples with the
            label, as returned by `weighting.label_priors`.
        threshold: t in [0, 1], a scalar or (L,): labels of a lower frequency are rare. The
            default is that of the authors' code for LVIS. It gets no gradient.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' code is "batchmean". Every
        sample is treated as foreground: in detection the paper keeps the negatives of background
        proposals. A rare label without a positive that counts has loss and gradient 0.

    Reference:
        J. Tan, C. Wang, B. Li, Q. Li, W. Ouyang, C. Yin and J. Yan, "Equalization Loss for
        Long-Tailed Object Recognition", 2020, arXiv:2003.05176.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import equalization_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, -1.0]]), jnp.array([[1, 0, 0]])
        >>> frequencies = jnp.array([0.001, 0.001, 0.2])
        >>> losses = equalization_loss(
        ...     logits, labels, label_frequencies=frequencies, reduction="none"
        ... )
        >>> print([f"{loss:.4f}" for loss in losses[0]])
        ['0.1269', '0.0000', '0.3133']
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    frequencies = checks.element_parameter("label_frequencies", label_frequencies, inputs.x)
    rare = frequencies < checks.element_parameter("threshold", threshold, inputs.x)
    if inputs.hard:
        losses = jnp.where(rare & ~inputs.y, 0, cross_entropy(inputs))
    else:
        weight = jnp.where(rare, inputs.y, 1)
        losses = soft_cross_entropy(inputs.x, weight * inputs.y, weight * (1 - inputs.y))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


def _unbiased_slope(x: Array, positive: Array, negative: Array) -> Array:
    p, q = sigmoid_pair(x)
    return negative * p - positive * q


@with_slope(_unbiased_slope)
def _unbiased_cross_entropy(x: Array, positive: Array, negative: Array) -> Array:
    """Returns −positive·log p − negative·log(1 − p) for weights that add up to 1.

    With a negative weight the two terms would cancel, so what they have in common is computed once.
    """
    size = jnp.abs(x)
    linear = finite_product(jnp.where(x >= 0, negative, positive), size)
    return log1p_unit(exp_unit(-size)) + linear


@compiled_loss(propensity=(_TINY, 1))
def unbiased_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    propensity: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Unbiased binary cross-entropy for positives that are observed with a known propensity.

    Its expectation over which positives are missing is the cross-entropy of the complete labels.

    Formula:
        ℓ = −(y/ρ)·log σ(x) − (1 − y/ρ)·log σ(−x)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft: the observed labels.
        propensity: ρ in (0, 1], a scalar or (L,): the probability that a positive is observed, such
            as 1 / `weighting.inverse_propensity`. 1 gives binary cross-entropy. The derivative in ρ
            is finite if the logits divided by ρ² are finite.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The negative term of an observed positive
        has a negative weight: the loss falls without bound as the logit grows, with a gradient of
        1 − 1/ρ. A model that can fit every positive is driven to infinity, and low propensities
        have a high variance: regularise, or use the convex upper bound,
        `sigmoid_binary_cross_entropy` with pos_weight = 2/ρ − 1 (`weighting.propensity_weights`).

    Reference:
        E. Schultheis, M. Qaraei, P. Gupta and R. Babbar, "Unbiased Loss Functions for Extreme
        Classification With Missing Labels", 2020, arXiv:2007.00237; after N. Natarajan,
        I. S. Dhillon, P. Ravikumar and A. Tewari, "Learning with Noisy Labels", 2013.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import unbiased_binary_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> losses = unbiased_binary_cross_entropy(
        ...     logits, labels, propensity=0.5, reduction="none"
        ... )
        >>> print([f"{loss:.4f}" for loss in losses[0]])
        ['-1.8731', '0.3133']
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    rho = checks.element_parameter("propensity", propensity, inputs.x)
    y = inputs.soft_y
    losses = _unbiased_cross_entropy(inputs.x, y / rho, (rho - y) / rho)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
