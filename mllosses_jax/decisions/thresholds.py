"""Thresholds: scores to label sets, and the thresholds that make the best of validation data."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.ordering import ranked, ranking_keys, scores_of_keys
from mllosses_jax._core.sets import Scored, fbeta_shares, scored

Array = jax.Array
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
        bool (..., L); a NaN score is in no set.

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


@compiled(beta=(0, _INF), min_positives=(1, _INF))
def tune_thresholds(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    objective: Literal["f1", "fbeta"] = "f1",
    beta: ArrayLike = 1.0,
    scope: Literal["label", "global"] = "label",
    min_positives: ArrayLike = 5,
    default: ArrayLike = 0.5,
    where: ArrayLike | None = None,
) -> Array:
    """The thresholds that maximise F-beta on the given data, over every possible cut-off.

    Formula:
        t* = argmax_t F_β([s ≥ t], y), taken halfway between the lowest score above the best cut
        and the next one below it; of equally good cuts the highest

    Args:
        scores: float array (N, L), of any monotone scale: logits do.
        labels: bool, integer or float array (N, L); positive where > 0.
        objective: "f1", or "fbeta" with `beta`.
        beta: β ≥ 0 of "fbeta".
        scope: "label" finds the best threshold of each label, which maximises macro-averaged
            F-beta; "global" finds one for all labels, which maximises micro-averaged F-beta.
        min_positives: a label with fewer known positives takes the global threshold, because its
            own would be fitted to noise; 1 trusts every label that has a positive. The global
            threshold needs one positive.
        default: the threshold where there is no positive at all; 0.5 suits probabilities, 0
            logits.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Thresholds for `apply_thresholds`, (L,) or, with scope="global", (); float32 or the wider
        dtype of the scores, never NaN. A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, an option is unknown, or beta is given with "f1".

    Reference:
        SCut of Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001,
        with a minimum support as fall-back.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.9], [0.6], [0.3], [0.1]])
        >>> labels = jnp.array([[1], [1], [0], [0]])
        >>> print(decisions.tune_thresholds(scores, labels, min_positives=1))
        [0.45000002]
    """
    checks.one_of("objective", objective, ("f1", "fbeta"))
    checks.one_of("scope", scope, ("label", "global"))
    if objective == "f1" and not (isinstance(beta, int | float) and beta == 1):
        raise ValueError(f'beta must be 1 with objective="f1", got {beta}; use objective="fbeta"')
    inputs = scored(scores, labels, where)
    dtype = inputs.scores.dtype
    needed = checks.scalar("min_positives", min_positives, dtype)
    fallback = checks.scalar("default", default, dtype)

    def overall() -> Array:
        flat = inputs.flattened()
        enough = _positives(flat) > 0
        return jnp.where(enough, _best_cuts(flat, beta, fallback), fallback)[0]

    if scope == "global":
        return overall()
    columns = inputs.transposed()
    rare = _positives(columns) < needed
    # The sort of all entries as one is only paid for where a label needs it. (The second branch
    # mentions the data because inside `shard_map` both must vary over the same mesh axes.)
    common = lax.cond(jnp.any(rare), overall, lambda: jnp.where(rare[0], fallback, fallback))
    return jnp.where(rare, common, _best_cuts(columns, beta, fallback))


def _positives(rows: Scored) -> Array:
    return jnp.sum(rows.actual, axis=1, dtype=jnp.int32).astype(rows.scores.dtype)


def _best_cuts(rows: Scored, beta: ArrayLike, fallback: Array) -> Array:
    """Returns the threshold of each row (R, n) that maximises its F-beta, (R,)."""
    dtype = rows.scores.dtype
    candidate = ~jnp.isnan(rows.scores)
    candidate = candidate if rows.where is None else candidate & rows.where
    ranking = ranked(ranking_keys(rows.scores, candidate), rows.actual & candidate)
    count, _ = ranking.running_count(ranking.positive)
    on_positives, on_predictions = fbeta_shares(beta, dtype)
    denominator = on_positives * _positives(rows)[:, None] + on_predictions * ranking.rank.astype(
        dtype
    )
    is_cut = ranking.group_end & (ranking.keys != jnp.iinfo(ranking.keys.dtype).max)
    f_beta = jnp.where(is_cut, count.astype(dtype) / denominator, -1)
    highest = jnp.max(f_beta, axis=1, keepdims=True)
    size = ranking.keys.shape[1]
    best = jnp.min(jnp.where(f_beta == highest, ranking.rank, size), axis=1, keepdims=True) - 1
    above = scores_of_keys(jnp.take_along_axis(ranking.keys, best, axis=1), dtype)
    after = jnp.minimum(best + 1, size - 1)
    below = scores_of_keys(jnp.take_along_axis(ranking.keys, after, axis=1), dtype)
    halfway = above / 2 + below / 2
    # Nothing lies between neighbouring floats, and nothing finite halfway to infinity; below the
    # lowest score there is no neighbour (NaN stands for it).
    usable = (below < halfway) & (halfway <= above)
    threshold = jnp.where(usable, halfway, above)[:, 0]
    return jnp.where(jnp.any(is_cut, axis=1), threshold, fallback)
