"""Shared parts of maximisers under a budget of k labels per sample: measures and top-k."""

from __future__ import annotations

from typing import Literal, get_args

import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core import checks

Measure = Literal[
    "macro_f1", "macro_precision", "macro_recall", "macro_jaccard", "macro_balanced_accuracy"
]


def check_measure(measure: object) -> None:
    """Raises ValueError unless the measure is known."""
    checks.one_of("measure", measure, get_args(Measure))


def value_per_label(
    measure: Measure, tp: Array, predicted: Array, actual: Array, entries: Array
) -> Array:
    """Returns the measure of each label from (expected) counts; 0 where it is undefined."""
    if measure == "macro_f1":
        return _ratio(2 * tp, predicted + actual)
    if measure == "macro_precision":
        # Expected counts may lie between 0 and 1, where a label that is hardly ever predicted would
        # look precise. For whole counts this is the precision.
        return tp / jnp.maximum(predicted, 1)
    if measure == "macro_recall":
        return _ratio(tp, actual)
    if measure == "macro_jaccard":
        return _ratio(tp, predicted + actual - tp)
    tn = entries - actual - predicted + tp
    return (_ratio(tp, actual) + _ratio(tn, entries - actual)) / 2


def best_k(gains: Array, eligible: Array, k: int) -> Array:
    """Returns the sets of the k eligible labels with the highest gains; the first wins a tie."""
    _, top = lax.top_k(jnp.where(eligible, gains, -jnp.inf), k)
    none = jnp.zeros(gains.shape, bool)
    return eligible & jnp.put_along_axis(none, top, True, axis=-1, inplace=False)


def _ratio(numerator: Array, denominator: Array) -> Array:
    defined = denominator > 0
    return jnp.where(defined, numerator, 0) / jnp.where(defined, denominator, 1)
