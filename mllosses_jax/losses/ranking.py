"""Losses over pairs of a positive and a negative label, in closed form without (L, L) arrays."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled, compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import softplus, tempered, with_slope
from mllosses_jax._core.reduction import all_sum, masked_mean, reduce_labels, reduce_samples
from mllosses_jax._core.softmax import (
    below_inf,
    log_or_none,
    log_sum_exp,
    sums_by_sign,
    top_of_terms,
)
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["lsep_loss", "two_way_label_loss", "two_way_loss", "two_way_sample_loss", "zlpr_loss"]

_SMALLEST = 1e-30  # the smallest temperature


@compiled_loss()
def lsep_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Log-sum-exp pairwise loss (LSEP): every positive should be above every negative.

    Formula:
        ℓ = log(1 + Σ_{i∈P} Σ_{j∈N} exp(x_j − x_i)) = softplus(LSE_N(x) + LSE_P(−x))

    The right-hand side needs neither pairs nor a sample of them. The loss only ranks: it does not
    set a threshold.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (). Without a positive or without a
        negative it is 0 with zero gradient.

    Reference:
        Y. Li, Y. Song and J. Luo, "Improving Pairwise Ranking for Multi-label Image
        Classification", 2017, arXiv:1704.03135.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import lsep_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{lsep_loss(logits, labels):.4f}")
        0.1698
    """
    inputs = loss_inputs(logits, labels, where)
    losses = _two_way(inputs, 1, 1, -1)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def zlpr_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Zero-bounded log-sum-exp pairwise rank loss (ZLPR): positives above 0, negatives below.

    Formula:
        ℓ = log(1 + Σ_{i∈P} exp(−x_i)) + log(1 + Σ_{j∈N} exp(x_j))
        soft labels:  log(1 + Σ_c y_c·exp(−x_c)) + log(1 + Σ_c (1 − y_c)·exp(x_c))

    Args:
        logits: float array (..., L); the prediction is x > 0.
        labels: bool, integer or float array (..., L), hard or soft.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (). Empty and full label sets have an
        ordinary gradient, which pushes all logits to one side of 0.

    Reference:
        J. Su, M. Zhu, A. Murtadha, S. Pan, B. Wen and Y. Liu, "ZLPR: A Novel Loss for
        Multi-label Classification", 2022, arXiv:2208.02955.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import zlpr_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{zlpr_loss(logits, labels):.4f}")
        0.9889
    """
    inputs = loss_inputs(logits, labels, where)
    if inputs.hard:
        of_positives, of_negatives = _log_sum_exps(inputs, 1, 1, -1)
        losses = softplus(of_positives.total()) + softplus(of_negatives.total())
    else:
        negative = jnp.where(inputs.counted(), 1 - inputs.y, 0)
        losses = softplus(log_sum_exp(-inputs.x, inputs.y, -1))
        losses = losses + softplus(log_sum_exp(inputs.x, negative, -1))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


def _signed_slope(
    x: Array,
    positives: Array,
    negatives: Array | None,
    high: Array,
    low: Array,
    t_p: Array,
    t_n: Array,
) -> Array:
    terms = _signed_terms(x, positives, negatives, high, low, t_p, t_n)
    return terms * jnp.where(terms < 0, -1 / t_p, 1 / t_n)


@with_slope(_signed_slope, share=True)
def _signed_terms(
    x: Array,
    positives: Array,
    negatives: Array | None,
    high: Array,
    low: Array,
    t_p: Array,
    t_n: Array,
) -> Array:
    """Returns −exp((−x − high)/T_p) for positives and exp((x − low)/T_n) for negatives, else 0.

    So one array holds the terms of both sums, and later passes need no labels to tell them apart.
    The last operation is a costly one, so XLA writes the result. If all entries but the positives
    are negatives, these are None, which saves an operation.
    """
    others = x if negatives is None else jnp.where(negatives, x, -jnp.inf)
    signed = jnp.where(positives, -x, others)
    below = below_inf(signed) - jnp.where(positives, high, low)
    exponents = jnp.where(positives, tempered(below, t_p), tempered(below, t_n))
    return jnp.exp(exponents) / jnp.where(positives, -1.0, 1.0)


class _LogSumExp(NamedTuple):
    """The parts of T·LSE(z/T) = top + T·log Σ exp((z − top)/T).

    Its derivative in T does not cancel.
    """

    top: Array
    log_sum: Array  # -inf of nothing
    temperature: Array

    def total(self) -> Array:
        return self.top + self.temperature * self.log_sum


def _log_sum_exps(
    inputs: LossInputs,
    positive_temperature: ArrayLike,
    negative_temperature: ArrayLike,
    axis: int | tuple[int, ...],
    axis_name: AxisName = None,
) -> tuple[_LogSumExp, _LogSumExp]:
    """Returns T_p·LSE_P(−x/T_p) and T_n·LSE_N(x/T_n) along `axis`.

    With the gradient these are six passes over (B, L) arrays: the largest of each set, the
    exponentials of both in one array, the sum of each, and the gradient from the exponentials.
    """
    x, positives, negatives = inputs.unmasked, inputs.positives(), inputs.negatives()
    t_p = checks.scalar("positive_temperature", positive_temperature, x.dtype)
    t_n = checks.scalar("negative_temperature", negative_temperature, x.dtype)
    high = top_of_terms(
        lambda x, entries: jnp.where(entries, -x, -jnp.inf), (x, positives), axis, axis_name
    )
    low = top_of_terms(
        lambda x, entries: jnp.where(entries, x, -jnp.inf), (x, negatives), axis, axis_name
    )
    centers = (
        jnp.expand_dims(jnp.minimum(top, jnp.finfo(x.dtype).max), axis) for top in (high, low)
    )
    others = None if inputs.hard and inputs.where is None else negatives
    sums = sums_by_sign(_signed_terms(x, positives, others, *centers, t_p, t_n), axis)
    negative, positive = (log_or_none(all_sum(total, axis_name)) for total in sums)
    return _LogSumExp(high, positive, t_p), _LogSumExp(low, negative, t_n)


def _two_way(
    inputs: LossInputs,
    positive_temperature: ArrayLike,
    negative_temperature: ArrayLike,
    axis: int | tuple[int, ...],
    axis_name: AxisName = None,
) -> Array:
    """Returns softplus(T_n·LSE_N(x/T_n) + T_p·LSE_P(−x/T_p)) along `axis`."""
    p, n = _log_sum_exps(inputs, positive_temperature, negative_temperature, axis, axis_name)
    # Without pairs the derivative in a temperature would be 0 * inf.
    pairs = (n.log_sum != -jnp.inf) & (p.log_sum != -jnp.inf)  # holds for NaN too
    product = n.temperature * jnp.where(pairs, n.log_sum, 0)
    product = product + p.temperature * jnp.where(pairs, p.log_sum, 0)
    return jnp.where(pairs, softplus(n.top + p.top + product), 0)


@compiled_loss(positive_temperature=(_SMALLEST, 1e30), negative_temperature=(_SMALLEST, 1e30))
def two_way_sample_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    positive_temperature: ArrayLike = 4.0,
    negative_temperature: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """The sample-wise part of the two-way loss: LSEP with temperatures.

    Formula:
        ℓ = softplus(T_n·LSE_N(x/T_n) + T_p·LSE_P(−x/T_p)), over the labels of a sample

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        positive_temperature: T_p > 0, a scalar.
        negative_temperature: T_n > 0, a scalar. Second derivatives in either temperature are
            finite from 1e-7 on.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (). Without a positive or without a
        negative it is 0 with zero gradient.

    Reference:
        T. Kobayashi, "Two-way Multi-Label Loss", 2023 (CVPR).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import two_way_sample_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{two_way_sample_loss(logits, labels):.4f}")
        0.1698
    """
    inputs = loss_inputs(logits, labels, where)
    temperatures = (positive_temperature, negative_temperature)
    losses = _two_way(inputs, *temperatures, -1)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(positive_temperature=(_SMALLEST, 1e30), negative_temperature=(_SMALLEST, 1e30))
def two_way_label_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    positive_temperature: ArrayLike = 4.0,
    negative_temperature: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """The label-wise part of the two-way loss: each label ranks the samples of the batch.

    Formula:
        ℓ = softplus(T_n·LSE_N(x/T_n) + T_p·LSE_P(−x/T_p)), over the samples of a label

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        positive_temperature: T_p > 0, a scalar.
        negative_temperature: T_n > 0, a scalar. Second derivatives in either temperature are
            finite from 1e-7 on.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in nats per label: (L,) with "none", else (). A label without a positive or
        without a negative in the batch has loss 0 with zero gradient. It counts in "mean"; to
        leave it out, use "weighted_mean" with weight 0 for it and 1 for the others.

    Reference:
        T. Kobayashi, "Two-way Multi-Label Loss", 2023 (CVPR).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import two_way_label_loss
        >>> logits, labels = jnp.array([[2.0], [-1.0], [0.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{two_way_label_loss(logits, labels):.4f}")
        0.1698
    """
    inputs = loss_inputs(logits, labels, where)
    temperatures = (positive_temperature, negative_temperature)
    batch = tuple(range(inputs.x.ndim - 1))
    losses = _two_way(inputs, *temperatures, batch, axis_name)
    return reduce_labels(losses, inputs.where, weights, reduction, axis_name)


@compiled(positive_temperature=(_SMALLEST, 1e30), negative_temperature=(_SMALLEST, 1e30))
def two_way_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    positive_temperature: ArrayLike = 4.0,
    negative_temperature: ArrayLike = 1.0,
    where: ArrayLike | None = None,
    axis_name: AxisName = None,
) -> Array:
    """Two-way loss: each sample ranks its labels, and each label ranks the samples.

    Formula:
        ℓ = mean of the sample loss over samples with a positive
          + mean of the label loss over labels with a positive

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        positive_temperature: T_p > 0, a scalar.
        negative_temperature: T_n > 0, a scalar. Second derivatives in either temperature are
            finite from 1e-7 on.
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in nats, (). Without any positive it is 0 (the authors' code gives NaN).

    Reference:
        T. Kobayashi, "Two-way Multi-Label Loss", 2023 (CVPR).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import two_way_loss
        >>> logits, labels = jnp.array([[2.0, -1.0], [0.0, 1.0]]), jnp.array([[1, 0], [0, 1]])
        >>> print(f"{two_way_loss(logits, labels):.4f}")
        0.3079
    """
    inputs = loss_inputs(logits, labels, where)
    positives = inputs.positives()
    temperatures = (positive_temperature, negative_temperature)
    batch = tuple(range(positives.ndim - 1))
    by_sample = _two_way(inputs, *temperatures, -1)
    by_label = _two_way(inputs, *temperatures, batch, axis_name)
    in_sample = jnp.any(positives, axis=-1)
    in_shard = jnp.any(positives, axis=batch)
    in_label = all_sum(in_shard.astype(jnp.int32), axis_name) > 0
    return masked_mean(by_sample, in_sample, axis_name) + masked_mean(by_label, in_label, None)
