"""Overlap losses: smooth versions of set measures such as F1, for probabilities, not sets."""

from __future__ import annotations

from typing import Literal

from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs, loss_inputs_or_ids
from mllosses_jax._core.numerics import sigmoid_pair, signed_tail, tail_of_pair
from mllosses_jax._core.softmax import inside, softmax_pair
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._soft_counts import Average, SoftCounts, overlap_loss, share

__all__ = ["double_soft_f1_loss", "sigmoid_f1_loss", "soft_f1_loss", "soft_fbeta_loss"]

ACTIVATIONS = ("sigmoid", "softmax")


def _soft_fbeta(counts: SoftCounts, square: Array | float, epsilon: Array) -> Array:
    """Returns the loss of counts in which FN has the weight β²."""
    return share(counts.wrong + epsilon, (1 + square) * counts.tp)


@compiled_loss(beta=(0, 1e15), epsilon=(1e-37, 1e30))
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
) -> LossValue:
    """Soft F-beta loss: one minus F-beta of counts in which probabilities replace decisions.

    Formula:
        ℓ = 1 − (1 + β²)·TP / ((1 + β²)·TP + β²·FN + FP + ε)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft; or class ids (...)
            with activation="softmax".
        beta: β ≥ 0, a scalar: if it is above 1, recall weighs more.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        activation: the function that maps logits to p: "sigmoid" or "softmax".
        epsilon: ε > 0, a scalar.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample without a positive has loss 1 with zero gradient for any
        prediction.

    Reference:
        A. Maiza, "The Unknown Benefits of using a Soft-F1 Loss in Classification Systems", 2019;
        for soft counts see G. Bénédict, V. Koops, D. Odijk and M. de Rijke, "sigmoidF1", 2021,
        arXiv:2108.10566.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_fbeta_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{soft_fbeta_loss(logits, labels, beta=2.0):.4f}")
        0.5000
    """
    checks.one_of("activation", activation, ACTIVATIONS)
    inputs = loss_inputs_or_ids(logits, labels, where)
    dtype = inputs.x.dtype
    # The square of a constant may be too large for an integer of JAX.
    b = float(beta) if isinstance(beta, int) else checks.scalar("beta", beta, dtype)
    constant = checks.scalar("epsilon", epsilon, dtype)
    if activation == "sigmoid":
        tail = signed_tail(inputs.x)
    else:
        tail = tail_of_pair(*softmax_pair(inside(inputs.x, inputs.where)))
    return overlap_loss(
        lambda counts: _soft_fbeta(counts, b * b, constant),
        tail,
        inputs,
        beta=b * b,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled_loss(epsilon=(1e-37, 1e30))
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
) -> LossValue:
    """Soft F1 loss: `soft_fbeta_loss` with beta = 1, the harmonic mean of precision and recall.

    Formula:
        ℓ = 1 − 2·TP / (2·TP + FN + FP + ε)
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft; or class ids (...)
            with activation="softmax".
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        activation: the function that maps logits to p: "sigmoid" or "softmax".
        epsilon: ε > 0, a scalar.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). A label or a sample without a positive has loss 1 with zero gradient for any
        prediction.

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


def _double_soft_f1(counts: SoftCounts, epsilon: Array) -> Array:
    wrong = counts.wrong + epsilon
    return (share(wrong, 2 * counts.tp) + share(wrong, 2 * counts.tn)) / 2


@compiled_loss(epsilon=(1e-37, 1e30))
def double_soft_f1_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    average: Average = "macro",
    epsilon: ArrayLike = 1e-7,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Double soft F1 loss: the mean of the soft F1 losses of positives and of negatives.

    Formula:
        ℓ = ½·[1 − 2·TP / (2·TP + FN + FP + ε)] + ½·[1 − 2·TN / (2·TN + FN + FP + ε)]
        TP = Σ p·y,  FP = Σ p·(1 − y),  FN = Σ (1 − p)·y,  TN = Σ (1 − p)·(1 − y)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        epsilon: ε > 0, a scalar.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). The author's code is "mean". Unlike soft F1, it has a gradient for a label or a
        sample without a positive: there the bracket of the first half is 1, and the second half
        falls with p.

    Reference:
        A. Maiza, "The Unknown Benefits of using a Soft-F1 Loss in Classification Systems", 2019.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import double_soft_f1_loss
        >>> logits, labels = jnp.array([[0.0], [0.0], [0.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{double_soft_f1_loss(logits, labels):.4f}")
        0.5143
    """
    inputs = loss_inputs(logits, labels, where)
    constant = checks.scalar("epsilon", epsilon, inputs.x.dtype)
    return overlap_loss(
        lambda counts: _double_soft_f1(counts, constant),
        signed_tail(inputs.x),
        inputs,
        of_both=True,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled_loss(beta=(1e-15, 1e8), eta=(-1e8, 1e8), epsilon=(1e-37, 1e30))
def sigmoid_f1_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    beta: ArrayLike = 1.0,
    eta: ArrayLike = 0.0,
    applied_to: Literal["logits", "probabilities"] = "logits",
    average: Average = "macro",
    epsilon: ArrayLike = 1e-7,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """SigmoidF1 loss: soft F1 with decisions made by a sigmoid of tunable slope and offset.

    Formula:
        ℓ = 1 − 2·TP / (2·TP + FN + FP + ε),  S = 1 / (1 + exp(−β·(u + η)))
        TP = Σ S·y,  FP = Σ S·(1 − y),  FN = Σ (1 − S)·y

    With the defaults this is `soft_f1_loss`; a large β comes close to the F1 of hard decisions.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        beta: β > 0, a scalar: the slope.
        eta: η, a scalar: the offset; the decision threshold is u = −η.
        applied_to: what u is: "logits" for u = x, or "probabilities" for u = σ(x), as in the
            authors' code. There β is −S and η is E, and the defaults S = −1, E = 0 keep S(u)
            between 0.5 and 0.73, nearly flat: with probabilities use about β = 10, η = −0.5.
        average: what the sums run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        epsilon: ε > 0, a scalar.
        weights: scale factors of the unreduced losses: (L,) with "macro", (...) with "samples".
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean" (only with "samples"), "weighted_mean" or
            "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1], without a unit: with "none" (L,), (...) or (), depending on `average`;
        else (). The authors' code is "mean". A label or a sample without a positive has loss 1 with
        zero gradient for any prediction.

    Reference:
        G. Bénédict, V. Koops, D. Odijk and M. de Rijke, "sigmoidF1: A Smooth F1 Score Surrogate
        Loss for Multilabel Classification", 2021, arXiv:2108.10566.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import sigmoid_f1_loss
        >>> logits, labels = jnp.array([[0.5], [-2.0]]), jnp.array([[1], [0]])
        >>> print(f"{sigmoid_f1_loss(logits, labels, beta=10.0):.4f}")
        0.0034
    """
    checks.one_of("applied_to", applied_to, ("logits", "probabilities"))
    inputs = loss_inputs(logits, labels, where)
    x, dtype = inputs.x, inputs.x.dtype
    u = x if applied_to == "logits" else sigmoid_pair(x)[0]
    slope, offset = checks.scalar("beta", beta, dtype), checks.scalar("eta", eta, dtype)
    constant = checks.scalar("epsilon", epsilon, dtype)
    return overlap_loss(
        lambda counts: _soft_fbeta(counts, 1, constant),
        signed_tail(slope * (u + offset)),
        inputs,
        average=average,
        weights=weights,
        reduction=reduction,
        axis_name=axis_name,
    )
