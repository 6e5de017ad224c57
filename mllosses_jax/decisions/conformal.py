"""Conformal sets label by label: present, absent, both (which is to abstain), or neither."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import ranking_keys
from mllosses_jax._core.sets import scored, two_axes
from mllosses_jax._core.sharding import whole
from mllosses_jax.decisions._risk_limits import ROUNDING


class PValues(NamedTuple):
    """For each label of each new row, how well it fits in with either kind of known rows.

    Attributes:
        present: float (M, L), the p-value of the label being there.
        absent: float (M, L), the p-value of the label not being there.
    """

    present: Array
    absent: Array


class ConformalSets(NamedTuple):
    """For each label of each new row, which of its two values are not ruled out.

    Attributes:
        present: bool (M, L), whether the label may be there.
        absent: bool (M, L), whether the label may not be there.
    """

    present: Array
    absent: Array

    @property
    def predicted(self) -> Array:
        """Which labels are there for certain at this level, bool (M, L)."""
        return self.present & ~self.absent

    @property
    def abstained(self) -> Array:
        """Which labels may be there or not: the scores do not decide, bool (M, L)."""
        return self.present & self.absent

    @property
    def neither(self) -> Array:
        """Which scores are unlike those of either kind of known rows, bool (M, L)."""
        return ~self.present & ~self.absent


@compiled()
def labelwise_p_values(
    scores: ArrayLike, labels: ArrayLike, new_scores: ArrayLike, *, where: ArrayLike | None = None
) -> PValues:
    """Mondrian p-values: how strange a new score is among known positives, and among negatives.

    Formula:
        p₁ = (#{i∈P : s_i ≤ s} + 1) / (|P| + 1), p₀ = (#{i∈N : s_i ≥ s} + 1) / (|N| + 1)
        for each label, with its positives P and its negatives N

    If a label is there, p₁ ≤ a has a probability of at most a, for every a; if it is not there,
    this is true of p₀. This holds for labels one by one, if the model was not trained on these rows
    and the positives (and the negatives) of a label are exchangeable with new ones.

    Args:
        scores: float array (N, L) of rows whose labels are known, on any monotone scale.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        new_scores: float array (M, L), on the scale of the scores.
        where: bool, (N, L) with axes equal or 1: which entries of the known rows count.

    Returns:
        `PValues` of (M, L), float32 or the wider dtype of the scores; 1 for a kind without a known
        row. A NaN score is the strangest one of all for both kinds.

    Raises:
        TypeError: if scores or new_scores are not floating point, or where is not bool.
        ValueError: if shapes differ, or new_scores do not have the L labels of the scores.

    Reference:
        Mondrian predictors of V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a
        Random World", 2005.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.9], [0.7], [0.4], [0.5], [0.3], [0.1]])
        >>> labels = jnp.array([[1], [1], [1], [0], [0], [0]])
        >>> p = decisions.labelwise_p_values(scores, labels, jnp.array([[0.8]]))
        >>> print(p.present, p.absent)
        [[0.75]] [[0.25]]
    """
    inputs = scored(scores, labels, where)
    dtype = inputs.scores.dtype
    new = checks.float_array("new_scores", new_scores)
    two_axes("new_scores", new)
    size = inputs.scores.shape[1]
    if new.shape[1] != size:
        raise ValueError(f"new_scores must have the {size} labels of the scores, got {new.shape}")
    new = new.astype(dtype)
    negative = inputs.counted() & ~inputs.actual
    return PValues(
        present=_share_below(inputs.scores, inputs.actual, new),
        absent=_share_below(-inputs.scores, negative, -new),
    )


@compiled(level=(0, 1))
def labelwise_conformal_sets(
    scores: ArrayLike,
    labels: ArrayLike,
    new_scores: ArrayLike,
    *,
    level: ArrayLike = 0.9,
    where: ArrayLike | None = None,
) -> ConformalSets:
    """For each label, the values (there, not there) that hold the truth with probability `level`.

    Formula:
        present = [p₁ > 1 − level], absent = [p₀ > 1 − level], with the p-values of
        `labelwise_p_values`

    Each of the two promises is kept apart: where a label is there, `present` is true with a
    probability of at least `level`; where it is not, so is `absent`. It holds on average over draws
    of the known rows, for labels one by one, under the conditions of `labelwise_p_values`. To
    abstain is to rule out neither value. `present` is the decision at the thresholds of
    `threshold_for_recall` with scope="label".

    Args:
        scores: float array (N, L) of rows whose labels are known, on any monotone scale.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        new_scores: float array (M, L), on the scale of the scores.
        level: the probability of either promise, in [0, 1]; a scalar or (L,).
        where: bool, (N, L) with axes equal or 1: which entries of the known rows count.

    Returns:
        `ConformalSets` of (M, L). With fewer known rows of a kind than `rows_for_guarantee`, its
        value is never ruled out.

    Raises:
        TypeError: if scores or new_scores are not floating point, or where is not bool.
        ValueError: if shapes differ, new_scores do not have the L labels of the scores, or level is
            not in [0, 1].

    Reference:
        The label-conditional predictors of V. Vovk, "Conditional Validity of Inductive Conformal
        Predictors", ACML 2012, arXiv:1209.2673, for each label.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> scores = jnp.array([[0.9], [0.7], [0.4], [0.5], [0.3], [0.1]])
        >>> labels = jnp.array([[1], [1], [1], [0], [0], [0]])
        >>> new_scores = jnp.array([[0.8], [0.45], [0.2]])
        >>> sets = decisions.labelwise_conformal_sets(scores, labels, new_scores, level=0.75)
        >>> print(sets.predicted.T, sets.abstained.T)
        [[ True False False]] [[False  True False]]
    """
    new = labelwise_p_values(scores, labels, new_scores, where=where)
    dtype = new.present.dtype
    target = checks.per_label("level", level, new.present.shape[1], dtype)
    strange = jnp.broadcast_to(1 - target + ROUNDING, new.present.shape)
    return ConformalSets(new.present > strange, new.absent > strange)


def _share_below(scores: Array, of_kind: Array, new_scores: Array) -> Array:
    """Returns (#{i : s_i ≤ s} + 1) / (n + 1) of each new score s among the n scores of a kind."""
    known = whole(ranking_keys(scores, of_kind & ~jnp.isnan(scores))).T
    new = whole(ranking_keys(new_scores, ~jnp.isnan(new_scores))).T
    # A NaN and what does not count have the largest key: no number is below them.
    above = jax.vmap(lambda keys, at: jnp.searchsorted(keys, at, side="left"), out_axes=1)(
        jnp.sort(known, axis=1), new
    )
    n = jnp.sum(whole(of_kind), axis=0, dtype=jnp.int32)[None]
    return (n - above + 1).astype(scores.dtype) / (n + 1).astype(scores.dtype)
