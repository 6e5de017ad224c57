"""Thresholds with a promise: recall or precision of new rows, on average or with a confidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import (
    ranked,
    ranking_keys,
    running_count,
    scores_of_keys,
    sort_with,
)
from mllosses_jax._core.sets import Scored, sample_weights, scored
from mllosses_jax._core.sharding import whole
from mllosses_jax.decisions._cuts import SCOPES
from mllosses_jax.decisions._risk_limits import confident_limit, expected_limit, wide, within

_UNIT = 2**30  # steps of a share are counted in whole units, so that their sums are exact


@compiled(level=(0, 1), confidence=(0, 1))
def threshold_for_recall(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    level: ArrayLike = 0.9,
    confidence: ArrayLike | None = None,
    scope: Literal["global", "label"] = "global",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """The highest threshold that promises a recall of at least `level` for new rows.

    Formula:
        t* = max {t : (n·R(t) + 1) / (n + 1) ≤ 1 − level}, R(t) = 1/n·Σ_i #{j∈P_i : s_ij < t}/|P_i|,
        over every possible cut-off; with a confidence the condition is p(t) ≤ 1 − confidence, with
        the p-value of Hoeffding and Bentkus for a risk above 1 − level

    The promise needs rows on which the model was not trained, and new rows that come from where
    these come from: all rows exchangeable or, with a confidence, drawn independently from one
    distribution. The mean over new rows of the share of positives found is then at least `level`:
    without a confidence on average over draws of these rows, with one in at least that share of
    the draws. A row without a positive loses nothing; to promise the recall of rows that have one,
    mask the others by `where=labels.any(axis=1, keepdims=True)`.

    Args:
        scores: float array (N, L), on any monotone scale, such as logits. With scope="global", the
            labels must share one scale.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        level: the recall to promise, in [0, 1]; a scalar or, with scope="label", (L,).
        confidence: None promises the level on average; a number such as 0.9 promises it in that
            share of the draws of these rows, which needs more rows.
        scope: "global" finds one threshold and promises the recall of rows, as in the formula.
            "label" finds one for each label, from its n positives alone: a new positive of this
            label is found with a probability of at least `level`. A confidence is then that of each
            label on its own; for all at once give 1 − (1 − confidence)/L (Bonferroni).
        weights: (N,), how many rows each row stands for, while a new row has the weight 1; only
            without a confidence. If new rows come from elsewhere, these are likelihood ratios,
            divided by the largest one that a row can have.
        where: bool, (N, L) with axes equal or 1: which entries count. A row without any is no row.

    Returns:
        Thresholds for `apply_thresholds`, () or, with scope="label", (L,); float32 or the wider
        dtype of the scores; a score of a positive. -∞, which predicts all labels, if there are
        too few rows (positives) for a promise, fewer than `rows_for_guarantee`; +∞ if no positive
        needs to be found. A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, level or confidence is not in [0, 1], the scope is unknown,
            or weights come with a confidence.

    Reference:
        A. N. Angelopoulos, S. Bates, A. Fisch, L. Lei and T. Schuster, "Conformal Risk Control",
        ICLR 2024, arXiv:2208.02814; with a confidence S. Bates et al., "Distribution-Free,
        Risk-Controlling Prediction Sets", Journal of the ACM 2021, arXiv:2101.02703. With weights
        R. J. Tibshirani et al., "Conformal Prediction Under Covariate Shift", NeurIPS 2019,
        arXiv:1904.06019.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[9.0], [8.0], [7.0], [6.0], [5.0], [4.0], [3.0], [2.0], [1.0]])
        >>> print(decisions.threshold_for_recall(scores, scores > 0, level=0.75))  # 2/10 ≤ 0.25
        2.0
    """
    checks.one_of("scope", scope, SCOPES)
    if confidence is not None and weights is not None:
        raise ValueError("weights must be None with a confidence, which needs equal weights")
    inputs = scored(scores, labels, where)
    positive, of_labels = inputs.actual, scope == "label"
    count, size = positive.shape
    row_weights = sample_weights(weights, count)
    keys = _keys(inputs)

    def weighted_sum(of_rows: Array) -> Array:
        values = wide(of_rows)
        if row_weights is not None:
            values = values * jnp.reshape(wide(row_weights), (count,) + (1,) * (values.ndim - 1))
        return jnp.sum(values, axis=0)

    def lost(cut: Array) -> Array:
        missed = positive & (keys > (cut[None] if of_labels else cut))
        if of_labels:
            return missed
        num_missed, num_positives = (
            jnp.sum(entries, axis=1, dtype=jnp.int32).astype(inputs.scores.dtype)
            for entries in (missed, positive)
        )
        return num_missed / jnp.maximum(num_positives, 1)

    dtype = inputs.scores.dtype
    if of_labels:
        target = checks.per_label("level", level, size, dtype)
    else:
        target = checks.scalar("level", level, dtype)
    given = None if confidence is None else checks.scalar("confidence", confidence, dtype)
    with jax.enable_x64(True):
        n = weighted_sum(positive if of_labels else jnp.any(inputs.counted(), axis=1))
        if given is None:
            limit = expected_limit(n, wide(target))
        else:
            limit = confident_limit(n, wide(target), wide(given), binary=of_labels)
        cut = _lowest_key(lambda cut: within(weighted_sum(lost(cut)), limit, n), keys, like=limit)
    return scores_of_keys(cut, dtype)


@compiled(level=(0, 1), confidence=(0, 1))
def threshold_for_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    level: ArrayLike = 0.9,
    confidence: ArrayLike = 0.9,
    where: ArrayLike | None = None,
) -> Array:
    """The lowest threshold that promises a precision of at least `level`, with a confidence.

    Formula:
        t* = min {t : p(u) ≤ 1 − confidence for all u ≥ t}, over every possible cut-off, with the
        p-value of Hoeffding and Bentkus for a risk above 1 − level, and
        R(t) = 1/n·Σ_i #{j∉P_i : s_ij ≥ t}/max(#{j : s_ij ≥ t}, 1)

    Precision does not grow steadily with the threshold, so it takes a test of each (learn then
    test). They are tested from +∞ downward until one fails: this order does not depend on the data,
    so no test needs a correction. The promise needs rows on which the model was not trained, and
    new rows drawn independently from the same distribution. In a share `confidence` of the draws
    of these rows, the mean over new rows of the share of predictions that are right is at least
    `level`. A row without a prediction loses nothing.

    Args:
        scores: float array (N, L), on any monotone scale that the labels share, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        level: the precision to promise, in [0, 1].
        confidence: the probability with which the promise is to hold, in [0, 1].
        where: bool, (N, L) with axes equal or 1: which entries count. A row without any is no row.

    Returns:
        The threshold for `apply_thresholds`, (); float32 or the wider dtype of the scores; one of
        the scores. +∞, which predicts nothing, if no cut-off passes, as with fewer rows than
        `rows_for_guarantee`; NaN, which predicts nothing either, if some scores are +∞, because
        these reach a threshold of +∞. A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, or level or confidence is not in [0, 1].

    Reference:
        A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan and L. Lei, "Learn then Test:
        Calibrating Predictive Algorithms to Achieve Risk Control", 2021, arXiv:2110.01052.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.arange(40.0)[:, None]
        >>> print(decisions.threshold_for_precision(scores, scores >= 10, level=0.8))
        7.0
    """
    inputs = scored(scores, labels, where)
    dtype = inputs.scores.dtype
    target = checks.scalar("level", level, dtype)
    given = checks.scalar("confidence", confidence, dtype)
    keys, steps = _steps_of_wrong_shares(inputs)
    last = jnp.ones_like(keys[:1], dtype=bool)
    is_cut = jnp.concatenate([keys[1:] != keys[:-1], last]) & (keys != jnp.iinfo(keys.dtype).max)
    place = lax.iota(jnp.int32, keys.size)
    with jax.enable_x64(True):
        n = jnp.sum(wide(jnp.any(inputs.counted(), axis=1)))
        limit = confident_limit(n, wide(target), wide(given), binary=False)
        totals = lax.cumsum(lax.convert_element_type(steps, jnp.int64))
        fails = is_cut & ~within(wide(totals) / _UNIT, limit, n)
    first = jnp.min(jnp.where(fails, place, keys.size))
    passed = is_cut & (place < first)
    highest = ranking_keys(jnp.asarray(jnp.inf, dtype))
    lowest = scores_of_keys(jnp.max(jnp.where(passed, keys, highest)), dtype)
    return jnp.where((keys[0] == highest) & ~jnp.any(passed), jnp.nan, lowest)


def rows_for_guarantee(level: float, *, confidence: float | None = None) -> int:
    """The least number of rows for which a recall or a precision can be promised.

    Formula:
        n = ⌈level / (1 − level)⌉, the least n with 1/(n + 1) ≤ 1 − level; with a confidence
        n = ⌈log(1 − confidence) / log(level)⌉, the least n with level^n ≤ 1 − confidence

    Rows must lose nothing for such a promise; with ten times as many, the threshold is a useful
    one. For `threshold_for_recall` with scope="label", the rows are the positives of a label.

    Args:
        level: the recall or precision to promise, between 0 and 1.
        confidence: the confidence with which it is promised, between 0 and 1; None is on average.

    Returns:
        A number of rows, at least 1.

    Raises:
        ValueError: if level or confidence is not between 0 and 1.

    Example:
        >>> from mllosses_jax import decisions
        >>> decisions.rows_for_guarantee(0.9), decisions.rows_for_guarantee(0.9, confidence=0.95)
        (9, 29)
    """
    for name, value in (("level", level), ("confidence", confidence)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name} must be between 0 and 1, got {value}")
    if confidence is None:
        rows = level / (1 - level)
    else:
        rows = math.log1p(-confidence) / math.log(level)
    return math.ceil(rows * (1 - 1e-9))  # 9 rows are enough for 0.9, whatever it is rounded to


def _keys(inputs: Scored) -> Array:
    """Returns ranking keys; those of NaN scores and of entries that do not count come last."""
    return ranking_keys(inputs.scores, inputs.counted() & ~jnp.isnan(inputs.scores))


def _lowest_key(holds: Callable[[Array], Array], keys: Array, *, like: Array) -> Array:
    """Returns the lowest key from which on a condition holds, which is that of the highest score.

    Halving the range of all keys takes as many looks at the scores as a key has bits. It needs no
    sort, and leaves rows that are split over devices where they are.

    Args:
        holds: a condition on cuts of the shape of `like`; if it never holds, the key of -∞ returns.
        keys: the keys of scores.
        like: an array.
    """
    dtype = jnp.float32 if keys.dtype == jnp.int32 else jnp.float64

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # does not overflow
        found = holds(middle)
        return jnp.where(found, low, middle + 1), jnp.where(found, middle, high)

    low, high = (
        jnp.full_like(like, ranking_keys(jnp.asarray(end, dtype)), dtype=keys.dtype)
        for end in (jnp.inf, -jnp.inf)
    )
    lowest: Array = lax.fori_loop(0, keys.dtype.itemsize * 8, halve, (low, high))[1]
    return lowest


def _steps_of_wrong_shares(inputs: Scored) -> tuple[Array, Array]:
    """Returns all entries, ranked, and by how many units each changes its row's share of errors.

    Returns:
        The keys in ascending order, and int32 steps, both (N·L,). The steps of a row up to a cut
        add up to its share, exactly in units of 2⁻³⁰.
    """
    ranking = ranked(_keys(inputs), inputs.actual)
    wrong = running_count(ranking.positive == 0)
    dtype = inputs.scores.dtype
    share = (wrong.astype(dtype) / ranking.rank.astype(dtype) * _UNIT).astype(jnp.int32)
    counts = ranking.keys != jnp.iinfo(ranking.keys.dtype).max
    before = jnp.concatenate([jnp.zeros_like(share[:, :1]), share[:, :-1]], axis=1)
    steps = jnp.where(counts, share - before, 0)
    keys, payload = sort_with(
        whole(ranking.keys).reshape(-1),
        lax.bitcast_convert_type(whole(steps).reshape(-1), jnp.uint32),
    )
    return keys, lax.bitcast_convert_type(payload, jnp.int32)
