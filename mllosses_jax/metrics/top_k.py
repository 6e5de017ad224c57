"""Metrics of the k top-ranked labels of each sample, in O(L) per sample for small k."""

from __future__ import annotations

from typing import Literal, get_args

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import result_dtype
from mllosses_jax.metrics._averaging import mean_over_rows
from mllosses_jax.metrics._tally import Tally, average_ratio, disjoint, tally_of
from mllosses_jax.metrics._top_k import TopK, discounted, ideal, tie_averaged_hits, top_k_of

AverageAtK = Literal["samples", "macro", "micro"] | None
Ties = Literal["average", "first"]


@compiled()
def precision_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    average: AverageAtK = "samples",
    zero_division: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Precision at k: the fraction of the k top-ranked labels that are true.

    Formula:
        mean over samples of |top_k(s) ∩ Y| / k, or over labels of TP / (TP + FP) of the sets
        top_k(s); ties go to the lowest index

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        average: "samples", the mean over rows, whose denominator is always k, however few labels
            are true or count; "macro", the mean over labels; "micro", all entries as one; None,
            per label. The last three are `precision` of the sets top_k(s).
        zero_division: the value of a label that is never in the top k; nan leaves it out of the
            mean. With "samples", nothing is undefined.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k. A label without any is NaN, and is left out of the mean, as is such a row.

    Returns:
        The precision in [0, 1], (), or (L,) with average=None, in float32 or the wider dtype of
        the scores; NaN where a score that counts is NaN, and where nothing is defined. Its
        gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or average is unknown.

    Reference:
        The definition of the Extreme Classification Repository, http://manikvarma.org; macro: E.
        Schultheis, W. Kotłowski, M. Wydmuch, R. Babbar, S. Borman and K. Dembczyński, "Consistent
        Algorithms for Multi-Label Classification with Macro-at-k Metrics", 2024, arXiv:2401.16594.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 1]])
        >>> metrics.precision_at_k(scores, labels, 2)
        Array(0.75, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    tally = _tally_at_k(top, average)
    return _averaged(top, tally, tally.tp, tally.predicted, average, zero_division)


@compiled()
def recall_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    average: AverageAtK = "samples",
    zero_division: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """Recall at k: the fraction of the true labels that are among the k top-ranked.

    Formula:
        mean over samples of |top_k(s) ∩ Y| / |Y|, or over labels of TP / (TP + FN) of the sets
        top_k(s); ties go to the lowest index

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        average: "samples", the mean over rows; "macro", the mean over labels; "micro", all
            entries as one; None, per label.
        zero_division: the value of a row without true labels, or of a label that is never true;
            nan leaves it out of the mean.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k. A label without any is NaN, and is left out of the mean, as is such a row.

    Returns:
        The recall in [0, 1], (), or (L,) with average=None, in float32 or the wider dtype of the
        scores; NaN where a score that counts is NaN, and where nothing is defined. Its gradient
        is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or average is unknown.

    Reference:
        LibMultiLabel and napkinXC count rows without labels as 0, and pyxclib's `recall_at_k`
        leaves them out (nan); macro: arXiv:2401.16594, see `precision_at_k`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 1]])
        >>> metrics.recall_at_k(scores, labels, 1)
        Array(0.75, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    tally = _tally_at_k(top, average)
    return _averaged(top, tally, tally.tp, tally.actual, average, zero_division)


@compiled()
def f1_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    average: AverageAtK = "samples",
    zero_division: ArrayLike = 0.0,
    where: ArrayLike | None = None,
) -> Array:
    """F1 at k: the harmonic mean of precision and recall of the k top-ranked labels.

    Formula:
        mean over samples of 2·|top_k(s) ∩ Y| / (k + |Y|), or over labels of
        2·TP / (2·TP + FP + FN) of the sets top_k(s); ties go to the lowest index

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        average: "samples", the mean over rows, where k is that of the formula, however few labels
            count; "macro", the mean over labels; "micro", all entries as one; None, per label.
        zero_division: the value of a label that is never in the top k and never true; nan leaves
            it out of the mean. With "samples", a row without true labels counts as 0.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k. A label without any is NaN, and is left out of the mean, as is such a row.

    Returns:
        F1 in [0, 1], (), or (L,) with average=None, in float32 or the wider dtype of the scores;
        NaN where a score that counts is NaN, and where nothing is defined. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or average is unknown.

    Reference:
        `sklearn.metrics.f1_score(labels, top_k, average=...)` of the sets of k; macro:
        arXiv:2401.16594, see `precision_at_k`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 1]])
        >>> print(f"{metrics.f1_at_k(scores, labels, 1):.4f}")
        0.8333
    """
    top = top_k_of(scores, labels, k, where)
    tally = _tally_at_k(top, average)
    predicted, actual = (c.astype(result_dtype()) for c in (tally.predicted, tally.actual))
    # Floats are used because the sum of two counts may not fit an int32.
    return _averaged(top, tally, tally.tp, (predicted + actual) / 2, average, zero_division)


@compiled()
def r_precision_at_k(
    scores: ArrayLike, labels: ArrayLike, k: int, *, where: ArrayLike | None = None
) -> Array:
    """R-precision at k: precision at k over the best that the number of true labels allows.

    Formula:
        mean over samples of |top_k(s) ∩ Y| / min(k, |Y|); ties go to the lowest index,
        and a sample without labels counts as 0

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k, and a sample without any is left out of the mean.

    Returns:
        The precision in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score
        that counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, or k is not in 1 to L.

    Reference:
        I. Chalkidis, M. Fergadiotis, P. Malakasiotis and I. Androutsopoulos, "Large-Scale
        Multi-Label Text Classification on EU Legislation", 2019, arXiv:1906.02192; LibMultiLabel's
        `RP@k`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.r_precision_at_k(scores, labels, 2)
        Array(0.75, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    dtype = top.inputs.scores.dtype
    possible = jnp.clip(top.inputs.num_positives(), 1, k).astype(dtype)
    return mean_over_rows(top.count_hits().astype(dtype) / possible, top.inputs)


@compiled()
def ndcg_at_k(
    scores: ArrayLike,
    labels: ArrayLike,
    k: int,
    *,
    ties: Ties = "average",
    where: ArrayLike | None = None,
) -> Array:
    """Normalised discounted cumulative gain (nDCG) at k, with gains of 0 and 1.

    Formula:
        mean over samples of Σ_{r≤k} [label at rank r ∈ Y] / log₂(r + 1), over the same sum of
        ones up to r = min(k, |Y|); a sample without labels counts as 0

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        ties: "average", the mean over all orders of tied scores, including ties across rank k;
            "first", the lowest index wins a tie, as in the other metrics at k.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k, and a sample without any is left out of the mean.

    Returns:
        nDCG in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, k is not in 1 to L, or ties is unknown.

    Reference:
        K. Järvelin and J. Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", 2002;
        "average" is `sklearn.metrics.ndcg_score(labels, scores, k=k)`, after F. McSherry and M.
        Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence
        of Tied Scores", 2008. Without ties, pyxclib, napkinXC and LibMultiLabel agree.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 0, 1]])
        >>> print(f"{metrics.ndcg_at_k(scores, labels, 2):.4f}")
        0.8155
    """
    checks.one_of("ties", ties, ("average", "first"))
    top = top_k_of(scores, labels, k, where)
    gains = (
        tie_averaged_hits(top) if ties == "average" else top.hits.astype(top.inputs.scores.dtype)
    )
    return mean_over_rows(discounted(gains) / ideal(top), top.inputs)


@compiled()
def hit_at_k(
    scores: ArrayLike, labels: ArrayLike, k: int, *, where: ArrayLike | None = None
) -> Array:
    """Hit rate at k: the fraction of samples with a true label among the k top-ranked.

    Formula:
        mean over samples of [top_k(s) ∩ Y ≠ ∅]; ties go to the lowest index, and a sample
        without labels counts as 0

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        k: number of labels taken, 1 to L.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k, and a sample without any is left out of the mean.

    Returns:
        The rate in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where nothing counts. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, or k is not in 1 to L.

    Reference:
        pyxclib's `hits`, and torchmetrics' `retrieval_hit_rate` of each row. Abandonment is one
        minus it, although napkinXC's `AbandonmentAtK` is the hit rate itself.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [1, 0, 0]])
        >>> metrics.hit_at_k(scores, labels, 2)
        Array(0.5, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    return mean_over_rows(jnp.any(top.hits, axis=1), top.inputs)


@compiled()
def label_coverage_at_k(
    scores: ArrayLike, labels: ArrayLike, k: int, *, where: ArrayLike | None = None
) -> Array:
    """Label coverage at k: the fraction of the labels in use that are ever predicted correctly.

    Formula:
        |∪ᵢ (top_k(sᵢ) ∩ Yᵢ)| / |∪ᵢ Yᵢ|; ties go to the lowest index

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. Labels that are not true
            for any sample do not count.
        k: number of labels taken, 1 to L.
        where: bool, (N, L) with axes equal or 1: which entries count; the others are never in
            the top k.

    Returns:
        The coverage in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score
        that counts is NaN, and where no label is true. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, k is not an integer, or where is not bool.
        ValueError: if shapes differ, or k is not in 1 to L.

    Reference:
        napkinXC's `coverage_at_k`. E. Schultheis, M. Wydmuch, W. Kotłowski, R. Babbar and K.
        Dembczyński, "Generalized Test Utilities for Long-Tail Performance in Extreme Multi-Label
        Classification", 2023, arXiv:2311.05081, and xCOLUMNs divide by all L labels instead.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.8, 0.3, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [1, 1, 0]])
        >>> metrics.label_coverage_at_k(scores, labels, 1)
        Array(0.5, dtype=float32)
    """
    top = top_k_of(scores, labels, k, where)
    predicted, actual, _ = top.sets()
    dtype = top.inputs.scores.dtype
    covered, used = (
        jnp.sum(jnp.any(true, axis=0), dtype=jnp.int32).astype(dtype)
        for true in (predicted & actual, actual)
    )
    return jnp.where(top.broken(), jnp.nan, covered / used)


def _tally_at_k(top: TopK, average: AverageAtK) -> Tally:
    """Returns the counts from which an average over the top-k sets is computed."""
    checks.one_of("average", average, (*get_args(get_args(AverageAtK)[0]), None))
    if average != "samples":
        return tally_of(top.sets(), average, None)
    taken = jnp.full(top.hits.shape[:1], top.hits.shape[1], jnp.int32)
    entries = top.inputs.num_entries()
    cells = disjoint(top.count_hits(), taken, top.inputs.num_positives(), entries)
    return Tally(*cells, exists=entries > 0, weights=None)


def _averaged(
    top: TopK,
    tally: Tally,
    numerator: Array,
    denominator: Array,
    average: AverageAtK,
    zero_division: ArrayLike,
) -> Array:
    values = average_ratio(numerator, denominator, tally, average, zero_division)
    values = values.astype(top.inputs.scores.dtype)
    broken = top.labels_of_broken_rows() if average is None else top.broken()
    return jnp.where(broken, jnp.nan, values)
