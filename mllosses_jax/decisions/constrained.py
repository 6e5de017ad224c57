"""Thresholds under a floor: on F, below which a label is given up, or on precision."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import scores_of_keys
from mllosses_jax._core.sets import scored
from mllosses_jax.decisions._cuts import cuts_of, f_beta, in_scope, scoped

_INF = float("inf")


@compiled(fbr=(0, 1), beta=(0, _INF))
def tune_thresholds_fbr(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    fbr: ArrayLike,
    rule: Literal["0", "1"] = "1",
    beta: ArrayLike = 1.0,
    where: ArrayLike | None = None,
) -> Array:
    """SCutFBR: the thresholds of the best F-beta per label, unless that F-beta is below `fbr`.

    Formula:
        t = argmax_t F_β([s ≥ t], y) as in `tune_thresholds`, if its F_β ≥ fbr; else +∞ by rule
        "0", or the highest score of the label by rule "1"

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        fbr: the least F-beta in [0, 1] that is trusted; 0 trusts every F-beta. Fan and Lin choose
            it by cross-validation, from 0 to 0.8.
        rule: "0" never predicts a label below `fbr`, which raises precision and leaves its F at 0;
            "1" predicts it only from its highest score on, which is better for macro F.
        beta: β ≥ 0 of F-beta.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Thresholds (L,), float32 or the wider dtype of the scores, never NaN. A label without
        positives has an F-beta of 0, so the rule sets its threshold for every fbr > 0. A label
        without any score that counts gets +∞. A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, fbr is not in [0, 1], or the rule is unknown.

    Reference:
        Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001;
        R.-E. Fan and C.-J. Lin, "A Study on Threshold Selection for Multi-label Classification",
        National Taiwan University, 2007.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.75, 0.5], [0.5, 0.25], [0.25, 0.75]])
        >>> labels = jnp.array([[1, 0], [1, 1], [0, 0]])
        >>> print(decisions.tune_thresholds_fbr(scores, labels, fbr=0.6))
        [0.375 0.75 ]
    """
    checks.one_of("rule", rule, ("0", "1"))
    columns = scored(scores, labels, where).transposed()
    dtype = columns.scores.dtype
    cuts = cuts_of(columns)
    # A label without positives has F 0, even for an infinite beta, for which it would be 0/0.
    none = columns.num_positives()[:, None] == 0
    place, best = cuts.highest_best(jnp.where(none, 0, f_beta(cuts, columns, beta)))
    highest = jnp.where(rule == "1", scores_of_keys(cuts.ranking.keys[:, 0], dtype), jnp.inf)
    threshold = jnp.where(
        best < checks.scalar("fbr", fbr, dtype), highest, cuts.threshold_at(place)
    )
    return jnp.where(best > -jnp.inf, threshold, jnp.inf)


@compiled(precision=(0, 1))
def tune_thresholds_for_precision(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    precision: ArrayLike,
    scope: Literal["label", "global"] = "label",
    where: ArrayLike | None = None,
) -> Array:
    """The thresholds of the highest recall among those with at least the given precision.

    Formula:
        t* = argmax_t R(t) subject to P(t) ≥ precision, over every possible cut-off; placed
        halfway as in `tune_thresholds`, and ties go to the highest

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        precision: the least precision in [0, 1], a scalar or, with scope="label", (L,).
        scope: "label" constrains the precision of each label, "global" that over all entries.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Thresholds for `apply_thresholds`, (L,) or, with scope="global", (); float32 or the wider
        dtype of the scores. A threshold is +∞, which predicts nothing, where no cut that finds a
        positive is as precise. A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, precision is not in [0, 1], or the scope is unknown.

    Reference:
        The best point of `sklearn.metrics.precision_recall_curve`, as in
        `torchmetrics.classification.MultilabelRecallAtFixedPrecision`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.9], [0.7], [0.5], [0.25], [0.125]])
        >>> labels = jnp.array([[1], [0], [1], [1], [0]])
        >>> print(decisions.tune_thresholds_for_precision(scores, labels, precision=0.75))
        [0.1875]
    """
    rows = scoped(scored(scores, labels, where), scope)
    dtype = rows.scores.dtype
    if scope == "label":
        least = checks.per_label("precision", precision, rows.scores.shape[0], dtype)
    else:
        least = checks.scalar("precision", precision, dtype)
    cuts = cuts_of(rows)
    reached = cuts.tp.astype(dtype) / cuts.predicted.astype(dtype)
    precise = (reached >= jnp.reshape(least, (-1, 1))) & (cuts.tp > 0)
    place, most = cuts.highest_best(jnp.where(precise, cuts.tp.astype(dtype), 0))
    return in_scope(jnp.where(most > 0, cuts.threshold_at(place), jnp.inf), scope)
