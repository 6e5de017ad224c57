"""Thresholds: how they turn scores into label sets, and how to tune them on validation data."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.ordering import ranking_keys
from mllosses_jax._core.probabilities import ScoreKind, check_inputs
from mllosses_jax._core.sets import Scored, fbeta_denominator, scored
from mllosses_jax.decisions._cuts import SCOPES, Cuts, cuts_of, f_beta

_INF = float("inf")


@compiled()
def apply_thresholds(scores: ArrayLike, thresholds: ArrayLike) -> Array:
    """Label sets: every label whose score reaches its threshold.

    Formula:
        ŷ = [s ≥ t]

    Args:
        scores: float array (..., L).
        thresholds: scalar or (L,), on the scale of the scores.

    Returns:
        bool (..., L); a NaN score is in no set. A score of +∞ reaches every threshold, even +∞.

    Raises:
        TypeError: if scores are not floating point.
        ValueError: if thresholds are neither a scalar nor (L,).

    Reference:
        The rule of `sklearn.metrics.precision_recall_curve`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> decisions.apply_thresholds(jnp.array([[0.7, 0.2]]), jnp.array([0.7, 0.3]))
        Array([[ True, False]], dtype=bool)
    """
    s = checks.float_array("scores", scores)
    s = s.astype(compute_dtype(s))
    t = checks.per_label("thresholds", thresholds, s.shape[-1], s.dtype)
    return s >= jnp.broadcast_to(t, s.shape)


@compiled(false_positive_cost=(0, _INF), false_negative_cost=(0, _INF))
def cost_threshold(
    false_positive_cost: ArrayLike,
    false_negative_cost: ArrayLike,
    *,
    inputs: ScoreKind,
) -> Array:
    """The threshold of the least expected cost for calibrated scores.

    Formula:
        t = c_fp / (c_fp + c_fn) for probabilities, log c_fp − log c_fn for logits

    Args:
        false_positive_cost: c_fp ≥ 0, what predicting an absent label costs; scalar or (L,).
        false_negative_cost: c_fn ≥ 0, what missing a label costs; scalar or (L,).
        inputs: what the scores to be thresholded are, "logits" or "probabilities".

    Returns:
        Thresholds for `apply_thresholds`, () or (L,), float32 or the wider dtype of the costs.
        NaN, which predicts nothing, where both costs are 0 or both infinite.

    Raises:
        ValueError: if a cost is negative, or inputs is unknown.

    Reference:
        C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001.

    Example:
        >>> from mllosses_jax import decisions
        >>> print(decisions.cost_threshold(1, 3, inputs="probabilities"))
        0.25
    """
    check_inputs(inputs)
    wrong = checks.array("false_positive_cost", false_positive_cost)
    missed = checks.array("false_negative_cost", false_negative_cost)
    shape = jnp.broadcast_shapes(wrong.shape, missed.shape)
    if len(shape) > 1:
        raise ValueError(f"costs must be scalars or (L,), got {wrong.shape} and {missed.shape}")
    both = jnp.result_type(wrong, missed, jnp.float32)
    wrong, missed = (jnp.broadcast_to(cost.astype(both), shape) for cost in (wrong, missed))
    if inputs == "logits":
        return jnp.log(wrong) - jnp.log(missed)
    return 1 / (1 + missed / wrong)  # this form is right for infinite costs too


@compiled(beta=(0, _INF), min_positives=(1, _INF), shrinkage=(0, _INF))
def tune_thresholds(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    objective: Literal["f1", "fbeta"] = "f1",
    beta: ArrayLike = 1.0,
    scope: Literal["label", "global"] = "label",
    min_positives: ArrayLike | None = None,
    shrinkage: ArrayLike = 0.0,
    default: ArrayLike = 0.5,
    where: ArrayLike | None = None,
) -> Array:
    """The thresholds that maximise F-beta on the given data, over every possible cut-off.

    Formula:
        t* = argmax_t F_β([s ≥ t], y), taken halfway between the lowest score above the best cut
        and the next one below it; ties go to the highest cut. With shrinkage m each label is
        counted together with m positives' worth of all labels: of TP(t) true among PP(t)
        predictions and P positives overall, m·TP(t)/P are added to the label's true positives,
        m·PP(t)/P to its predictions and m to its positives

    Args:
        scores: float array (N, L), on any monotone scale, such as logits. With shrinkage, and where
            the global threshold is used, the labels must share one scale.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        objective: "f1", or "fbeta" with `beta`.
        beta: β ≥ 0 of "fbeta".
        scope: "label" finds the best threshold of each label, which maximises macro-averaged
            F-beta; "global" finds one for all labels, which maximises micro-averaged F-beta.
        min_positives: a label with fewer known positives takes the global threshold, because its
            own would be fitted to noise; 1 trusts every label that has a positive. The global
            threshold needs one positive. None is 5, or no minimum with shrinkage.
        shrinkage: m ≥ 0, the number of positives with which the data of all labels are added to
            those of each label: the fewer positives a label has, the nearer its threshold is to
            the global one, and the negatives decide for a label without positives. The thresholds
            compared are the label's own halfway ones and the global one, which an infinite m
            gives. 0 tunes each label on its own.
        default: the threshold if there is no positive at all; 0.5 suits probabilities and 0 suits
            logits.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Thresholds for `apply_thresholds`, (L,) or, with scope="global", (); float32 or the wider
        dtype of the scores, never NaN. A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown, beta is given with "f1", or shrinkage
            with scope="global".

    Reference:
        SCut of Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001,
        with a fallback for labels below a minimum support. Smoothing F for rare labels is the idea
        of Y.-J. Lin and C.-J. Lin, "On the Thresholding Strategy for Infrequent Labels in
        Multi-label Classification", CIKM 2023, who add constants; here the counts added are those
        of all labels.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.9], [0.6], [0.3], [0.1]])
        >>> labels = jnp.array([[1], [1], [0], [0]])
        >>> print(decisions.tune_thresholds(scores, labels, min_positives=1))
        [0.45000002]
    """
    checks.one_of("objective", objective, ("f1", "fbeta"))
    checks.one_of("scope", scope, SCOPES)
    if objective == "f1" and not (isinstance(beta, int | float) and beta == 1):
        raise ValueError(f'beta must be 1 with objective="f1", got {beta}; use objective="fbeta"')
    shrunk = not (isinstance(shrinkage, int) and shrinkage == 0)
    if shrunk and scope == "global":
        raise ValueError('shrinkage pulls towards the global threshold, so it needs scope="label"')
    inputs = scored(scores, labels, where)
    dtype = inputs.scores.dtype
    fallback = checks.scalar("default", default, dtype)

    def overall() -> Array:
        flat = inputs.flattened()
        return jnp.where(jnp.any(flat.actual), _best_cuts(flat, beta, fallback), fallback)[0]

    if scope == "global":
        return overall()
    columns = inputs.transposed()
    if min_positives is None:
        min_positives = 0 if shrunk else 5
    fewest = checks.scalar("min_positives", min_positives, dtype)
    rare = columns.num_positives().astype(dtype) < fewest
    # All entries are sorted as one only if a label needs it. (The second branch mentions the data
    # because inside `shard_map` both branches must vary over the same mesh axes.)
    common = lax.cond(jnp.any(rare), overall, lambda: jnp.where(jnp.any(rare), fallback, fallback))
    if shrunk:
        own = _shrunk_cuts(inputs, beta, checks.scalar("shrinkage", shrinkage, dtype), fallback)
    else:
        own = _best_cuts(columns, beta, fallback)
    return jnp.where(rare, common, own)


def _best_cuts(rows: Scored, beta: ArrayLike, fallback: Array) -> Array:
    """Returns the threshold of each row (R, n) that maximises its F-beta, (R,)."""
    cuts = cuts_of(rows)
    place, best = cuts.highest_best(f_beta(cuts, rows, beta))
    return jnp.where(best > -jnp.inf, cuts.threshold_at(place), fallback)


def _shrunk_cuts(inputs: Scored, beta: ArrayLike, pseudo: Array, fallback: Array) -> Array:
    """Returns the thresholds that maximise F-beta of each label's own plus pooled counts, (L,)."""
    columns, flat = inputs.transposed(), inputs.flattened()
    cuts, pooled = cuts_of(columns), cuts_of(flat)
    dtype = inputs.scores.dtype
    num_positives = flat.num_positives()[0].astype(dtype)
    own_num_positives = columns.num_positives().astype(dtype)[:, None]
    pooled_weight, own_weight = 1 / (1 + 1 / pseudo), 1 / (1 + pseudo)  # finite for infinite m
    share = pooled_weight / jnp.maximum(num_positives, 1)

    def smoothed_f(tp: Array, predicted: Array, thresholds: Array) -> Array:
        pooled_tp, pooled_predicted = _counts_above(pooled, thresholds)
        true = own_weight * tp.astype(dtype) + share * pooled_tp
        claimed = own_weight * predicted.astype(dtype) + share * pooled_predicted
        actual = own_weight * own_num_positives + pooled_weight
        return true / fbeta_denominator(beta, actual, claimed, dtype)

    thresholds = cuts.thresholds()
    place, best = cuts.highest_best(smoothed_f(cuts.tp, cuts.predicted, thresholds))
    own = jnp.take_along_axis(thresholds, place[:, None], axis=1)[:, 0]
    # A label whose scores are all low has no cut of its own near the global one.
    common = pooled.threshold_at(pooled.highest_best(f_beta(pooled, flat, beta))[0])[:, None]
    above = (columns.scores >= common) & columns.counted()
    tp, predicted = (
        jnp.sum(kind, axis=1, keepdims=True, dtype=jnp.int32)
        for kind in (above & columns.actual, above)
    )
    by_common = smoothed_f(tp, predicted, common)[:, 0]
    tuned = jnp.where(by_common >= best, common[0], own)
    # If all positives have NaN scores, there is no cut either.
    return jnp.where((num_positives > 0) & jnp.any(pooled.exists), tuned, fallback)


def _counts_above(pooled: Cuts, thresholds: Array) -> tuple[Array, Array]:
    """Returns the numbers of true pooled entries, and of all, that reach each threshold."""
    keys = ranking_keys(thresholds)
    # Entries that do not count have the largest key, which no threshold of a cut has.
    reached = jnp.searchsorted(pooled.ranking.keys[0], keys, side="right")
    tp = jnp.where(reached > 0, pooled.tp[0, jnp.maximum(reached - 1, 0)], 0)
    return tp.astype(thresholds.dtype), reached.astype(thresholds.dtype)
