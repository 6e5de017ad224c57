"""Means over labels or samples that skip what does not count."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp

from mllosses_jax._core import checks
from mllosses_jax._core.sets import Scored

Array = jax.Array
Average = Literal["micro", "macro", "weighted", "samples"] | None

AVERAGES: tuple[Average, ...] = (*get_args(get_args(Average)[0]), None)


def check_average(average: object) -> None:
    """Raises ValueError unless `average` is known."""
    checks.one_of("average", average, AVERAGES)


def mean_over(values: Array, counted: Array, weights: Array | None = None) -> Array:
    """Returns the mean of the values that count, (R,) to (); NaN where none does.

    Weights that sum to zero are ignored, as in scikit-learn.
    """
    ones = counted.astype(values.dtype)
    if weights is None:
        return _ratio(values, ones)
    w = jnp.where(counted, weights.astype(values.dtype), 0)
    return _ratio(values, jnp.where(jnp.sum(w) == 0, ones, w))


def mean_over_rows(values: Array, inputs: Scored) -> Array:
    """Returns the mean over the samples with an entry that counts; NaN if such a score is NaN."""
    values = values.astype(inputs.scores.dtype)
    values = jnp.where(inputs.has_nan(), jnp.nan, values)
    return mean_over(values, inputs.cells() > 0)


def _ratio(values: Array, weights: Array) -> Array:
    # A value of weight zero may be NaN.
    return jnp.sum(jnp.where(weights == 0, 0, values * weights)) / jnp.sum(weights)


def check_zero_division(value: object) -> None:
    """Raises ValueError unless the value, where it is known, is 0, 1 or nan."""
    known = isinstance(value, str | int | float)
    if known and value not in (0, 1) and str(value) != "nan":
        raise ValueError(f"zero_division must be 0, 1 or nan, got {value!r}")
