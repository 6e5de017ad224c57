"""Statistics of the labels of a data set: their number, rarity and co-occurrence."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import count_entries, label_sets, result_dtype
from mllosses_jax._core.sharding import whole
from mllosses_jax.metrics._averaging import mean_over

_EXACT = 2**24  # the largest count up to which a float32 is exact


class LabelStatistics(NamedTuple):
    """Statistics of labels; those other than counts are float32, or float64 under x64.

    Attributes:
        counts: int32 (L,), the number of positives of each label.
        prevalence: (L,), the fraction of the entries of each label that are positive.
        cardinality: (), the mean number of labels of a sample.
        density: (), the fraction of all entries that are positive.
        imbalance_ratio: (L,), how many times rarer each label is than the most frequent one.
        mean_imbalance_ratio: (), the mean of `imbalance_ratio` over the labels that occur.
        scumble: (), in [0, 1], how far rare labels occur together with frequent ones.
    """

    counts: Array
    prevalence: Array
    cardinality: Array
    density: Array
    imbalance_ratio: Array
    mean_imbalance_ratio: Array
    scumble: Array


@compiled()
def label_statistics(labels: ArrayLike, *, where: ArrayLike | None = None) -> LabelStatistics:
    """Frequencies of labels, the number per sample, their imbalance and their entanglement.

    Formula:
        prevalence_j = n_j/N, n_j = Σ_i y_ij; cardinality = Σ_j n_j / N; density = cardinality / L;
        IRLbl_j = max_k n_k / n_j; MeanIR = mean of IRLbl_j over n_j > 0;
        SCUMBLE = mean over samples of 1 − (Π_{j∈Y} IRLbl_j)^(1/|Y|) / ((1/|Y|)·Σ_{j∈Y} IRLbl_j),
        0 for a sample without labels

    Args:
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        where: bool, (N, L) with axes equal or 1: which entries are known. N is then the number
            of known entries of a label in its prevalence, and the number of samples with a known
            entry in cardinality and SCUMBLE; density is taken over the known entries.

    Returns:
        A `LabelStatistics`. The imbalance ratio of a label that does not occur is infinite. A
        fraction or mean over nothing is NaN.

    Raises:
        TypeError: if where is not bool.
        ValueError: if labels do not have two axes.

    Reference:
        F. Charte, A. J. Rivera, M. J. del Jesus and F. Herrera, "Addressing imbalance in
        multilabel classification: Measures and random resampling algorithms", Neurocomputing
        2015 (IRLbl, MeanIR), and "Dealing with difficult minority labels in imbalanced
        multilabel data sets", Neurocomputing 2019 (SCUMBLE); `measures` of the R package mldr.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> labels = jnp.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]])
        >>> statistics = metrics.label_statistics(labels)
        >>> statistics.cardinality
        Array(1., dtype=float32)
        >>> statistics.imbalance_ratio
        Array([ 1.,  3., inf], dtype=float32)
    """
    y, mask = label_sets(labels, where)
    dtype = result_dtype()
    counts = jnp.sum(y, axis=0, dtype=jnp.int32)
    known = count_entries(mask, y.shape, axis=0).astype(dtype)
    exists = count_entries(mask, y.shape, axis=1) > 0
    num_positives = counts.astype(dtype)
    imbalance = jnp.max(num_positives) / num_positives
    imbalance = jnp.where(counts > 0, imbalance, jnp.inf)
    return LabelStatistics(
        counts=counts,
        prevalence=num_positives / known,
        cardinality=jnp.sum(num_positives) / jnp.sum(exists, dtype=jnp.int32).astype(dtype),
        density=jnp.sum(num_positives) / jnp.sum(known),
        imbalance_ratio=imbalance,
        mean_imbalance_ratio=mean_over(imbalance, counts > 0),
        scumble=mean_over(_entanglement(y, imbalance), exists),
    )


@compiled()
def label_cooccurrence(
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    normalize: Literal["conditional", "jaccard"] | None = None,
) -> Array:
    """How often each pair of labels occurs together, as counts or as fractions.

    Formula:
        c_jk = Σ_i y_ij·y_ik; "conditional": c_jk / n_j, the probability of label k given label j
        (rows condition); "jaccard": c_jk / (n_j + n_k − c_jk)

    Args:
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        where: bool, (N, L) with axes equal or 1: which entries are known. Each pair of labels is
            counted over the samples in which both are known, and so are its n_j and n_k.
        normalize: None, "conditional" or "jaccard".

    Returns:
        (L, L): int32 counts, exact for any number of samples, with the counts of the labels on the
        diagonal; or fractions in float32, float64 under x64, NaN where the denominator is 0.

    Raises:
        TypeError: if where is not bool.
        ValueError: if labels do not have two axes, or normalize is unknown.

    Reference:
        The correlation matrix of Z.-M. Chen, X.-S. Wei, P. Wang and Y. Guo, "Multi-Label Image
        Recognition with Graph Convolutional Networks", CVPR 2019, arXiv:1904.03582, is
        "conditional".

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> labels = jnp.array([[1, 1, 0], [1, 0, 1], [1, 1, 0], [1, 0, 0]])
        >>> metrics.label_cooccurrence(labels)
        Array([[4, 2, 1],
               [2, 2, 0],
               [1, 0, 1]], dtype=int32)
        >>> metrics.label_cooccurrence(labels, normalize="conditional")[1]
        Array([1., 1., 0.], dtype=float32)
    """
    checks.one_of("normalize", normalize, (None, "conditional", "jaccard"))
    y, mask = jax.tree.map(whole, label_sets(labels, where))
    both = _pair_counts(y, y)
    if normalize is None:
        return both
    if mask is None:
        occurs = jnp.broadcast_to(jnp.diagonal(both)[:, None], both.shape)
    else:
        occurs = _pair_counts(y, mask)  # label j, where label k is known
    total = occurs if normalize == "conditional" else occurs + occurs.T - both
    return both.astype(result_dtype()) / total.astype(result_dtype())


def _entanglement(y: Array, imbalance: Array) -> Array:
    """Returns the Atkinson index of the imbalance ratios of each sample's labels, (N,)."""
    number = jnp.sum(y, axis=1, dtype=jnp.int32)
    share = 1 / jnp.maximum(number, 1).astype(imbalance.dtype)
    geometric = jnp.exp(_row_sums(y, jnp.log(imbalance)) * share)
    arithmetic = _row_sums(y, imbalance) * share
    return jnp.where(number > 1, jnp.maximum(1 - geometric / arithmetic, 0), 0)


def _row_sums(y: Array, values: Array) -> Array:
    """Returns the sum of the values (L,) of each sample's labels, (N,)."""
    return jnp.sum(jnp.where(y, values[None, :], 0), axis=1)


def _pair_counts(rows: Array, columns: Array) -> Array:
    """Returns the number of samples with j of `rows` and k of `columns` true, int32 (L, L)."""
    # Floating point is used because integer products take twice the time on a CPU.
    parts = [slice(start, start + _EXACT) for start in range(0, len(rows), _EXACT)]
    products = [
        lax.dot_general(
            rows[part].astype(jnp.float32),
            columns[part].astype(jnp.float32),
            (((0,), (0,)), ((), ())),
        )
        for part in parts
    ]
    return sum((p.astype(jnp.int32) for p in products[1:]), products[0].astype(jnp.int32))
