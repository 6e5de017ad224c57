"""Thresholds from calibrated probabilities alone: no labels are needed."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import ranking_keys, scores_of_keys
from mllosses_jax._core.sets import Scored, fbeta_denominator, fbeta_shares, two_axes
from mllosses_jax.decisions._cuts import in_scope, scoped
from mllosses_jax.decisions._probabilities import probabilities_or_zero


@compiled(probabilities="probabilities", beta=(0, float("inf")))
def plugin_f_thresholds(
    probabilities: ArrayLike,
    *,
    beta: ArrayLike = 1.0,
    scope: Literal["label", "global"] = "label",
    where: ArrayLike | None = None,
) -> Array:
    """The F*/2 rule: thresholds of the best F-beta that calibrated probabilities promise.

    Formula:
        t = F* / (1 + β²), F* = max_k (1 + β²)·Σᵢ≤ₖ pᵢ / (β²·Σᵢ pᵢ + k) over the probabilities in
        descending order. The set {p ≥ t} reaches F*, the F-beta of expected counts

    Args:
        probabilities: float array (N, L), calibrated probabilities of the samples to decide on or
            of others like them.
        beta: β ≥ 0; 0 optimises precision, which keeps only the highest probabilities.
        scope: "label" finds the threshold of each label, for macro-averaged F-beta; "global" one
            for all labels, for micro-averaged F-beta.
        where: bool, (N, L) with axes equal or 1: which entries count.

    Returns:
        Thresholds for `apply_thresholds`, (L,) or, with scope="global", (); float32 or the wider
        dtype of the probabilities; at most 1/(1 + β²). +∞ where every probability that counts is
        0. Invalid probabilities (NaN and, under a transformation, those outside [0, 1]) are left
        out.

    Raises:
        TypeError: if probabilities are not floating point, or where is not bool.
        ValueError: if they do not have two axes, lie outside [0, 1] (if concrete), or the scope is
            unknown.

    Reference:
        Z. C. Lipton, C. Elkan and B. Naryanaswamy, "Optimal Thresholding of Classifiers to
        Maximize F1 Measure", ECML PKDD 2014, arXiv:1402.1892; for F-beta N. Ye, K. M. A. Chai,
        W. S. Lee and H. L. Chieu, "Optimizing F-measures: A Tale of Two Approaches", ICML 2012,
        arXiv:1206.4625.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> p = jnp.array([[0.75, 0.25], [0.5, 0.25]])
        >>> print(decisions.plugin_f_thresholds(p))
        [0.3846154 0.2      ]
    """
    p, _ = probabilities_or_zero(probabilities, where)
    two_axes("probabilities", p)
    rows = scoped(Scored(p, p > 0, None), scope)
    keys = jnp.sort(ranking_keys(rows.scores), axis=1)  # faster than sorting floats
    ordered = scores_of_keys(keys, p.dtype)
    tp = jnp.cumsum(ordered, axis=1)
    predicted = jnp.arange(1, ordered.shape[1] + 1, dtype=p.dtype)[None]
    total = tp[:, -1:]
    best = jnp.max(tp / fbeta_denominator(beta, total, predicted, p.dtype), axis=1)
    _, on_predictions = fbeta_shares(beta, p.dtype)
    return in_scope(jnp.where(total[:, 0] > 0, on_predictions * best, jnp.inf), scope)
