"""Losses for labels of which some are missing: single positives, known parts, positives alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import Inputs, loss_inputs
from mllosses_jax._core.numerics import AxisName, power, sigmoid_pair
from mllosses_jax._core.reduction import (
    Reduction,
    all_sum,
    reduce_elements,
    reduce_labels,
    reduce_samples,
    safe_divide,
)
from mllosses_jax._core.smoothing import smoothed
from mllosses_jax.losses.binary import cross_entropy, soft_cross_entropy

Array = jax.Array
Loss = Array | tuple[Array, Array]
_INF = float("inf")


@compiled(label_smoothing=(0, 1))
def assume_negative_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> Loss:
    """Assume-negative loss (AN, AN-LS): binary cross-entropy in which unknown means negative.

    Formula:
        ℓ = −y·log σ(x) − (1 − y)·log σ(−x),  with y ← y·(1 − s) + (1 − y)·s

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 where the label is unknown or negative.
        label_smoothing: s, a scalar in [0, 1] or (L,), in the convention "full" of
            `labels.smooth_labels`. AN-LS has 0.1 in the authors' code; their paper writes s/2.
        weights: scale terms: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool, the rank of logits with axes equal or 1: which entries count. It is not
            needed for unknown labels here.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "mean", but for the
        1e-5 that it adds to probabilities within the logarithm.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or label_smoothing is not in [0, 1].

    Reference:
        E. Cole, O. Mac Aodha, T. Lorieul, P. Perona, D. Morris and N. Jojic, "Multi-Label Learning
        from Single Positive Labels", 2021, arXiv:2106.09708.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import assume_negative_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(f"{assume_negative_loss(logits, labels, label_smoothing=0.1):.4f}")
        0.3701
    """
    inputs = loss_inputs(logits, labels, where)
    if not (isinstance(label_smoothing, int) and label_smoothing == 0):
        s = checks.element_parameter("label_smoothing", label_smoothing, inputs.x)
        inputs = inputs._replace(y=smoothed(inputs.soft_y, s, "full", inputs.counted()))
    return reduce_elements(
        cross_entropy(inputs),
        weights=weights,
        where=inputs.where,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled(gamma=(0, _INF))
def weak_assume_negative_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> Loss:
    """Weak assume-negative loss (WAN): unknown labels are negatives of a small weight.

    Formula:
        ℓ = −y·log σ(x) − γ·(1 − y)·log σ(−x)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 where the label is unknown or negative.
        gamma: γ ≥ 0, a scalar or (L,). None is 1/(L − 1) with the L that count in the row, at
            which a single positive weighs as much as all other labels together.
        weights: scale terms: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool, the rank of logits with axes equal or 1: which entries count. It is not
            needed for unknown labels here.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "mean", but for the
        1e-5 that it adds to probabilities within the logarithm. A row of one label has γ = 1.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or gamma is negative.

    Reference:
        E. Cole, O. Mac Aodha, T. Lorieul, P. Perona, D. Morris and N. Jojic, "Multi-Label Learning
        from Single Positive Labels", 2021, arXiv:2106.09708.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weak_assume_negative_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, -1.0]]), jnp.array([[1, 0, 0]])
        >>> print(weak_assume_negative_loss(logits, labels, reduction="none").round(4))
        [[0.1269 0.1566 0.1566]]
    """
    inputs = loss_inputs(logits, labels, where)
    if gamma is None:
        others = jnp.sum(inputs.counted(), axis=-1, keepdims=True) - 1
        g = 1 / jnp.maximum(others, 1).astype(inputs.x.dtype)
    else:
        g = checks.element_parameter("gamma", gamma, inputs.x)
    if inputs.hard:
        losses = jnp.where(inputs.y, 1, g) * cross_entropy(inputs)
    else:
        losses = soft_cross_entropy(inputs.x, inputs.y, g * (1 - inputs.y))
    return reduce_elements(
        losses, weights=weights, where=inputs.where, reduction=reduction, axis_name=axis_name
    )


@compiled()
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
) -> Loss:
    """Partial binary cross-entropy: a sample weighs by the share of its labels that is known.

    Formula:
        ℓ = −(g(ρ)/L)·Σ_known [y_c·log σ(x_c) + (1 − y_c)·log σ(−x_c)]
        g(ρ) = α·ρ^γ + β,  ρ = number of known labels / L

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        alpha: α, a scalar. With the defaults g(1) = 1 and g(0.1) = 5, about: the fewer labels
            are known, the more each counts.
        beta: β, a scalar.
        gamma: γ, a scalar. α = 1, β = 0, γ = −1 is the mean over the known labels, in which
            each counts more still.
        weights: scale samples: shape (...).
        where: bool, the rank of logits with axes equal or 1: which labels are known. L is the
            length of the label axis, known or not.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per label: (...) with "none", else (). A sample of which no label is
        known has loss 0 and does not count.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ.

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
    inputs = loss_inputs(logits, labels, where)
    dtype, counted = inputs.x.dtype, inputs.counted()
    size = max(inputs.x.shape[-1], 1)
    number = jnp.maximum(jnp.sum(counted, axis=-1), 1)  # no power of 0 where none is known
    share = number.astype(dtype) / size
    exponent = gamma if isinstance(gamma, int) else checks.scalar("gamma", gamma, dtype)
    a, b = checks.scalar("alpha", alpha, dtype), checks.scalar("beta", beta, dtype)
    scale = a * power(share, jnp.log(share), exponent) + b
    losses = jnp.sum(jnp.where(counted, cross_entropy(inputs), 0), axis=-1)
    return reduce_samples(
        scale * losses / size,
        weights=weights,
        where=inputs.where,
        reduction=reduction,
        axis_name=axis_name,
    )


