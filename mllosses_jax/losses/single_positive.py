"""Losses for data in which a few positives are observed and all other labels are unknown.

A label is positive where a positive was observed; 0 means unknown, not negative. The caller holds
what training estimates about the unknown labels as a state, which `mllosses_jax.pseudo_labels`
creates and updates.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled, compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import (
    finite_product,
    log_sigmoid_pair,
    recomputed,
    sigmoid_pair,
    with_slope,
)
from mllosses_jax._core.platforms import total
from mllosses_jax._core.reduction import all_sum, masked_count, reduce_elements, safe_divide
from mllosses_jax._core.smoothing import smoothed
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax._core.widening import widened
from mllosses_jax.losses._cross_entropy import (
    cross_entropy,
    hard_cross_entropy,
    soft_cross_entropy,
)

__all__ = [
    "assume_negative_loss",
    "entropy_maximization_loss",
    "expected_positive_regularized_loss",
    "role_loss",
    "weak_assume_negative_loss",
]

_INF = float("inf")


@compiled_loss(label_smoothing=(0, 1))
def assume_negative_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_smoothing: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Assume-negative loss (AN, AN-LS): binary cross-entropy in which unknown means negative.

    Formula:
        ℓ = −y·log σ(x) − (1 − y)·log σ(−x),  with y ← y·(1 − s) + (1 − y)·s

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 where the label is unknown or negative.
        label_smoothing: s, a scalar in [0, 1] or (L,), in the convention "full" of
            `labels.smooth_labels`. The authors' code for AN-LS has 0.1; their paper writes s/2.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count. Unknown
            labels do not need it here.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "mean", except that it
        adds 1e-5 to probabilities in the logarithm.

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
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    if not (isinstance(label_smoothing, int) and label_smoothing == 0):
        s = checks.element_parameter("label_smoothing", label_smoothing, inputs.x)
        inputs = inputs._replace(y=smoothed(inputs.soft_y, s, "full", inputs.counted()))
    return reduce_elements(cross_entropy(inputs), inputs.where, weights, reduction, axis_name)


@compiled_loss(gamma=(0, _INF))
def weak_assume_negative_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    gamma: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Weak assume-negative loss (WAN): unknown labels are negatives with a small weight.

    Formula:
        ℓ = −y·log σ(x) − γ·(1 − y)·log σ(−x)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 where the label is unknown or negative.
        gamma: γ ≥ 0, a scalar or (L,). None means 1/(L − 1) with L the number of labels that count
            in the row, so that a single positive weighs as much as all other labels together.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count. Unknown
            labels do not need it here.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The authors' code is "mean", except that it
        adds 1e-5 to probabilities in the logarithm. A row with one label has γ = 1.

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
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    if gamma is None:
        others = jnp.sum(inputs.counted(), axis=-1, keepdims=True) - 1
        g = 1 / jnp.maximum(others, 1).astype(inputs.x.dtype)
    else:
        g = checks.element_parameter("gamma", gamma, inputs.x)
    if inputs.hard:
        losses = jnp.where(inputs.y, 1, g) * cross_entropy(inputs)
    else:
        losses = soft_cross_entropy(inputs.x, inputs.y, g * (1 - inputs.y))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


def _mean(values: Array, inputs: LossInputs, axis_name: AxisName) -> Array:
    """Returns the mean of the values that count, which are written once and read once."""
    counted = inputs.counted()
    number = masked_count(counted, axis_name).astype(values.dtype)
    return safe_divide(all_sum(total(jnp.where(counted, values, 0)), axis_name), number)


def _probability_slope(x: Array) -> Array:
    p, q = sigmoid_pair(x)
    return p * q


@with_slope(_probability_slope)
def _probability(x: Array) -> Array:
    return sigmoid_pair(recomputed(recomputed(x)))[0]  # the slope is computed from recomputed(x)


def _deviation(
    x: Array, inputs: LossInputs, expected_positives: Array, axis_name: AxisName
) -> Array:
    """Returns ((Σp per sample) − k)² / L², with L the number of labels per sample that count."""
    counted = inputs.counted()
    rows = masked_count(jnp.any(counted, axis=-1), axis_name)
    entries = masked_count(counted, axis_name)
    inverse = safe_divide(rows.astype(x.dtype), entries.astype(x.dtype))  # 1 / L
    return (_mean(_probability(x), inputs, axis_name) - expected_positives * inverse) ** 2


@compiled(expected_positives=(0, _INF))
def expected_positive_regularized_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    expected_positives: ArrayLike,
    where: ArrayLike | None = None,
    axis_name: AxisName = None,
) -> Array:
    """Expected positive regularisation (EPR): observed positives and how many to expect in total.

    Formula:
        ℓ = (1/(B·L))·Σ_observed −log p + ((1/B)·Σp − k)² / L²,  p = σ(x)

    The unknown labels get no other loss. The expected number of positives per sample is estimated
    from the batch, so a small batch gives a noisy estimate.

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L): observed where above 0, unknown elsewhere.
        expected_positives: k ≥ 0, a scalar: positives per sample. The authors use 1.5 for VOC,
            2.9 for COCO, 1.9 for NUS-WIDE and 31.4 for CUB.
        where: bool array of the rank of logits, axes equal or 1: which entries take part. B is the
            number of samples with such an entry, L the number of these entries per sample.
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss, (); 0 if nothing counts. It equals the authors' code except that theirs computes
        log(p + 1e-5).

    Reference:
        E. Cole, O. Mac Aodha, T. Lorieul, P. Perona, D. Morris and N. Jojic, "Multi-Label
        Learning from Single Positive Labels", 2021, arXiv:2106.09708.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import expected_positive_regularized_loss
        >>> logits, labels = jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]])
        >>> loss = expected_positive_regularized_loss(logits, labels, expected_positives=2)
        >>> print(f"{loss:.4f}")
        0.5966
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    k = checks.scalar("expected_positives", expected_positives, inputs.x.dtype)
    positive = inputs.positives()
    losses = jnp.where(positive, hard_cross_entropy(inputs.x, positive), 0)
    return _mean(losses, inputs, axis_name) + _deviation(inputs.x, inputs, k, axis_name)


