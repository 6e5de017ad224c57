"""Metrics of how each sample ranks its labels, in at most O(L log L) per sample."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled, step
from mllosses_jax._core.ordering import Ranking, ranking_keys
from mllosses_jax._core.sets import Scored, sample_weights, scored
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax.metrics._averaging import mean_over, mean_over_rows
from mllosses_jax.metrics._ranked_rows import of_ranked_rows
from mllosses_jax.metrics._rows import Facts, facts_of
from mllosses_jax.metrics.curves import average_precisions


@compiled(host=True)
def label_ranking_average_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Label ranking average precision (LRAP): precision at the rank of each true label.

    Formula:
        mean over samples of (1/|Y|) Σ_{j∈Y} #{k∈Y : s_k ≥ s_j} / #{k : s_k ≥ s_j}; a sample with
        no or all labels true counts as 1

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: float array (N,), the weights of the samples in the mean, at least 0.
        where: bool, (N, L) with axes equal or 1: which entries count; a sample without any is
            left out of the mean.

    Returns:
        The precision in (0, 1], (), in float32 or the wider dtype of the scores; NaN where a score
        that counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.label_ranking_average_precision_score(labels, scores)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.75, 0.5, 1.0], [1.0, 0.2, 0.1]])
        >>> labels = jnp.array([[1, 0, 0], [0, 0, 1]])
        >>> print(f"{metrics.label_ranking_average_precision(scores, labels):.4f}")
        0.4167
    """
    inputs = scored(scores, labels, where)
    return _mean_of_ranked(_precisions, inputs, weights)


