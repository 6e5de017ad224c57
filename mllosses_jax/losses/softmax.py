"""Softmax losses: the labels of a sample share one probability distribution."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs, loss_inputs_or_ids
from mllosses_jax._core.numerics import (
    TINY,
    finite_product,
    power,
    softplus,
    tempered,
    with_slope,
)
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.reduction import count_entries, reduce_samples, safe_divide
from mllosses_jax._core.smoothing import smoothed, smoothed_values
from mllosses_jax._core.softmax import (
    below_inf,
    below_top,
    inside,
    log_softmax_pair,
    log_total,
    softmax_pair,
)
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import softmax_entropy, through_log_softmax

__all__ = [
    "decoupled_softmax_loss",
    "single_label_asymmetric_loss",
    "smoothed_softmax_cross_entropy",
    "softmax_cross_entropy",
    "softmax_focal_loss",
]

_INF = float("inf")
_SMALLEST = 1e-30  # the smallest temperature


def _two_values(positives: Array, on: Array, off: Array) -> Array:
    """Returns an array (..., L) of one value for the positives of a sample and one for the rest."""
    on, off = jnp.broadcast_arrays(on, off)
    return jnp.where(positives, on[..., None], off[..., None])


def _focus(x: Array, positive: Array, on: Exponent, off: Exponent) -> Array:
    """Returns (1 − s)^on for positives and s^off for others, with s = softmax(x)."""
    s, rest = softmax_pair(x)
    log_s, log_rest = log_softmax_pair(x)
    if isinstance(on, int) or isinstance(off, int):
        return jnp.where(positive, power(rest, log_rest, on), power(s, log_s, off))
    # One exponential takes the place of two.
    base, log_base = jnp.where(positive, rest, s), jnp.where(positive, log_rest, log_s)
    return power(base, log_base, jnp.where(positive, on, off))


def _faded_slope(x: Array, target: Array, positive: Array, on: Exponent, off: Exponent) -> Array:
    s, rest = softmax_pair(x)
    log_s, _ = log_softmax_pair(x)
    focus = _focus(x, positive, on, off)
    sound = rest > TINY
    ratio = finite_product(s, -log_s) / jnp.where(sound, rest, 1)
    by_on = focus * (1 + on * jnp.where(sound, ratio, 1))  # the ratio is 1 at s = 1
    by_off = focus - finite_product(off * focus, -log_s)
    # This is minus the derivative in log s. A masked entry has target 0, but log s may be infinite.
    change = jnp.where(target == 0, 0, target * jnp.where(positive, by_on, by_off))
    return through_log_softmax(s, rest, change)


@with_slope(_faded_slope, share=True, over_labels=True)
def _faded_entropy(x: Array, target: Array, positive: Array, on: Exponent, off: Exponent) -> Array:
    """Returns −Σ target·w·log s with s = softmax(x); w = (1 − s)^on for positives, else s^off.

    With the gradient these are eight passes over (B, L) arrays: four of `softmax_terms`, the terms
    of the value, those of the slope and their sum, and the gradient. If both exponents are no
    integers, w is one more.
    """
    log_s, _ = log_softmax_pair(x)
    weights = target * _focus(x, positive, on, off)
    return sum_of_terms(finite_product, (weights, -log_s), (x.ndim - 1,))


@compiled_loss()
def softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    normalize: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Softmax cross-entropy with label sets (PAL-N, or PAL without normalisation).

    Formula:
        ℓ = −Σ_c t_c·log softmax(x)_c,  t = y/Σy (PAL-N) or t = y (PAL)

    PAL-N is consistent for recall@k, and PAL for precision@k (Menon et al.).

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): label sets or distributions. An empty set
            has loss and gradient 0.
        normalize: whether the labels of a sample are divided by their sum (PAL-N).
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are in the softmax.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (). With `normalize=False` it is
        `optax.softmax_cross_entropy` at "none", `torch.nn.CrossEntropyLoss` at "mean".

    Reference:
        A. K. Menon, A. S. Rawat, S. Reddi and S. Kumar, "Multilabel reductions: what is my loss
        optimising?", 2019 (NeurIPS).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import softmax_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 1]])
        >>> print(f"{softmax_cross_entropy(logits, labels):.4f}")
        1.1698
    """
    inputs = loss_inputs(logits, labels, where)
    total = inputs.label_sum()
    scale = jnp.ones_like(total)
    if normalize:
        scale, total = inputs.per_label(), (total != 0).astype(total.dtype)
    losses = softmax_entropy(inside(inputs.x, inputs.where), inputs.y, scale, total)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(temperature=(_SMALLEST, 1e30))
