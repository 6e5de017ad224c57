"""Weights and biases that compensate for label imbalance."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.frequencies import log_odds, proper_counts, rebalanced
from mllosses_jax._core.masking import compute_dtype, counted_entries, is_positive
from mllosses_jax._core.reduction import safe_divide
from mllosses_jax.weighting._label_counts import (
    checked_counts,
    counted_labels,
    counts_beside,
    per_effective_number,
)

ClassBalance = Literal["by_class", "average_n", "average_w", "min_n"]
_INF = float("inf")


@compiled(beta=(0, 1))
def effective_number_weights(label_counts: ArrayLike, beta: ArrayLike = 0.999) -> Array:
    """Class-balanced weights from the effective number of samples.

    Formula:
        w_c ∝ (1 − β) / (1 − β^{n_c}),  Σ_c w_c = L

    Args:
        label_counts: n, array (L,): positives of each label.
        beta: β in [0, 1]: 0 gives equal weights, 1 gives inverse counts.

    Returns:
        Weights (L,) with mean 1. A label without positives counts as if it had one.

    Raises:
        ValueError: if label_counts is not (L,), or beta not in [0, 1].

    Reference:
        Y. Cui, M. Jia, T.-Y. Lin, Y. Song and S. Belongie, "Class-Balanced Loss Based on
        Effective Number of Samples", 2019, arXiv:1901.05555.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> weights = weighting.effective_number_weights(jnp.array([30, 10]), 1.0)
        >>> print([f"{weight:.3f}" for weight in weights])
        ['0.500', '1.500']
    """
    counts = jnp.maximum(checked_counts(label_counts), 1)
    weights = per_effective_number(counts, checks.scalar("beta", beta, counts.dtype))
    return weights * (counts.shape[0] / jnp.sum(weights))


@compiled(beta=(0, 1))
def class_balanced_weights(
    labels: ArrayLike,
    label_counts: ArrayLike,
    *,
    beta: ArrayLike = 0.9,
    mode: ClassBalance = "average_w",
    where: ArrayLike | None = None,
) -> Array:
    """Class-balanced weights of samples with many labels, in the four variants in use.

    They are those in the code of the distribution-balanced loss and, unlike
    `effective_number_weights`, are not normalised.

    Formula:
        w(n) = (1 − β) / (1 − β^n), and with Y the positives of a sample:

        "by_class"    w(n_c)                     (L,)
        "average_n"   w(mean of n_c over Y)      (..., 1)
        "average_w"   mean of w(n_c) over Y      (..., 1)
        "min_n"       w(min of n_c over Y)       (..., 1)

    Args:
        labels: bool, integer or float array (..., L); means weight labels by their value.
        label_counts: n, array (L,): positives of each label in the training data.
        beta: β in [0, 1]: 0 gives equal weights, 1 gives inverse counts.
        mode: one of the names above.
        where: bool, the rank of labels with axes equal or 1: which entries count.

    Returns:
        Weights for the `weights` of an element loss: (L,) or (..., 1). A sample without positives
        gets w(∞) = 1 − β; a label without positives counts as if it had one.

    Raises:
        ValueError: if shapes differ, beta is not in [0, 1], or the mode is unknown.

    Reference:
        T. Wu, Q. Huang, Z. Liu, Y. Wang and D. Lin, "Distribution-Balanced Loss for Multi-Label
        Classification in Long-Tailed Datasets", 2020, arXiv:2007.09654 (code); the weights are
        from Y. Cui et al., 2019, arXiv:1901.05555.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> labels, counts = jnp.array([[1, 1, 0], [0, 0, 0]]), jnp.array([1, 2, 9])
        >>> weights = weighting.class_balanced_weights(labels, counts, beta=0.5, mode="average_w")
        >>> print([f"{weight:.4f}" for weight in weights[:, 0]])
        ['0.8333', '0.5000']
    """
    checks.one_of("mode", mode, ("by_class", "average_n", "average_w", "min_n"))
    given = counted_labels(labels, where)
    counts = jnp.maximum(counts_beside(label_counts, given), 1)
    b = checks.scalar("beta", beta, counts.dtype)
    if mode == "by_class":
        return per_effective_number(counts.ravel(), b)
    y = given.astype(counts.dtype)
    total = jnp.sum(y, axis=-1, keepdims=True)
    nothing = total == 0
    if mode == "average_w":
        weights = safe_divide(
            jnp.sum(y * per_effective_number(counts, b), axis=-1, keepdims=True), total
        )
    else:
        if mode == "average_n":
            chosen = safe_divide(jnp.sum(y * counts, axis=-1, keepdims=True), total)
        else:
            chosen = jnp.where(y > 0, counts, _INF)
            chosen = jnp.min(chosen, axis=-1, keepdims=True, initial=_INF)
        weights = per_effective_number(jnp.where(nothing, 1, chosen), b)
    return jnp.where(nothing, 1 - b, weights)


@compiled(alpha=(0, _INF), beta=(0, _INF))
def rebalanced_weights(
    labels: ArrayLike,
    label_counts: ArrayLike,
    *,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 10.0,
    mu: ArrayLike = 0.2,
    where: ArrayLike | None = None,
) -> Array:
    """Weights of the distribution-balanced loss: how rare a label is among those of its sample.

    Formula:
        w_c = α + σ(β·(r_c − μ)),  r_c = (1/n_c) / Σ_j y_j/n_j

    Args:
        labels: bool, integer or float array (..., L), hard or soft.
        label_counts: n, array (L,): positives of each label in the training data.
        alpha: α ≥ 0: the smallest weight.
        beta: β ≥ 0, the slope of the sigmoid.
        mu: μ, the ratio at which the sigmoid is ½.
        where: bool, the rank of labels with axes equal or 1: which entries count.

    Returns:
        Weights (..., L) for the `weights` of an element loss, for positives and negatives. Where
        no label of a sample is positive, r is unbounded and w = α + 1. A label without positives
        counts as if it had one.

    Raises:
        ValueError: if shapes differ, or a parameter is out of its range.

    Reference:
        T. Wu, Q. Huang, Z. Liu, Y. Wang and D. Lin, "Distribution-Balanced Loss for Multi-Label
        Classification in Long-Tailed Datasets", 2020, arXiv:2007.09654.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> labels, counts = jnp.array([[1, 1], [1, 0]]), jnp.array([90, 10])
        >>> weights = weighting.rebalanced_weights(labels, counts)
        >>> print([f"{weight:.4f}" for weight in weights.ravel()])
        ['0.3689', '1.0991', '1.0997', '1.1000']
    """
    y = counted_labels(labels, where)
    counts = jnp.maximum(counts_beside(label_counts, y), 1)
    parameters = (
        checks.scalar(name, value, counts.dtype)
        for name, value in (("alpha", alpha), ("beta", beta), ("mu", mu))
    )
    return rebalanced(y.astype(counts.dtype), counts, *parameters)


@compiled()
def sample_balanced_weights(labels: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Weights with which the positives and the negatives of each sample weigh the same.

    Formula:
        w_c = 1/|P| for the positives, 1/|N| for the negatives of a sample

    The sum over labels of `sigmoid_binary_cross_entropy` with these weights, divided by log 2, is
    an upper bound of `metrics.label_ranking_loss`, in O(L) where a loss over pairs has |P|·|N|
    terms.

    Args:
        labels: bool, integer or float array (..., L); positive where above 0.
        where: bool, the rank of labels with axes equal or 1: which entries count.

    Returns:
        Weights (..., L), 0 where an entry does not count. They sum to 2 over the labels of a
        sample, and to 1 if all of these are positive or all negative.

    Raises:
        TypeError: if where is not bool.
        ValueError: if where does not fit the labels.

    Reference:
        G. Wu, C. Li, K. Xu and J. Zhu, "Rethinking and Reweighting the Univariate Losses for
        Multi-Label Ranking: Consistency and Generalization", 2021 (NeurIPS), arXiv:2105.05026.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> print(weighting.sample_balanced_weights(jnp.array([[1, 0, 0, 0, 1]])))
        [[0.5        0.33333334 0.33333334 0.33333334 0.5       ]]
    """
    given = checks.label_array("labels", labels)
    counted = counted_entries(checks.mask("where", where, given.shape), given)
    dtype = compute_dtype(given)

    def share(entries: Array) -> Array:
        return safe_divide(entries.astype(dtype), jnp.sum(entries, -1, keepdims=True, dtype=dtype))

    positive = is_positive(given)
    return share(positive & counted) + share(~positive & counted)


