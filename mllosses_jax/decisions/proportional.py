"""Thresholds that predict labels as often as they are known to occur."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.sets import scored
from mllosses_jax.decisions._cuts import cuts_of, in_scope, scoped


@compiled(frequencies=(0, 1))
def proportional_thresholds(
    scores: ArrayLike,
    frequencies: ArrayLike,
    *,
    scope: Literal["label", "global"] = "global",
    where: ArrayLike | None = None,
) -> Array:
    """PCut: thresholds that predict labels as often as they occur in training.

    Formula:
        t* = argmin_t |#{s ≥ t} − n| with n = Σ frequency over the entries that count: all of them
        ("global", so that the mean set size is that of training) or those of each label; placed
        halfway as in `tune_thresholds`, and ties go to the highest

    Args:
        scores: float array (N, L), on any monotone scale, of the samples to decide on, whose labels
            are not needed.
        frequencies: (L,), the share of training samples that have each label, in [0, 1]; or one
            scalar for all labels.
        scope: "global" finds one threshold, "label" one for each label.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Thresholds for `apply_thresholds`, () or, with scope="label", (L,); float32 or the wider
        dtype of the scores. +∞ where predicting nothing comes nearest, and where nothing counts.
        A NaN score counts as one that no threshold admits.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if frequencies are not (L,) or lie outside [0, 1], or the scope is unknown.

    Reference:
        Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001; "global"
        is PCut1, and "label" PCutL, of J. Read et al., "MEKA: A Multi-label/Multi-target
        Extension to WEKA", JMLR 2016.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.75, 0.5], [0.25, 0.125]])
        >>> print(decisions.proportional_thresholds(scores, jnp.array([0.5, 0.5])))
        0.375
    """
    s = checks.float_array("scores", scores)
    inputs = scored(s, jnp.zeros(s.shape, bool), where)
    dtype = inputs.scores.dtype
    frequency = checks.per_label("frequencies", frequencies, s.shape[-1], dtype)
    target = frequency * inputs.transposed().num_entries().astype(dtype)
    target = target if scope == "label" else jnp.sum(target, keepdims=True)
    rows = scoped(inputs, scope)
    cuts = cuts_of(rows)
    distance = jnp.abs(cuts.predicted.astype(dtype) - target[:, None])
    place, closeness = cuts.highest_best(-distance)
    nearer = closeness > -target  # nearer than no prediction, which wins a tie
    return in_scope(jnp.where(nearer, cuts.threshold_at(place), jnp.inf), scope)
