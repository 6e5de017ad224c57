"""Binary cross-entropy and its close relatives: each label is a separate Bernoulli variable."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import log_share, with_slope
from mllosses_jax._core.platforms import total_over_labels
from mllosses_jax._core.probabilities import is_probability, probabilities_of
from mllosses_jax._core.reduction import reduce_elements, reduce_samples, safe_divide
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import cross_entropy, hard_cross_entropy, soft_cross_entropy

__all__ = [
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "multilabel_soft_margin_loss",
    "ova_n_loss",
    "sigmoid_binary_cross_entropy",
]

_INF = float("inf")


@compiled_loss(pos_weight=(0, _INF), label_smoothing=(0, 1))
def sigmoid_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    pos_weight: ArrayLike | None = None,
    label_smoothing: ArrayLike = 0.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Binary cross-entropy of logits (BCE): the negative log-likelihood of independent labels.

    Formula:
        ℓ = −w·y·log σ(x) − (1 − y)·log σ(−x),  with y ← y·(1 − s) + s/2

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); hard in {0, 1} or soft in [0, 1].
        pos_weight: w, a scalar or (L,): scales the positive term, for soft labels too.
        label_smoothing: s, a scalar in [0, 1] or (L,), in the convention of Keras and timm.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); `torch.nn.BCEWithLogitsLoss` is "mean",
        `optax.sigmoid_binary_cross_entropy` is "none".

    Reference:
        G. Tsoumakas and I. Katakis, "Multi-Label Classification: An Overview", 2007 (binary
        relevance).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import sigmoid_binary_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(f"{sigmoid_binary_cross_entropy(logits, labels):.4f}")
        0.2201
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    w = checks.element_parameter("pos_weight", 1 if pos_weight is None else pos_weight, inputs.x)
    if inputs.hard and isinstance(label_smoothing, int) and label_smoothing == 0:
        losses = hard_cross_entropy(inputs.x, inputs.y)
        losses = losses if pos_weight is None else jnp.where(inputs.y, w, 1) * losses
    else:
        s = checks.element_parameter("label_smoothing", label_smoothing, inputs.x)
        y = inputs.soft_y * (1 - s) + s / 2
        losses = soft_cross_entropy(inputs.x, w * y, 1 - y)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(alpha=(0, 1))
def balanced_binary_cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Alpha-balanced binary cross-entropy: positives have weight alpha, negatives 1 - alpha.

    Formula:
        ℓ = −α·y·log σ(x) − (1 − α)·(1 − y)·log σ(−x)

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        alpha: α in [0, 1], a scalar or (L,). Below 1/2 it weakens the positives: the 0.25 of
            RetinaNet was tuned together with a focal gamma of 2. The (L − |Y|)/L of Xie and Tu's
            edge detector gives both classes the same total weight.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else ().

    Reference:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object
        Detection", 2017, arXiv:1708.02002, equation 3.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import balanced_binary_cross_entropy
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(f"{balanced_binary_cross_entropy(logits, labels, alpha=0.75):.4f}")
        0.0868
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    a = checks.element_parameter("alpha", alpha, inputs.x)
    if inputs.hard:
        losses = jnp.where(inputs.y, a, 1 - a) * hard_cross_entropy(inputs.x, inputs.y)
    else:
        losses = soft_cross_entropy(inputs.x, a * inputs.y, (1 - a) * (1 - inputs.y))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def multilabel_soft_margin_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_weights: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Binary cross-entropy averaged over the labels of each sample.

    Formula:
        ℓ = −(1/L)·Σ_c w_c·[y_c·log σ(x_c) + (1 − y_c)·log σ(−x_c)]

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft.
        label_weights: w, a scalar or (L,). The sum is divided by the number of labels that
            count, not by the sum of the weights.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per label: (...) with "none", else (). Without masks, "mean" equals that
        of `sigmoid_binary_cross_entropy`; `torch.nn.MultiLabelSoftMarginLoss` is "mean".

    Reference:
        PyTorch, `torch.nn.MultiLabelSoftMarginLoss`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import multilabel_soft_margin_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(multilabel_soft_margin_loss(logits, labels, reduction="none").round(4))
        [0.2201]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    losses = cross_entropy(inputs)
    if label_weights is not None:
        losses = checks.element_parameter("label_weights", label_weights, inputs.x) * losses
    counted = inputs.counted()
    number = jnp.sum(counted, axis=-1).astype(losses.dtype)
    means = safe_divide(total_over_labels(jnp.where(counted, losses, 0)), number)
    return reduce_samples(means, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def ova_n_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Normalised one-versus-all loss (OVA-N): binary cross-entropy with a label distribution.

    Formula:
        ℓ = −Σ_c [q_c·log σ(x_c) + (1 − q_c)·log σ(−x_c)],  q = y/Σy

    It is consistent for recall@k. Its optimum is σ(x_c) = E[y_c/Σy], so a logit of 0 is not a
    decision threshold.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): label sets or distributions.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample, summed over labels: (...) with "none", else (). An empty set
        has loss and gradient 0; the paper excludes it.

    Reference:
        A. K. Menon, A. S. Rawat, S. Reddi and S. Kumar, "Multilabel reductions: what is my loss
        optimising?", 2019 (NeurIPS).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import ova_n_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 1]])
        >>> print(f"{ova_n_loss(logits, labels):.4f}")
        2.1333
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    q = inputs.distribution()
    takes_part = inputs.counted() & jnp.any(q != 0, axis=-1, keepdims=True)
    entropy = cross_entropy(inputs._replace(y=q))
    losses = total_over_labels(jnp.where(takes_part, entropy, 0))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


_LOWEST_LOG = -100.0  # PyTorch's floor for log(0)
_SMALLEST = 1e-12  # PyTorch's floor for the denominator of the slope


def _hard_probability_slope(p: Array, y: Array, least: float) -> Array:
    slope = jnp.where(y, -1.0, 1.0) / jnp.maximum(jnp.where(y, p, 1 - p), least)
    return jnp.where(is_probability(p), slope, 0)


@with_slope(_hard_probability_slope, share=True)  # XLA keeps none of the cheap things they share
def _hard_probability_entropy(p: Array, y: Array, least: float) -> Array:
    """Returns −log u for the probability u of the label.

    Beside so few operations XLA's logarithm is the fastest. It needs what 1 − p lost by rounding.
    """
    u = jnp.where(y, p, 1 - p)
    lost = jnp.where(y, 1 - p, p) - (1 - u)
    return jnp.where(u <= 1, jnp.minimum(lost - jnp.log(u), -_LOWEST_LOG), jnp.nan)


def _soft_probability_slope(p: Array, y: Array, least: float) -> Array:
    return (1 - y) / jnp.maximum(1 - p, least) - y / jnp.maximum(p, least)


@with_slope(_soft_probability_slope)
def _soft_probability_entropy(p: Array, y: Array, least: float) -> Array:
    log_p = jnp.maximum(log_share(p, 1 - p), _LOWEST_LOG)
    log_q = jnp.maximum(log_share(1 - p, p), _LOWEST_LOG)
    return -y * log_p - (1 - y) * log_q


@compiled_loss(probabilities="probabilities")
def binary_cross_entropy(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Binary cross-entropy of probabilities, for models that do not expose their logits.

    Probabilities near 1 have lost digits that logits still have, so the loss of a negative is
    coarse there. Prefer `sigmoid_binary_cross_entropy` wherever logits are available.

    Formula:
        ℓ = −y·max(log p, −100) − (1 − y)·max(log(1 − p), −100)

    Args:
        probabilities: float array (..., L) in [0, 1].
        labels: bool, integer or float array (..., L), hard or soft.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of probabilities, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); `torch.nn.BCELoss` is "mean". The slope
        −y/p + (1 − y)/(1 − p) has denominators of at least 1e-12, in float16 6e-5, so a certain
        but wrong prediction has a finite gradient. Under a transformation, where values cannot be
        inspected, the loss is NaN where a probability that counts lies outside [0, 1].

    Raises:
        TypeError: if the probabilities are not floating point.
        ValueError: if, in an eager call, a probability that counts lies outside [0, 1].

    Reference:
        PyTorch, `torch.nn.BCELoss`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import binary_cross_entropy
        >>> probabilities, labels = jnp.array([[0.9, 0.0]]), jnp.array([[1, 1]])
        >>> print(binary_cross_entropy(probabilities, labels, reduction="none").round(4))
        [[  0.1054 100.    ]]
    """
    inputs = loss_inputs(probabilities, labels, where, name="probabilities")
    least = max(_SMALLEST, float(jnp.finfo(jnp.result_type(probabilities)).tiny))
    if inputs.hard:
        losses = _hard_probability_entropy(inputs.x, inputs.y, least)
    else:
        p = probabilities_of(inputs.x, "probabilities")
        losses = _soft_probability_entropy(p, inputs.y, least)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