def decoupled_softmax_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    normalize: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Decoupled softmax loss: each positive against all negatives, never against a positive.

    Formula:
        ℓ = 1/|P|·Σ_{p∈P} softplus(LSE_N(x/T) − x_p/T)

    A term is the softmax cross-entropy of one positive among itself and the negatives. In other
    softmax losses the positives of a sample compete, here all of them can have probability 1.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0, because a label is
            either in P or in N.
        temperature: T > 0, a scalar. Derivatives in T are finite for T ≥ 1e-7 if the logits
            divided by T² are finite.
        normalize: whether the sum is divided by |P|.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (); the authors' code is "mean".
        Without a positive or without a negative it is 0 with zero gradient.

    Reference:
        N. Gupta, D. Khatri, A. S. Rawat, S. Bhojanapalli, P. Jain and I. Dhillon, "Dual-Encoders
        for Extreme Multi-Label Classification", 2024 (ICLR), arXiv:2310.10636.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decoupled_softmax_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 1]])
        >>> print(f"{decoupled_softmax_loss(logits, labels):.4f}")
        0.1809
    """
    inputs = loss_inputs(logits, labels, where)
    t = checks.scalar("temperature", temperature, inputs.x.dtype)
    positives, negatives = inputs.positives(), inputs.negatives()
    top, below = below_top(inputs.x, negatives, -1)
    negative = log_total(jnp.exp(tempered(below, t)), -1)
    margins = tempered(below_inf(inputs.x) - top[..., None], t)
    terms = jnp.where(positives, softplus(negative[..., None] - margins), 0)
    losses = jnp.sum(terms, axis=-1)
    if normalize:
        count = count_entries(losses, positives, None, axis=-1)
        losses = safe_divide(losses, count.astype(losses.dtype))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(label_smoothing=(0, 1))
def smoothed_softmax_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.1,
    convention: Literal["others", "uniform"] = "others",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Softmax cross-entropy with smoothed labels.

    Formula:
        ℓ = −Σ_c t_c·log softmax(x)_c
        "others":   t = (1 − s)·y/Σy on the positives, s/(L − k) on the L − k other labels;
                    no smoothing if all labels are positive
        "uniform":  t = (1 − s)·y/Σy + s/L

    Args:
        logits: float array (..., L).
        labels: class ids (...) of integer dtype, or label sets or distributions (..., L). An
            empty set or an id outside [0, L) has loss and gradient 0.
        label_smoothing: s, a scalar in [0, 1].
        convention: "others" smooths only the labels that are not positive; "uniform" is the
            convention of Szegedy et al., PyTorch and optax.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are in the softmax.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else ().

    Raises:
        TypeError: if class ids are not integers.

    Reference:
        C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens and Z. Wojna, "Rethinking the Inception
        Architecture for Computer Vision", 2015, arXiv:1512.00567.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import smoothed_softmax_cross_entropy
        >>> logits, ids = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([0])
        >>> print(f"{smoothed_softmax_cross_entropy(logits, ids):.4f}")
        0.4198
    """
    checks.one_of("convention", convention, ("others", "uniform"))
    inputs = loss_inputs_or_ids(logits, labels, where)
    smoothing = checks.scalar("label_smoothing", label_smoothing, inputs.x.dtype)
    total = inputs.label_sum()
    if inputs.hard:
        size = count_entries(inputs.x, inputs.where, None, axis=-1).astype(total.dtype)
        values = smoothed_values(inputs.per_label(), smoothing, convention, size, size - total)
        target = _two_values(inputs.y, *values)
    else:
        target = smoothed(inputs.distribution(), smoothing, convention, inputs.counted())
    if inputs.where is not None:
        target = jnp.where(inputs.where, target, 0)
    empty = total == 0
    total = jnp.where(empty, 0, jnp.ones_like(total))
    x = inside(inputs.x, inputs.where)
    losses = softmax_entropy(x, target, jnp.ones_like(total), total)
    losses = jnp.where(empty, 0, losses)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(gamma=(0, _INF), alpha=(0, _INF))
