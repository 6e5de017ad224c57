"""Average precision of the k top-ranked labels, of each sample or of all of them together."""

from __future__ import annotations

from typing import Literal, get_args

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import ranked
from mllosses_jax._core.sharding import whole
from mllosses_jax.metrics._averaging import mean_over_rows
from mllosses_jax.metrics._top_k import TopK, top_k_of

Pooling = Literal["samples", "micro"]


@compiled()
def average_precision_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    average: Pooling = "samples",
    where: ArrayLike | None = None,
) -> Array:
    """Average precision at k: MAP@k of the rankings of samples, or GAP@k of all predictions.

    Formula:
        "samples": mean over samples of (1/min(k, |Y|)) Σ_{r≤k} [label at rank r ∈ Y]·P_r, where
        P_r is the precision of the first r; ties go to the lowest index, and a sample without
        labels counts as 0.
        "micro": the k best labels of every sample are ranked together, and AP = (1/Σ|Y|)·(the sum
        of the precision at each of them that is true), with tied scores grouped

    Args:
        scores: float array (N, L), on any monotone scale, such as logits; with "micro", on one
            scale for all samples.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        average: "samples" for the mean average precision, MAP@k; "micro" for the global average
            precision, GAP@k.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k, and a sample without any is left out of the mean.

    Returns:
        Average precision in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a
        score that counts is NaN, and where nothing counts; with "micro" also where no label is
        true. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or average is unknown.

    Reference:
        GAP@20 is the metric of S. Abu-El-Haija et al., "YouTube-8M: A Large-Scale Video
        Classification Benchmark", 2016, arXiv:1609.08675.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [1, 0, 1]])
        >>> metrics.average_precision_at_k(scores, labels, 2)
        Array(0.625, dtype=float32)
    """
    checks.one_of("average", average, get_args(Pooling))
    top = top_k_of(scores, labels, k, where)
    if average == "micro":
        return _of_all(top)
    dtype = top.inputs.scores.dtype
    rank = lax.broadcasted_iota(jnp.int32, top.hits.shape, 1) + 1
    precision = jnp.cumsum(top.hits, axis=1, dtype=jnp.int32).astype(dtype) / rank.astype(dtype)
    possible = jnp.clip(top.inputs.num_positives(), 1, k).astype(dtype)
    found = jnp.sum(jnp.where(top.hits, precision, 0), axis=1)
    return mean_over_rows(found / possible, top.inputs)


def _of_all(top: TopK) -> Array:
    keys, hits = (
        whole(x).reshape(1, -1) for x in (jnp.take_along_axis(top.keys, top.labels, 1), top.hits)
    )
    ranking = ranked(keys, hits)
    count, before = ranking.running_count(ranking.positive)
    dtype = top.inputs.scores.dtype
    precision = count.astype(dtype) / ranking.rank.astype(dtype)
    new = jnp.where(ranking.group_end, count - before, 0).astype(dtype)
    positives = jnp.sum(top.inputs.num_positives()).astype(dtype)
    return jnp.where(top.broken(), jnp.nan, jnp.sum(new * precision) / positives)
