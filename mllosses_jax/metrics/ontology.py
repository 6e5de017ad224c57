"""F-max and S-min, by which predictions of terms of an ontology are judged (as in CAFA).

Both take the best of all cut-offs, which are the distinct scores of all entries. True labels, and
scores, must include the ancestors: see `mll.labels.with_ancestors` and
`mll.decisions.coherent_scores`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.ordering import group_ends, ranking_keys, sort_with_places
from mllosses_jax._core.sets import Scored, scored
from mllosses_jax._core.sharding import whole, whole_rows


@compiled(information=(0, math.inf))
def f_max(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    information: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """F-max: the highest F1 of mean precision and mean recall over all common cut-offs.

    Formula:
        max over the scores t of 2·P(t)·R(t) / (P(t) + R(t)), where P(t) is the mean precision of
        [s ≥ t] over the samples for which something is predicted, and R(t) is the mean recall over
        all samples; a label counts as much as its information

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        information: float array (L,), the information of each label, at least 0; None for ones.
        where: bool, (N, L) with axes equal or 1: which entries count. A sample without true labels
            (or with none that is informative) is left out.

    Returns:
        F-max in [0, 1], (), in float32 or the wider dtype of the scores; NaN where a score that
        counts is NaN, and where no sample is left. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, or information is negative.

    Reference:
        W. T. Clark and P. Radivojac, "Information-Theoretic Evaluation of Predicted Ontological
        Annotations", 2013; Y. Jiang et al., "An Expanded Evaluation of Protein Function Prediction
        Methods Shows an Improvement in Accuracy", 2016, arXiv:1601.00891 (CAFA), which tries 100
        cut-offs only.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 1]])
        >>> metrics.f_max(scores, labels)
        Array(1., dtype=float32)
    """
    inputs = jax.tree.map(whole_rows, scored(scores, labels, where))
    table = _table(inputs, information)
    keys, order = sort_with_places(table.keys)

    def taken(weights: Array) -> Array:
        return jnp.cumsum(jnp.take_along_axis(weights, order, axis=1), axis=1)

    true = taken(jnp.where(inputs.actual, table.weight, 0))
    predicted = taken(table.weight)
    precision = true / jnp.where(predicted > 0, predicted, 1)
    recall = true / jnp.where(table.total > 0, table.total, 1)[:, None]
    # The sums over samples change at each entry by what it changes in its sample.
    changes = (_changes(x) for x in (precision, recall, (predicted > 0).astype(precision.dtype)))
    keys, (precision, recall, some) = _in_one_order(keys, table.kept, *changes)
    precision, recall = precision / jnp.maximum(some, 1), recall / table.num_kept()
    f = 2 * precision * recall / jnp.where(precision + recall > 0, precision + recall, 1)
    best = jnp.max(jnp.where(_is_cut(keys), f, 0))
    return jnp.where(table.undefined, jnp.nan, best)


@compiled(information=(0, math.inf))
def s_min(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    information: ArrayLike,
    where: ArrayLike | None = None,
) -> Array:
    """S-min: the least semantic distance between predicted and true labels over all cut-offs.

    Formula:
        min over t of √(ru(t)² + mi(t)²), where the remaining uncertainty ru(t) and the
        misinformation mi(t) are the information of the true labels that [s ≥ t] misses, and of the
        false ones that it predicts, summed over labels and averaged over samples; t may be so high
        that nothing is predicted

    Args:
        scores: float array (N, L), on any monotone scale, such as logits.
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        information: float array (L,), the information of each label, at least 0, such as that of
            `mll.labels.information_accretion`, −log₂ P(label | its parents), in bits.
        where: bool, (N, L) with axes equal or 1: which entries count. A sample without true labels
            (or with none that is informative) is left out.

    Returns:
        S-min, (), in the unit of the information, in float32 or the wider dtype of the scores; NaN
        where a score that counts is NaN, and where no sample is left. Its gradient is zero.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ, or information is negative.

    Reference:
        W. T. Clark and P. Radivojac, "Information-Theoretic Evaluation of Predicted Ontological
        Annotations", 2013.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> scores = jnp.array([[0.9, 0.8, 0.1], [0.3, 0.8, 0.5]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 1]])
        >>> information = jnp.array([1.0, 2.0, 3.0])
        >>> metrics.s_min(scores, labels, information=information)
        Array(1., dtype=float32)
    """
    inputs = jax.tree.map(whole_rows, scored(scores, labels, where))
    table = _table(inputs, information)
    true, false = (jnp.where(x, table.weight, 0) for x in (inputs.actual, ~inputs.actual))
    keys, (found, misinformation) = _in_one_order(table.keys, table.kept, true, false)
    total = jnp.sum(jnp.where(table.kept, table.total, 0))
    distance = jnp.hypot(total - found, misinformation)
    best = jnp.minimum(jnp.min(jnp.where(_is_cut(keys), distance, jnp.inf)), total)
    return jnp.where(table.undefined, jnp.nan, best / table.num_kept())


class _Table(NamedTuple):
    keys: Array  # int (N, L), ascending as scores descend
    weight: Array  # (N, L), the information of the entries that count
    total: Array  # (N,), the information of the true labels
    kept: Array  # bool (N,), which samples have some
    undefined: Array  # bool (), whether none has, or one of these has a NaN score that counts

    def num_kept(self) -> Array:
        """Returns the number of samples that are kept, float ()."""
        return jnp.sum(self.kept, dtype=self.weight.dtype)


def _table(inputs: Scored, information: ArrayLike | None) -> _Table:
    dtype = inputs.scores.dtype
    each = jnp.ones(inputs.scores.shape[1], dtype)
    if information is not None:
        each = checks.array("information", information).astype(dtype)
        if each.shape != inputs.scores.shape[1:]:
            raise ValueError(
                f"information must have one entry per label: expected {inputs.scores.shape[1:]}, "
                f"got {each.shape}"
            )
    weight = jnp.where(inputs.counted(), each[None, :], 0)
    total = jnp.sum(jnp.where(inputs.actual, weight, 0), axis=1)
    kept = total > 0
    keys = ranking_keys(inputs.scores, inputs.where)
    undefined = ~jnp.any(kept) | jnp.any(inputs.has_nan() & kept)
    return _Table(keys, weight, total, kept, undefined)


def _changes(sums: Array) -> Array:
    return jnp.diff(sums, axis=1, prepend=jnp.zeros_like(sums[:, :1]))


def _in_one_order(keys: Array, kept: Array, *values: Array) -> tuple[Array, list[Array]]:
    """Ranks the entries of all samples that are kept together.

    Args:
        keys: int (N, L).
        kept: bool (N,), which samples count.
        *values: float (N, L) each.

    Returns:
        The ranked keys (1, N·L), and the running sums of the values in that order, (1, N·L) each.
    """
    keys = whole(jnp.where(kept[:, None], keys, jnp.iinfo(keys.dtype).max)).reshape(1, -1)
    keys, order = sort_with_places(keys)
    flat = (whole(jnp.where(kept[:, None], x, 0)).reshape(1, -1) for x in values)
    return keys, [jnp.cumsum(jnp.take_along_axis(x, order, axis=1), axis=1) for x in flat]


def _is_cut(keys: Array) -> Array:
    """Returns which ranked entries are the last of their tied group and count, bool (1, n)."""
    return group_ends(keys) & (keys != jnp.iinfo(keys.dtype).max)