@compiled(host=True)
def lwlrap(scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Label-weighted label ranking average precision (lwlrap): LRAP in which labels weigh equally.

    Formula:
        mean over all true labels j of all samples of #{k∈Y : s_k ≥ s_j} / #{k : s_k ≥ s_j}, which
        is `label_ranking_average_precision` with the number of true labels as weights

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        The precision in (0, 1], (), in float32 or the wider dtype of the scores; NaN where a score
        of a sample with a true label is NaN, and where no label is true. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        E. Fonseca, M. Plakal, F. Font, D. P. W. Ellis and X. Serra, "Audio Tagging with Noisy
        Labels and Minimal Supervision", 2019, arXiv:1906.02975 (DCASE).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.75, 0.5, 1.0], [1.0, 0.2, 0.1]])
        >>> labels = jnp.array([[1, 0, 1], [0, 0, 1]])
        >>> print(f"{metrics.lwlrap(scores, labels):.4f}")
        0.7778
    """
    inputs = scored(scores, labels, where)
    return _mean_of_ranked(_precisions, inputs, inputs.num_positives())


def _precisions(ranking: Ranking, facts: Facts) -> Array:
    values = average_precisions(ranking, facts)
    trivial = (facts.num_positives == 0) | (facts.num_positives == facts.num_entries)
    return jnp.where(trivial, 1, values)


@compiled(host=True)
def label_ranking_loss(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Ranking loss: the fraction of pairs in which the false label scores as high as the true one.

    Formula:
        mean over samples of #{(j, k) : j∈Y, k∉Y, s_j ≤ s_k} / (|Y|·(L − |Y|)); a sample with no
        or all labels true counts as 0, and a tie is a full error

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: float array (N,), the weights of the samples in the mean, at least 0.
        where: bool, (N, L) with axes equal or 1: which entries count; a sample without any is
            left out of the mean.

    Returns:
        The loss in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.label_ranking_loss(labels, scores)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores, labels = jnp.array([[0.5, 0.5, 0.1]]), jnp.array([[1, 0, 0]])
        >>> metrics.label_ranking_loss(scores, labels)
        Array(0.5, dtype=float32)
    """
    inputs = scored(scores, labels, where)
    return _mean_of_ranked(_wrong_pairs, inputs, weights)


def _wrong_pairs(ranking: Ranking, facts: Facts) -> Array:
    dtype = ranking.score_dtype()
    # Among tied labels the false ones are sorted first, so a true one comes after all of them.
    above_or_tied = jnp.cumsum(1 - ranking.positive, axis=1).astype(dtype)
    wrong = jnp.sum(jnp.where(ranking.positive > 0, above_or_tied, 0), axis=1)
    return wrong / jnp.maximum(facts.pairs(dtype), 1)


@compiled()
def coverage_error(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Coverage error: how many labels must be taken from the top to include every true one.

    Formula:
        mean over samples of #{k : s_k ≥ min_{j∈Y} s_j}; a sample without labels counts as 0

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: float array (N,), the weights of the samples in the mean, at least 0.
        where: bool, (N, L) with axes equal or 1: which entries count; a sample without any is
            left out of the mean.

    Returns:
        The number of labels in [0, L], (), in float32 or the wider dtype of the scores; NaN where
        a score that counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        `sklearn.metrics.coverage_error(labels, scores)`. (Papers that count from 0 get 1 less.)

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 1]])
        >>> metrics.coverage_error(scores, labels)
        Array(1.5, dtype=float32)
    """
    inputs = scored(scores, labels, where)
    keys = ranking_keys(inputs.scores, inputs.where)
    smallest = jnp.iinfo(keys.dtype).min
    last_true = jnp.max(jnp.where(inputs.actual, keys, smallest), axis=1, keepdims=True)
    covered = jnp.sum(keys <= last_true, axis=1, dtype=jnp.int32)
    return mean_over_rows(covered, inputs, weights)


@compiled()
def one_error(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """One-error: the fraction of samples whose top-ranked label is false.

    Formula:
        mean over samples of [argmax_k s_k ∉ Y]; ties go to the lowest index, and a sample
        without labels counts as 1

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: float array (N,), the weights of the samples in the mean, at least 0.
        where: bool, (N, L) with axes equal or 1: which entries count; a sample without any is
            left out of the mean.

    Returns:
        The error in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score
        that counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        R. E. Schapire and Y. Singer, "BoosTexter", Machine Learning, 2000; MEKA's `L_OneError`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 0, 1]])
        >>> metrics.one_error(scores, labels)
        Array(0.5, dtype=float32)
    """
    inputs = jax.tree.map(whole_rows, scored(scores, labels, where))
    top = jnp.argmin(ranking_keys(inputs.scores, inputs.where), axis=1, keepdims=True)
    hit = jnp.take_along_axis(inputs.actual, top, axis=1)[:, 0]
    return mean_over_rows(~hit, inputs, weights)


@compiled()
def mean_reciprocal_rank(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Mean reciprocal rank (MRR): one over the rank of the first true label.

    Formula:
        mean over samples of 1 / min_{j∈Y} rank_j; ties go to the lowest index, and a
        sample without labels counts as 0

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        weights: float array (N,), the weights of the samples in the mean, at least 0.
        where: bool, (N, L) with axes equal or 1: which entries count; a sample without any is
            left out of the mean.

    Returns:
        The mean in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.

    Reference:
        E. M. Voorhees, "The TREC-8 Question Answering Track Report", 1999; torchmetrics'
        `retrieval_reciprocal_rank` of each row of scores above 0.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 0, 1]])
        >>> metrics.mean_reciprocal_rank(scores, labels)
        Array(0.75, dtype=float32)
    """
    inputs = jax.tree.map(whole_rows, scored(scores, labels, where))
    keys = ranking_keys(inputs.scores, inputs.where)
    keys_of_true = jnp.where(inputs.actual, keys, jnp.iinfo(keys.dtype).max)
    first = jnp.argmin(keys_of_true, axis=1, keepdims=True)
    key = jnp.take_along_axis(keys, first, axis=1)
    earlier = lax.broadcasted_iota(first.dtype, keys.shape, 1) < first
    before = jnp.sum((keys < key) | ((keys == key) & earlier), axis=1, dtype=jnp.int32)
    reciprocal = 1 / (1 + before.astype(inputs.scores.dtype))
    return mean_over_rows(jnp.where(jnp.any(inputs.actual, axis=1), reciprocal, 0), inputs, weights)


def _mean_of_ranked(
    of_ranking: Callable[[Ranking, Facts], Array], inputs: Scored, weights: ArrayLike | None
) -> Array:
    facts = facts_of(inputs, average="samples")
    values = of_ranked_rows(of_ranking, inputs, facts, "samples")
    return _mean(values, facts, sample_weights(weights, len(inputs.scores)))


@step()
def _mean(values: Array, facts: Facts, weights: Array | None) -> Array:
    values = jnp.where(facts.broken, jnp.nan, values)
    return mean_over(values, facts.num_entries > 0, weights, weightless=jnp.nan)