def _party_slope(x: Array, other: Array, observed: Array) -> Array:
    (p, q), (y, rest) = sigmoid_pair(x), sigmoid_pair(recomputed(other))
    return rest * p - (y + observed.astype(x.dtype)) * q


@with_slope(_party_slope)
def _party_losses(x: Array, other: Array, observed: Array) -> Array:
    """Returns the losses of one party of ROLE; the labels from the other party are constants."""
    y, rest = sigmoid_pair(other)
    log_p, log_q = log_sigmoid_pair(x)
    return finite_product(y + observed.astype(x.dtype), -log_p) + finite_product(rest, -log_q)


@compiled(expected_positives=(0, _INF))
def role_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    estimated_logits: ArrayLike,
    expected_positives: ArrayLike,
    where: ArrayLike | None = None,
    axis_name: AxisName = None,
) -> Array:
    """Regularised online label estimation (ROLE): classifier and estimated labels train together.

    Formula:
        ℓ = ½·L(x | σ(g)) + ½·L(g | σ(x))
        L(x | y) = (1/(B·L))·Σ[−y·log p − (1 − y)·log(1 − p)] + EPR(x),  p = σ(x)

    The labels σ(·) after the bar are constants, and EPR is `expected_positive_regularized_loss`.
    The gradient is taken with respect to x and g: the estimates are parameters, one for each
    training sample and label, with their own optimiser (the authors' learning rate for them is ten
    times that of the classifier). `mllosses_jax.pseudo_labels.initial_label_logits` creates the
    first estimates.

    Args:
        logits: x, float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L): observed where above 0, unknown elsewhere.
        estimated_logits: g, the estimates for this batch, float array (..., L).
        expected_positives: k ≥ 0, a scalar: positives per sample.
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss, (); 0 if nothing counts. It equals the authors' code except that theirs computes
        log(p + 1e-5).

    Reference:
        E. Cole, O. Mac Aodha, T. Lorieul, P. Perona, D. Morris and N. Jojic, "Multi-Label
        Learning from Single Positive Labels", 2021, arXiv:2106.09708.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import role_loss
        >>> logits, labels = jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]])
        >>> estimated = jnp.array([[0.0, 0.0]])
        >>> loss = role_loss(logits, labels, estimated_logits=estimated, expected_positives=2)
        >>> print(f"{loss:.4f}")
        1.2897
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    given = checks.float_array("estimated_logits", estimated_logits)
    checks.same_shape("estimated_logits", given, "logits", inputs.x)
    estimated = widened(given, inputs.x.dtype)
    if inputs.where is not None:
        estimated = jnp.where(inputs.where, estimated, 0)
    k = checks.scalar("expected_positives", expected_positives, inputs.x.dtype)
    fixed = jax.lax.stop_gradient
    classifier = _party_losses(inputs.x, fixed(estimated), inputs.positives())
    estimator = _party_losses(estimated, fixed(inputs.x), inputs.positives())
    deviations = [_deviation(z, inputs, k, axis_name) for z in (inputs.x, estimated)]
    # Seven passes: three write the losses of both parties and the probabilities of each, three sum
    # them, and one writes the gradient. Exponentials are computed again rather than kept.
    return (_mean(classifier + estimator, inputs, axis_name) + sum(deviations)) / 2


def _entropy_slope(x: Array, y: Array, alpha: Array) -> Array:
    p, q = sigmoid_pair(x)
    largest = jnp.finfo(x.dtype).max  # an infinite x would make x * 0 a NaN
    return jnp.where(y, -q, alpha * (jnp.clip(x, -largest, largest) * (p * q)))


@with_slope(_entropy_slope)
def _entropy_maximization(x: Array, y: Array, alpha: Array) -> Array:
    log_p, log_q = log_sigmoid_pair(x)
    p, q = sigmoid_pair(x)
    entropy = finite_product(p, -log_p) + finite_product(q, -log_q)
    return jnp.where(y, -log_p, -alpha * entropy)


@compiled_loss(alpha=(0, _INF), beta=(0, _INF))
def entropy_maximization_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 0.9,
    pseudo_labels: ArrayLike | None = None,
    pseudo_where: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Entropy maximisation (EM): unknown labels stay uncertain until they are pseudo-labelled.

    Formula:
        observed positive  ℓ = −log p
        unknown            ℓ = α·[p·log p + (1 − p)·log(1 − p)]
        pseudo-labelled    ℓ = β·[−ỹ·log p − (1 − ỹ)·log(1 − p)],  p = σ(x)

    `mllosses_jax.pseudo_labels.add_pseudo_negatives` chooses pseudo-labels from epoch to epoch,
    as the authors do (APL). Positive pseudo-labels from a vision-language model (VLPL) have ỹ = 0.9
    and β = 0.7.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): observed where above 0, unknown elsewhere.
        alpha: α ≥ 0, a scalar or (L,). The authors use 0.1 for COCO and NUS-WIDE, 0.2 for VOC
            and 0.01 for CUB.
        beta: β ≥ 0, a scalar or (L,). The authors use 0.9 for COCO, 0.2 for NUS-WIDE, 0.02 for
            VOC and 0.4 for CUB.
        pseudo_labels: ỹ in [0, 1], array (..., L), or None.
        pseudo_where: bool array (..., L): which of the unknown labels are pseudo-labelled; required
            with pseudo_labels. An observed positive stays one.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats, which may be negative: (..., L) with "none", else (). The authors' code
        is "mean", except that theirs computes log(p + 1e-5).

    Raises:
        ValueError: if only one of pseudo_labels and pseudo_where is given.

    Reference:
        D. Zhou, P. Chen, Q. Wang, G. Chen and P.-A. Heng, "Acknowledging the Unknown for
        Multi-label Learning with Single Positive Labels", 2022, arXiv:2203.16219.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import entropy_maximization_loss
        >>> logits, labels = jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]])
        >>> print(entropy_maximization_loss(logits, labels, reduction="none").round(4))
        [[ 0.6931 -0.0693]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    a = checks.element_parameter("alpha", alpha, inputs.x)
    b = checks.element_parameter("beta", beta, inputs.x)
    observed = inputs.positives()
    losses = _entropy_maximization(inputs.x, observed, a)
    chosen = checks.mask("pseudo_where", pseudo_where, inputs.x.shape)
    if (pseudo_labels is None) != (chosen is None):
        raise ValueError("pseudo_labels and pseudo_where must be given together")
    if pseudo_labels is not None and chosen is not None:
        given = checks.label_array("pseudo_labels", pseudo_labels)
        checks.same_shape("pseudo_labels", given, "logits", inputs.x)
        chosen = chosen & inputs.counted() & ~observed
        pseudo = jnp.where(chosen, given.astype(inputs.x.dtype), 0)
        losses = jnp.where(
            chosen, b * cross_entropy(LossInputs(inputs.x, pseudo, None, inputs.x)), losses
        )
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