def _risks(inputs: Inputs, x: Array, prior: Array, axis_name: AxisName) -> tuple[Array, Array]:
    """Returns the risks (L,) of the positives, and of the negatives, which may be below 0."""

    def mean(losses: Array, of: Array) -> Array:
        total = all_sum(jnp.sum(jnp.where(of, losses, 0)), axis_name)
        number = all_sum(jnp.sum(of, dtype=jnp.int32), axis_name)
        return safe_divide(total, number.astype(x.dtype))

    def of_label(x: Array, positive: Array, unlabeled: Array) -> tuple[Array, ...]:
        p, q = sigmoid_pair(x)
        some = all_sum(jnp.sum(unlabeled, dtype=jnp.int32), axis_name) > 0
        return mean(q, positive), mean(p, positive), mean(p, unlabeled), some

    by_label = jax.vmap(of_label, in_axes=-1)
    missed, hit, claimed, some = by_label(x, inputs.positives(), inputs.negatives())
    return prior * missed, jnp.where(some, claimed - prior * hit, 0)


@compiled(prior=(0, 1))
def positive_unlabeled_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    prior: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> Loss:
    """Positive-unlabeled loss (nnPU): an estimate of the risk when no label is known negative.

    Formula:
        ℓ = π·mean_P σ(−x) + max(0, R),  R = mean_U σ(x) − π·mean_P σ(x)

    for each label, with P its positives in the batch and U its unlabeled entries. The surrogate
    of the 0-1 loss is the authors' σ(−z), which is bounded and flat in both tails.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 is unlabeled, not negative.
        prior: π in [0, 1], a scalar or (L,): the share of true positives of each label, which
            is more than the share of its known ones.
        weights: scale the losses of labels: shape (L,).
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 2], without a unit: (L,) with "none", else (). Where R is below 0, which
        shows that the model overfits, the gradient in the logits is that of −R alone, as in the
        authors' algorithm with β = 0 and γ = 1: it is not the derivative of the value. In the
        prior the derivative is that of the value. A label without positives in the batch has
        loss mean_U σ(x), one without unlabeled entries π·mean_P σ(−x).

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or prior is not in [0, 1].

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
    counted = None
    if inputs.where is not None:
        numbers = jax.vmap(lambda w: jnp.sum(w, dtype=jnp.int32), in_axes=-1)(inputs.where)
        counted = all_sum(numbers, axis_name) > 0
    return reduce_labels(losses, weights=weights, counted=counted, reduction=reduction)
