"""Surrogates for the areas under the ROC and precision-recall curves, one label at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import pair_of_tail, signed_tail, with_slope
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.reduction import (
    all_sum,
    count_entries,
    masked_count,
    reduce_labels,
    safe_divide,
)
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._columns import columns_of, gathered
from mllosses_jax.losses._logistic_sum import logistic_sum
from mllosses_jax.losses._pair_sums import (
    SIGMOID,
    SIGMOID_SLOPE,
    apart,
    pair_sums,
    sorted_rows,
    total_of_rows,
    two_kinds,
)
from mllosses_jax.losses._pairs import squared_hinge_sum
from mllosses_jax.losses._robust_sums import factored_sum, robust_sum

__all__ = ["auc_margin_loss", "pairwise_auc_loss", "partial_auc_loss", "smooth_ap_loss"]

SURROGATES = ("logistic", "squared_hinge", "squared")


@with_slope(lambda values, center: 2 * (values - center), share=True)
def _square(values: Array, center: Array) -> Array:
    """Returns (values − center)², whose derivative in the center sums to 0 if that is the mean."""
    return (values - lax.stop_gradient(center)) ** 2


class _Moments(NamedTuple):
    """Moments of the positives and of the negatives of each label, (L,), over all devices."""

    variances: Array  # the sum of both variances
    distance: Array  # the mean of the negatives minus that of the positives
    paired: Array  # whether there are positives and negatives


def _moments(values: Array, inputs: LossInputs, axis_name: AxisName) -> _Moments:
    """Returns the moments of values (..., L) in four sums: positives, two means, and squares."""
    batch, positives = tuple(range(values.ndim - 1)), inputs.positives()
    in_all = count_entries(values, inputs.where, axis_name, axis=batch)
    in_positives = masked_count(positives, axis_name, axis=batch)
    counts = [n.astype(values.dtype) for n in (in_positives, in_all - in_positives)]
    paired = (counts[0] > 0) & (counts[1] > 0)
    values = jnp.where(paired, values, 0)  # a square of a label without pairs could be infinite
    share_a, share_b = (safe_divide(jnp.ones_like(count), count) for count in counts)
    arrays = (values, positives, inputs.negatives())

    def total(terms: Callable[..., Array], *parameters: Array) -> Array:
        return all_sum(sum_of_terms(terms, (*arrays, *parameters), batch), axis_name)

    a = share_a * total(lambda x, positive, _: jnp.where(positive, x, 0))
    b = share_b * total(lambda x, _, negative: jnp.where(negative, x, 0))
    return _Moments(total(_share_of_variance, a, b, share_a, share_b), b - a, paired)


def _share_of_variance(
    x: Array, positive: Array, negative: Array, a: Array, b: Array, share_a: Array, share_b: Array
) -> Array:
    """Returns the term of an entry in the sum of the variances around the means a and b."""
    square, share = _square(x, jnp.where(positive, a, b)), jnp.where(positive, share_a, share_b)
    return jnp.where(positive | negative, square * share, 0)


def _hardest(inputs: LossInputs, max_fpr: Array, axis_name: AxisName) -> LossInputs:
    """Returns inputs in which only the highest ⌈max_fpr·n⌉ of the n negatives of each label count.

    Negatives that tie with the last of them count too, and one counts at least.
    """
    columns = columns_of(inputs, axis_name)
    x, _, negatives, *_ = gathered(columns, axis_name)
    ranked = jnp.sort(lax.stop_gradient(jnp.where(negatives, x, -jnp.inf)), axis=-1)
    least = max_fpr * (1 - 4 * jnp.finfo(x.dtype).eps)  # a rounded share must add no negative
    kept = jnp.maximum(jnp.ceil(least * columns.num_negatives), 1).astype(jnp.int32)
    place = lax.broadcasted_iota(jnp.int32, x.shape, 1)
    up_to_lowest = jnp.where(place <= x.shape[-1] - kept[:, None], ranked, -jnp.inf)
    lowest = jnp.max(up_to_lowest, axis=-1, initial=-jnp.inf)
    lowest = lowest.reshape((1,) * (inputs.x.ndim - 1) + lowest.shape)
    among = inputs.positives() | (inputs.negatives() & (inputs.x >= lowest))
    return inputs._replace(where=among)


@compiled_loss(margin=(0, 1e15))
def auc_margin_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    margin: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """AUC margin loss (AUC-M): two variances, and a squared hinge on the gap between two means.

    Formula:
        ℓ = Var_P(p) + Var_N(p) + max(0, m + mean_N(p) − mean_P(p))²,  p = σ(x)

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        margin: m ≥ 0, a scalar.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss per label, without a unit: (L,) with "none", else (). A label without a positive
        or without a negative in the batch has loss 0 with zero gradient. It counts in "mean"; to
        leave it out, use "weighted_mean" with weight 0 for it and 1 for the others. The loss is
        the authors' saddle function at the optimum of its variables a, b and α for the batch, with
        the same gradient; with weights π·(1 − π), where π is the share of positives, it is version
        1 of their code.

    Reference:
        Z. Yuan, Y. Yan, M. Sonka and T. Yang, "Large-scale Robust Deep AUC Maximization: A New
        Surrogate Loss and Empirical Studies on Medical Image Classification", 2021 (ICCV),
        arXiv:2012.03173.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import auc_margin_loss
        >>> logits, labels = jnp.array([[0.0], [0.0], [0.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{auc_margin_loss(logits, labels):.4f}")
        1.0000
    """
    inputs = loss_inputs(logits, labels, where)
    m = checks.scalar("margin", margin, inputs.x.dtype)
    moments = _moments(pair_of_tail(signed_tail(inputs.x))[0], inputs, axis_name)
    losses = moments.variances + jnp.maximum(m + moments.distance, 0) ** 2
    losses = jnp.where(moments.paired, losses, 0)
    return reduce_labels(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(margin=(0, 1e15), max_fpr=(0, 1))
def pairwise_auc_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    surrogate: Literal["logistic", "squared_hinge", "squared"] = "logistic",
    margin: ArrayLike = 1.0,
    max_fpr: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Pairwise AUC loss: the mean surrogate over all pairs of a positive and a negative sample.

    Formula:
        ℓ = 1/(|P|·|N|)·Σ_{i∈P} Σ_{j∈N} φ(x_i − x_j), over the samples of a label
        φ(t) = log(1 + exp(−t)), max(0, m − t)² or (m − t)²

    Gao and Zhou show that the first two are consistent with AUC, and that a plain hinge is not.
    With `max_fpr` = β, N holds only the ⌈β·n⌉ highest of the n negatives: the loss is that of the
    partial AUC, whose false positive rates are at most β.

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        surrogate: φ: "logistic", "squared_hinge" or "squared". The first two take O(n log n) time
            for n samples, the last O(n), and none holds all pairs in memory.
        margin: m ≥ 0, a scalar, for the squared surrogates; the logistic one has no margin.
        max_fpr: β in [0, 1], a scalar; at least one negative counts. None means all of them.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss per label: (L,) with "none", else (). A label without a positive or without a
        negative in the batch has loss 0 with zero gradient. It counts in "mean"; to leave it out,
        use "weighted_mean" with weight 0 for it and 1 for the others.

    Reference:
        W. Gao and Z.-H. Zhou, "On the Consistency of AUC Pairwise Optimization", 2012,
        arXiv:1208.0645; for the partial AUC D. Zhu, G. Li, B. Wang, X. Wu and T. Yang, "When AUC
        meets DRO: Optimizing Partial AUC for Deep Learning with Non-Convex Convergence Guarantee",
        2022 (ICML), arXiv:2203.00176.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import pairwise_auc_loss
        >>> logits, labels = jnp.array([[0.5], [-1.0], [0.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{pairwise_auc_loss(logits, labels):.4f}")
        0.3377
    """
    checks.one_of("surrogate", surrogate, SURROGATES)
    inputs = loss_inputs(logits, labels, where)
    m, among = checks.scalar("margin", margin, inputs.x.dtype), inputs.where
    if max_fpr is not None:
        inputs = _hardest(inputs, checks.scalar("max_fpr", max_fpr, inputs.x.dtype), axis_name)
    if surrogate == "squared":
        moments = _moments(inputs.x, inputs, axis_name)
        losses = jnp.where(moments.paired, moments.variances + (m + moments.distance) ** 2, 0)
    else:
        columns = columns_of(inputs, axis_name)
        x, _, negatives, own, _ = gathered(columns, axis_name)
        if surrogate == "logistic":
            totals = logistic_sum(x, own, negatives)
        else:
            totals = squared_hinge_sum(x - jnp.where(own, m, 0), own, negatives)
        pairs = columns.num_positives * columns.num_negatives
        losses = safe_divide(all_sum(totals, axis_name), pairs)
    return reduce_labels(losses, among, weights, reduction, axis_name)


@compiled_loss(margin=(0, 1e15), temperature=(1e-3, 1e3))
def partial_auc_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    surrogate: Literal["logistic", "squared_hinge"] = "logistic",
    margin: ArrayLike = 1.0,
    temperature: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Partial AUC loss (pAUC-KL): each positive against a soft maximum over the negatives.

    Formula:
        ℓ = 1/|P|·Σ_{i∈P} λ·log(1/|N|·Σ_{j∈N} exp(φ(x_i − x_j)/λ)), over the samples of a label
        φ(t) = log(1 + exp(−t)) or max(0, m − t)²

    For each positive it is the mean surrogate under the worst weights of the negatives, less λ
    times the Kullback-Leibler divergence of these weights from equal ones. So the highest
    negatives, which decide at low false positive rates, weigh most: the smaller λ, the fewer of
    them. For large λ the loss is that of the whole AUC, `pairwise_auc_loss`, whose `max_fpr` cuts
    the negatives instead.

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        surrogate: φ: "logistic" or "squared_hinge".
        margin: m ≥ 0, a scalar, for the squared hinge; the logistic surrogate has no margin.
        temperature: λ in [1e-3, 1e3], a scalar. For the logistic surrogate with λ = 1 the sum over
            negatives factors, and n samples take O(n) time; all else takes O(|P|·n). No array of
            pairs is in memory.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss per label: (L,) with "none", else (). A label without a positive or without a
        negative in the batch has loss 0 with zero gradient. It counts in "mean"; to leave it out,
        use "weighted_mean" with weight 0 for it and 1 for the others.

    Reference:
        D. Zhu, G. Li, B. Wang, X. Wu and T. Yang, "When AUC meets DRO: Optimizing Partial AUC for
        Deep Learning with Non-Convex Convergence Guarantee", 2022 (ICML), arXiv:2203.00176.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import partial_auc_loss
        >>> logits, labels = jnp.array([[0.5], [-1.0], [0.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{partial_auc_loss(logits, labels):.4f}")
        0.3470
    """
    checks.one_of("surrogate", surrogate, SURROGATES[:2])
    inputs = loss_inputs(logits, labels, where)
    m = checks.scalar("margin", margin, inputs.x.dtype)
    t = checks.scalar("temperature", temperature, inputs.x.dtype)
    if surrogate == "logistic" and isinstance(temperature, int) and temperature == 1:
        entries = inputs.positives(), inputs.negatives()
        batch = tuple(range(inputs.x.ndim - 1))
        counts = [masked_count(e, axis_name, axis=batch).astype(inputs.x.dtype) for e in entries]
        totals = factored_sum(inputs.x, *entries, counts[1], axis_name)
    else:
        columns = columns_of(inputs, axis_name)
        counts = [columns.num_positives, columns.num_negatives]
        x, _, negatives, own, _ = gathered(columns, axis_name)
        totals = all_sum(robust_sum(x, own, negatives, surrogate, m, t), axis_name)
    losses = jnp.where(counts[1] > 0, safe_divide(totals, counts[0]), 0)
    return reduce_labels(losses, inputs.where, weights, reduction, axis_name)


@with_slope(over_labels=True)
def _lost_precision(
    x: Array, positives: Array, negatives: Array, places: Array | None, t: Array
) -> tuple[Array, Array]:
    """Returns the sum of 1 − precision over the own positives of each row, and its slope.

    With A_i and B_i the slopes of the term of i in its sums over negatives and over positives, the
    slope at j is the sum over i of A_i·σ'_ij for a negative and of B_i·σ'_ij for a positive, less
    what the term of j itself gets from all others.
    """
    rows = sorted_rows(x, positives, negatives, places)

    def sums(z: Array, p: Array, q: Array, own: Array, t: Array) -> tuple[Array, Array]:
        above, slopes = pair_sums((SIGMOID, SIGMOID_SLOPE), z, two_kinds(z, p, q), t)
        right, wrong = 1 + above.real, above.imag
        share = 1 / (right + wrong)
        by_wrong = jnp.where(own, right * share * share, 0)
        by_right = jnp.where(own, -wrong * share * share, 0)
        (received,) = pair_sums((SIGMOID_SLOPE,), z, two_kinds(z, by_right, by_wrong), t)
        received = jnp.where(q, received.imag, jnp.where(p, received.real, 0))
        slope = received - by_wrong * slopes.imag - by_right * slopes.real
        return total_of_rows(jnp.where(own, wrong * share, 0)), slope / t

    def nothing(z: Array, *_: Array) -> tuple[Array, Array]:
        return total_of_rows(z * 0), z * 0  # NaN stays NaN

    entries = rows.positives, rows.negatives, rows.own
    lost, slope = apart(jnp.any(rows.own), sums, nothing, rows.z, *entries, t)
    return lost, rows.restored(slope)


@compiled_loss(temperature=(1e-7, 1e30))
def smooth_ap_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    temperature: ArrayLike = 0.01,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Smooth AP loss: one minus average precision, with sigmoids in place of comparisons.

    Formula:
        ℓ = 1 − 1/|P|·Σ_{i∈P} (1 + Σ_{j∈P, j≠i} s_ij)/(1 + Σ_{j≠i} s_ij)
        s_ij = σ((x_j − x_i)/τ), over the samples of a label

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        temperature: τ > 0, a scalar. The gradient vanishes if τ is far above or below the
            distances between logits. The default is the authors', for cosine similarities; logits
            need about 0.1 to 1.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1] per label, without a unit: (L,) with "none", else (). A label without a
        positive or without a negative in the batch has loss 0 with zero gradient. It counts in
        "mean"; to leave it out, use "weighted_mean" with weight 0 for it and 1 for the others. The
        time is O(n log n) for n samples, and no array of pairs is in memory.

    Reference:
        A. Brown, W. Xie, V. Kalogeiton and A. Zisserman, "Smooth-AP: Smoothing the Path Towards
        Large-Scale Image Retrieval", 2020, arXiv:2007.12163.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import smooth_ap_loss
        >>> logits, labels = jnp.array([[0.0], [0.0], [-9.0]]), jnp.array([[1], [0], [0]])
        >>> print(f"{smooth_ap_loss(logits, labels):.4f}")
        0.3333
    """
    inputs = loss_inputs(logits, labels, where)
    columns = columns_of(inputs, axis_name)
    t = checks.scalar("temperature", temperature, inputs.x.dtype)
    entries = gathered(columns, axis_name)
    totals = _lost_precision(entries.x, entries.positives, entries.negatives, entries.places, t)
    losses = columns.where_pairs(safe_divide(all_sum(totals, axis_name), columns.num_positives))
    return reduce_labels(losses, inputs.where, weights, reduction, axis_name)