@compiled(num_samples=(2, _INF))
def negative_positive_ratio(label_counts: ArrayLike, num_samples: ArrayLike) -> Array:
    """Ratio of negatives to positives of each label, the usual `pos_weight`.

    Formula:
        w_c = (N − n_c) / n_c

    Args:
        label_counts: n, array (L,): positives of each label.
        num_samples: N ≥ 2, a scalar, or (L,) if the labels were known for different numbers of
            samples.

    Returns:
        Ratios (L,). Counts are clamped to [1, N − 1], so that a label that never occurs gets N − 1
        and one that always occurs 1/(N − 1).

    Raises:
        ValueError: if label_counts is not (L,), or num_samples below 2.

    Reference:
        PyTorch, `torch.nn.BCEWithLogitsLoss` (`pos_weight`).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> print(weighting.negative_positive_ratio(jnp.array([50, 10]), 100))
        [1. 9.]
    """
    counts = checked_counts(label_counts)
    total = checks.per_label("num_samples", num_samples, counts.shape[0], counts.dtype)
    counts, total = proper_counts(counts, total)
    return (total - counts) / counts


@compiled()
def prior_bias(prior: ArrayLike) -> Array:
    """Bias of the output layer with which an untrained model predicts the prior.

    Formula:
        b_c = log(π_c / (1 − π_c))

    Args:
        prior: π, float array of any shape: share of positives, such as counts / N, or 0.01
            for all labels, as in RetinaNet.

    Returns:
        Biases of the same shape, finite: priors are clamped to [1e-6, 1 − 1e-6].

    Raises:
        TypeError: if prior is not floating point, such as counts.

    Reference:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object
        Detection", 2017, arXiv:1708.02002, section 4.1.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> print(f"{weighting.prior_bias(0.01):.4f}")
        -4.5951
    """
    p = checks.array("prior", prior)
    if not jnp.issubdtype(p.dtype, jnp.floating):
        raise TypeError(f"prior must be shares of positives, floats in [0, 1], got {p.dtype}")
    return log_odds(p.astype(compute_dtype(p)))
