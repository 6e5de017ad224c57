"""Losses over all pairs of a positive and a negative label, with one term per pair."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import sigmoid_pair, with_slope
from mllosses_jax._core.reduction import count_entries, masked_count, reduce_samples, safe_divide
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax._core.softmax import log_sum_exp, signed_exp, sums_by_sign
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._logistic_sum import logistic_sum
from mllosses_jax.losses._pairs import hinge_sum

__all__ = [
    "bp_mll_loss",
    "multilabel_margin_loss",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "warp_loss",
]

_INF = float("inf")
_LARGEST_EXPONENT = 80.0  # its exponential is finite in float32


def _hinges(inputs: LossInputs, margin: ArrayLike, by_rank: bool = False) -> Array:
    """Returns the sum of (m − x_i + x_j)₊ over pairs, weighted by rank if `by_rank`."""
    positives = whole_rows(inputs.positives())
    m = checks.scalar("margin", margin, inputs.x.dtype)
    z = whole_rows(inputs.x) - jnp.where(positives, m, 0)
    return hinge_sum(z, positives, whole_rows(inputs.negatives()), by_rank)


def _size(entries: Array) -> Array:
    return masked_count(entries, None, axis=-1)


def _mean_over_pairs(totals: Array, inputs: LossInputs) -> Array:
    positives, negatives = _size(inputs.positives()), _size(inputs.negatives())
    return safe_divide(totals, positives.astype(totals.dtype) * negatives.astype(totals.dtype))


@with_slope(lambda s: jnp.exp(jnp.minimum(s, _LARGEST_EXPONENT)))
def _exponential(s: Array) -> Array:
    """Returns exp(s) with a slope that stays finite, so that no gradient is inf * 0."""
    return jnp.exp(s)


def _bounded_pairs(x: Array, positives: Array, negatives: Array) -> Array:
    """Returns Σ_{i∈P} exp(−t_i)·Σ_{j∈N} exp(t_j) for t = tanh(x).

    The exponentials are written once, and their two sums are a pass each. With the gradient these
    are four passes over (B, L) arrays, and the number of positives costs one more.
    """
    p, q = sigmoid_pair(2 * x)
    t = p - q  # tanh, with a derivative 4pq that does not cancel
    exponents = jnp.where(positives, -t, jnp.where(negatives, t, -jnp.inf))
    of_negatives, of_positives = sums_by_sign(signed_exp(exponents, positives), -1)
    return of_positives * of_negatives


@compiled_loss()
def bp_mll_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    bounded: bool = True,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """BP-MLL loss: the mean over pairs of the exponential of negative minus positive output.

    Formula:
        ℓ = 1/(|P|·|N|)·Σ_{i∈P} Σ_{j∈N} exp(t_j − t_i)
          = (1/|P|·Σ_{i∈P} exp(−t_i))·(1/|N|·Σ_{j∈N} exp(t_j))
        t = tanh(x) if bounded, else x

    The second form needs no pairs: the cost is O(L).

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        bounded: whether logits go through tanh, like the outputs of the paper's network.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample, without a unit: (...) with "none", else (). Without a positive or
        without a negative it is 0 with zero gradient; the authors leave such samples out, and ports
        divide by zero there. The bounded loss is below e² = 7.4; the unbounded one overflows to inf
        if outputs are wrong by more than 88, while its gradient stops growing at e⁸⁰.

    Reference:
        M.-L. Zhang and Z.-H. Zhou, "Multilabel Neural Networks with Applications to Functional
        Genomics and Text Categorization", 2006 (IEEE Transactions on Knowledge and Data
        Engineering 18(10)).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import bp_mll_loss
        >>> logits, labels = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{bp_mll_loss(logits, labels):.4f}")
        0.4620
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x, positives, negatives = inputs.x, inputs.positives(), inputs.negatives()
    in_positives = _size(positives)
    in_negatives = count_entries(x, inputs.where, None, axis=-1) - in_positives
    pairs = in_positives.astype(x.dtype) * in_negatives.astype(x.dtype)
    if bounded:
        losses = safe_divide(_bounded_pairs(x, positives, negatives), pairs)
    else:
        sums = log_sum_exp(x, negatives, -1) + log_sum_exp(-x, positives, -1)
        exponents = sums - jnp.log(jnp.maximum(pairs, 1))
        losses = _exponential(jnp.where(pairs > 0, exponents, -jnp.inf))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(margin=(0, _INF))
