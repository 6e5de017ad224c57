"""Overlap losses: smooth versions of set measures such as F1, on probabilities instead of sets."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import Inputs, loss_inputs_or_ids
from mllosses_jax._core.numerics import AxisName, inside, sigmoid_pair, softmax_pair
from mllosses_jax._core.reduction import (
    Reduction,
    all_sum,
    reduce_labels,
    reduce_samples,
)

Array = jax.Array
Loss = Array | tuple[Array, Array]
Average = Literal["macro", "samples", "micro"]
AVERAGES = ("macro", "samples", "micro")
ACTIVATIONS = ("sigmoid", "softmax")


def _probabilities(inputs: Inputs, activation: str) -> tuple[Array, Array]:
    """Returns p and 1 − p, each accurate; (..., L)."""
    if activation == "sigmoid":
        return sigmoid_pair(inputs.x)
    return softmax_pair(inside(inputs.x, inputs.where))


def _soft_counts(
    p: Array,
    q: Array,
    y: Array,
    counted: Array,
    axis: int | tuple[int, ...] | None,
    axis_name: AxisName,
) -> tuple[Array, Array, Array]:
    """Returns the sums of p·y, p·(1 − y) and (1 − p)·y over the entries that count."""

    def total(terms: Array) -> Array:
        return all_sum(jnp.sum(jnp.where(counted, terms, 0), axis=axis), axis_name)

    return total(p * y), total(p * (1 - y)), total(q * y)


def _soft_fbeta(tp: Array, fp: Array, fn: Array, beta: Array, epsilon: Array) -> Array:
    # 1 - (1 + b) tp / (...) without its cancellation
    square = beta * beta
    wrong = square * fn + fp + epsilon
    return wrong / ((1 + square) * tp + wrong)


@compiled(beta=(0, 1e15), epsilon=(1e-37, 1e30))
def soft_fbeta_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike = 1.0,
    average: Average = "macro",
    activation: Literal["sigmoid", "softmax"] = "sigmoid",
    epsilon: ArrayLike = 1e-7,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> Loss:
    """Soft F-beta loss: one minus F-beta of counts in which probabilities stand for decisions.

    Formula:
        ℓ = 1 − (1 + β²)·TP / ((1 + β²)·TP + β²·FN + FP + ε)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft; with activation="softmax"
            class ids (...) as well.
        beta: β ≥ 0, a scalar: above 1 recall weighs more.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", everything.
        activation: what turns logits into p: "sigmoid" or "softmax".
        epsilon: ε > 0, a scalar.
        weights: scale the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (with "samples" alone), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: (L,), (...) or () by average with "none", else (). A
        label or a sample without a positive has loss 1 with zero gradient, whatever is predicted.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or a parameter is out of its range.

    Reference:
        A. Maiza, "The Unknown Benefits of using a Soft-F1 Loss in Classification Systems", 2019;
        for soft counts G. Bénédict, V. Koops, D. Odijk and M. de Rijke, "sigmoidF1", 2021,
        arXiv:2108.10566.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_fbeta_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{soft_fbeta_loss(logits, labels, beta=2.0):.4f}")
        0.5000
    """
    checks.one_of("average", average, AVERAGES)
    checks.one_of("activation", activation, ACTIVATIONS)
    inputs = loss_inputs_or_ids(logits, labels, where)
    dtype = inputs.x.dtype
    constants = checks.scalar("beta", beta, dtype), checks.scalar("epsilon", epsilon, dtype)
    entries = (*_probabilities(inputs, activation), inputs.soft_y, inputs.counted())

    if average == "samples":
        losses = _soft_fbeta(*_soft_counts(*entries, -1, None), *constants)
        return reduce_samples(
            losses, weights=weights, where=inputs.where, reduction=reduction, axis_name=axis_name
        )
    counted = None
    if average == "micro":
        losses = _soft_fbeta(*_soft_counts(*entries, None, axis_name), *constants)
        if inputs.where is not None:
            counted = all_sum(jnp.sum(inputs.where, dtype=jnp.int32), axis_name) > 0
        return reduce_labels(losses, weights=weights, counted=counted, reduction=reduction)

    def of_label(p: Array, q: Array, y: Array, counted: Array) -> tuple[Array, Array]:
        losses = _soft_fbeta(*_soft_counts(p, q, y, counted, None, axis_name), *constants)
        return losses, all_sum(jnp.sum(counted, dtype=jnp.int32), axis_name) > 0

    losses, counted = jax.vmap(of_label, in_axes=-1)(*entries)
    return reduce_labels(losses, weights=weights, counted=counted, reduction=reduction)


@compiled(epsilon=(1e-37, 1e30))
def soft_f1_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    activation: Literal["sigmoid", "softmax"] = "sigmoid",
    epsilon: ArrayLike = 1e-7,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> Loss:
    """Soft F1 loss: `soft_fbeta_loss` with beta = 1, the harmonic mean of precision and recall.

    Formula:
        ℓ = 1 − 2·TP / (2·TP + FN + FP + ε)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft; with activation="softmax"
            class ids (...) as well.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", everything.
        activation: what turns logits into p: "sigmoid" or "softmax".
        epsilon: ε > 0, a scalar.
        weights: scale the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (with "samples" alone), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: (L,), (...) or () by average with "none", else (). A
        label or a sample without a positive has loss 1 with zero gradient, whatever is predicted.

    Raises:
        TypeError: if logits are not floating point, or where is not bool.
        ValueError: if shapes differ, or a parameter is out of its range.

    Reference:
        A. Maiza, "The Unknown Benefits of using a Soft-F1 Loss in Classification Systems", 2019.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_f1_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{soft_f1_loss(logits, labels):.4f}")
        0.5000
    """
    return soft_fbeta_loss(
        logits,
        labels,
        beta=1,
        average=average,
        activation=activation,
        epsilon=epsilon,
        weights=weights,
        where=where,
        reduction=reduction,
        axis_name=axis_name,
    )