def softmax_focal_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike = 2.0,
    alpha: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Focal loss on softmax probabilities, for class ids or label distributions.

    Formula:
        ℓ = −Σ_c α_c·y_c·(1 − s_c)^γ·log s_c,  s = softmax(x)

    Args:
        logits: float array (..., L).
        labels: class ids (...) of integer dtype, or label sets or distributions (..., L), which
            are not normalized. An empty set or an id outside [0, L) has loss and gradient 0.
        gamma: γ ≥ 0, a scalar or (L,).
        alpha: α ≥ 0, a scalar or (L,), the weight of each class; None means no weights.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are in the softmax.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else ().

    Raises:
        TypeError: if class ids are not integers.

    Reference:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object
        Detection", 2017, arXiv:1708.02002, in the softmax form of Keras and MONAI.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import softmax_focal_loss
        >>> logits, ids = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([2])
        >>> print(f"{softmax_focal_loss(logits, ids):.4f}")
        1.7026
    """
    inputs = loss_inputs_or_ids(logits, labels, where)
    exponent = checks.exponent("gamma", gamma, inputs.x)
    y = inputs.soft_y
    if alpha is not None:
        y = y * checks.element_parameter("alpha", alpha, inputs.x)
    x = inside(inputs.x, inputs.where)
    losses = _faded_entropy(x, y, jnp.ones_like(x, dtype=bool), exponent, 0)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(gamma_neg=(0, _INF), gamma_pos=(0, _INF), label_smoothing=(0, 1))
def single_label_asymmetric_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma_neg: ArrayLike = 4.0,
    gamma_pos: ArrayLike = 0.0,
    label_smoothing: ArrayLike = 0.1,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Asymmetric loss on softmax probabilities, for one class per sample.

    Formula:
        ℓ = −Σ_c t_c·w_c·log s_c,  s = softmax(x),  t = (1 − ε)·y + ε/L
        w_c = (1 − s_c)^γ₊ where y_c = 1, s_c^γ₋ elsewhere

    Gradients flow through w, as in the authors' code for single labels. Without smoothing this is
    the softmax focal loss with γ₊, because only smoothing gives the other classes a term.

    Args:
        logits: float array (..., L).
        labels: class ids (...) of integer dtype, or one-hot labels (..., L), positive where above
            0. An empty set or an id outside [0, L) has loss and gradient 0.
        gamma_neg: γ₋ ≥ 0, a scalar or (L,); it focuses the smoothing terms of the other classes.
        gamma_pos: γ₊ ≥ 0, a scalar or (L,); it focuses the positive class.
        label_smoothing: ε, a scalar in [0, 1].
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels are in the softmax.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (); the authors' code is "mean".

    Raises:
        TypeError: if class ids are not integers.

    Reference:
        T. Ridnik, E. Ben-Baruch, N. Zamir, A. Noy, I. Friedman, M. Protter and L. Zelnik-Manor,
        "Asymmetric Loss For Multi-Label Classification", 2020, arXiv:2009.14119, in the authors'
        code for single labels.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import single_label_asymmetric_loss
        >>> logits, ids = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([0])
        >>> print(f"{single_label_asymmetric_loss(logits, ids):.4f}")
        0.1585
    """
    inputs = loss_inputs_or_ids(logits, labels, where)
    on, off = (
        checks.exponent(name, gamma, inputs.x)
        for name, gamma in (("gamma_pos", gamma_pos), ("gamma_neg", gamma_neg))
    )
    smoothing = checks.scalar("label_smoothing", label_smoothing, inputs.x.dtype)
    positive = inputs.positives()
    size = count_entries(inputs.x, inputs.where, None, axis=-1).astype(inputs.x.dtype)
    some = jnp.any(positive, axis=-1).astype(inputs.x.dtype)
    target = _two_values(positive, *smoothed_values(some, smoothing * some, "uniform", size, size))
    if inputs.where is not None:
        target = jnp.where(inputs.where, target, 0)
    losses = _faded_entropy(inside(inputs.x, inputs.where), target, positive, on, off)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