def multilabel_margin_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Multi-label margin loss: the hinges of all positive-negative pairs over the number of labels.

    Formula:
        ℓ = (1/L)·Σ_{i∈P} Σ_{j∈N} max(0, m − x_i + x_j)

    One sort of the labels replaces the pairs: the cost is O(L log L).

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        margin: m ≥ 0, a scalar.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample in units of the logits: (...) with "none", else (). L is the number of
        labels that count. Without a positive or without a negative it is 0 with zero gradient.
        `torch.nn.MultiLabelMarginLoss` is "mean"; its targets are lists of indices, which
        `mllosses_jax.labels` converts.

    Reference:
        PyTorch, `torch.nn.MultiLabelMarginLoss`; K. Crammer and Y. Singer, "A Family of Additive
        Online Algorithms for Category Ranking", 2003 (Journal of Machine Learning Research 3).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import multilabel_margin_loss
        >>> logits, labels = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{multilabel_margin_loss(logits, labels):.4f}")
        0.1667
    """
    inputs = loss_inputs(logits, labels, where)
    totals = _hinges(inputs, margin)
    losses = safe_divide(totals, _size(inputs.counted()).astype(totals.dtype))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(margin=(0, _INF))
def pairwise_hinge_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Pairwise hinge loss: the mean hinge over all pairs of a positive and a negative.

    Formula:
        ℓ = 1/(|P|·|N|)·Σ_{i∈P} Σ_{j∈N} max(0, m − x_i + x_j)

    One sort of the labels replaces the pairs: the cost is O(L log L).

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        margin: m ≥ 0, a scalar.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample in units of the logits: (...) with "none", else (). Without a positive
        or without a negative it is 0 with zero gradient. With weights |P|·|N| it is the sum over
        pairs, and "weighted_mean" is then the mean over all pairs of the batch, as in
        `rax.pairwise_hinge_loss`.

    Reference:
        R. Herbrich, T. Graepel and K. Obermayer, "Large Margin Rank Boundaries for Ordinal
        Regression", 2000 (Advances in Large Margin Classifiers).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import pairwise_hinge_loss
        >>> logits, labels = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{pairwise_hinge_loss(logits, labels):.4f}")
        0.2500
    """
    inputs = loss_inputs(logits, labels, where)
    losses = _mean_over_pairs(_hinges(inputs, margin), inputs)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def pairwise_logistic_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Pairwise logistic loss (RankNet): the mean over pairs of softplus(negative − positive).

    Formula:
        ℓ = 1/(|P|·|N|)·Σ_{i∈P} Σ_{j∈N} log(1 + exp(x_j − x_i))

    The pairs are summed as polynomials in exponentials of sorted logits: the cost is O(L log L).
    `lsep_loss` is a relative with cost O(L).

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (). Without a positive or without a
        negative it is 0 with zero gradient. With weights |P|·|N| it is the sum over pairs, and
        "weighted_mean" is then the mean over all pairs of the batch, as in
        `rax.pairwise_logistic_loss`.

    Reference:
        C. Burges, T. Shaked, E. Renshaw, A. Lazier, M. Deeds, N. Hamilton and G. Hullender,
        "Learning to Rank using Gradient Descent", 2005 (ICML).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import pairwise_logistic_loss
        >>> logits, labels = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{pairwise_logistic_loss(logits, labels):.4f}")
        0.3377
    """
    inputs = loss_inputs(logits, labels, where)
    rows = inputs.x, inputs.positives(), inputs.negatives()
    totals = logistic_sum(*map(whole_rows, rows))
    losses = _mean_over_pairs(totals, inputs)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(margin=(0, _INF))
def warp_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """WARP loss: hinges of pairs in which violations near the top of the ranking weigh more.

    Formula:
        ℓ = Σ_{i∈P} (L(r_i)/r_i)·Σ_{j∈N} max(0, m − x_i + x_j)
        r_i = number of negatives with x_j > x_i − m,  L(r) = 1 + 1/2 + … + 1/r

    This is the expectation of what WSABIE samples: a random violator of each positive, weighted by
    L of its rank, which is exact here instead of estimated. With one sort the cost is O(L log L).

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        margin: m ≥ 0, a scalar.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample in units of the logits: (...) with "none", else (). Without a positive
        or without a negative it is 0 with zero gradient. The gradient holds the ranks constant,
        and they are, except where a hinge opens. There the value jumps down, because L(r)/r falls
        as r grows. Gong et al. leave out the division by r_i. Code with the common slip
        `1.0/i + 1` for 1/(i + 1) has different weights.

    Reference:
        J. Weston, S. Bengio and N. Usunier, "WSABIE: Scaling Up To Large Vocabulary Image
        Annotation", 2011 (IJCAI); for label sets Y. Gong, Y. Jia, T. Leung, A. Toshev and S. Ioffe,
        "Deep Convolutional Ranking for Multilabel Image Annotation", 2013, arXiv:1312.4894.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import warp_loss
        >>> logits, labels = jnp.array([[0.5, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{warp_loss(logits, labels):.4f}")
        0.5000
    """
    inputs = loss_inputs(logits, labels, where)
    losses = _hinges(inputs, margin, by_rank=True)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
