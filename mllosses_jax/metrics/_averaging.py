"""Means over labels or samples that skip what does not count."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.sets import Scored

P = ParamSpec("P")
R = TypeVar("R")
Average = Literal["micro", "macro", "weighted", "samples"] | None
Undefined = Literal["skip", "nan", "zero", "raise"]

AVERAGES: tuple[Average, ...] = (*get_args(get_args(Average)[0]), None)


def check_average(average: object) -> None:
    """Raises ValueError unless `average` is known."""
    checks.one_of("average", average, AVERAGES)


def mean_over(
    values: Array,
    counted: Array,
    weights: Array | None = None,
    *,
    weightless: ArrayLike | None = None,
) -> Array:
    """Returns the mean of the values that count, (R,) to (); NaN where none does.

    Args:
        values: of each row.
        counted: bool, which rows count.
        weights: of rows.
        weightless: the mean where the weights sum to 0; None ignores such weights, as scikit-learn
            does with those of labels.
    """
    ones = counted.astype(values.dtype)
    if weights is None:
        return _ratio(values, ones)
    w = jnp.where(counted, weights.astype(values.dtype), 0)
    nothing = jnp.sum(w) == 0
    mean = _ratio(values, jnp.where(nothing, ones, w))
    if weightless is None:
        return mean
    return jnp.where(nothing & jnp.any(counted), jnp.asarray(weightless, mean.dtype), mean)


def mean_over_rows(values: Array, inputs: Scored) -> Array:
    """Returns the mean over the samples with an entry that counts; NaN if such a score is NaN."""
    values = values.astype(inputs.scores.dtype)
    values = jnp.where(inputs.has_nan(), jnp.nan, values)
    return mean_over(values, inputs.num_entries() > 0)


def mean_of_defined(
    values: Array,
    defined: Array,
    exists: Array,
    broken: Array,
    average: Average,
    undefined: Undefined,
    support: Array,
) -> Array:
    """Returns the average of the values of rows, (R,), by the rule for what is undefined.

    Args:
        values: of each row; anything where it is not defined.
        defined: bool, whether a row has a value.
        exists: bool, whether a row has an entry that counts.
        broken: bool, whether a row holds a NaN that counts.
        average: "micro" is the value of the only row.
        undefined: "skip", "nan" or "zero"; see `refuses_undefined` for "raise".
        support: weights of the "weighted" average.
    """
    values = jnp.where(defined, values, 0 if undefined == "zero" else jnp.nan)
    values = jnp.where(broken, jnp.nan, values)
    if average in {"micro", None}:
        values = jnp.where(exists, values, jnp.nan)
        return values[0] if average == "micro" else values
    counted = exists & (defined | broken) if undefined == "skip" else exists
    return mean_over(values, counted, seen(support, broken) if average == "weighted" else None)


def seen(support: Array, broken: Array) -> Array:
    """Returns the support as weights in which a row that holds a NaN score is never weightless."""
    return jnp.where(broken, jnp.maximum(support, 1), support)


def _ratio(values: Array, weights: Array) -> Array:
    # A value of weight zero may be NaN.
    return jnp.sum(jnp.where(weights == 0, 0, values * weights)) / jnp.sum(weights)


def check_undefined(undefined: object) -> None:
    """Raises ValueError unless `undefined` is known."""
    checks.one_of("undefined", undefined, get_args(Undefined))


def refuses_undefined(function: Callable[P, R]) -> Callable[P, R]:
    """Makes undefined="raise" an error of calls whose result would hold an undefined value.

    That takes values to look at, and so an eager call.

    Args:
        function: with `undefined` and `average` by keyword; its result, or the first entry of it,
            is NaN where it depends on what is undefined and `undefined` is "nan".
    """
    name = function.__name__

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("undefined") != "raise":
            return function(*args, **kwargs)

        def of(**options: Any) -> tuple[R, Array]:
            changed: Any = {**kwargs, **options}
            result = function(*args, **changed)
            return result, jax.tree.leaves(result)[0]

        result, first = of(undefined="nan")
        if isinstance(first, jax.core.Tracer):
            raise ValueError(
                f'{name}: undefined="raise" looks at values, which are not there under a '
                f'transformation; use "skip", "nan" or "zero"'
            )
        if not np.isnan(first).any():
            return result
        # A NaN score is NaN whatever the option.
        average = kwargs.get("average", "macro")
        each = {} if average in ("micro", "samples") else {"average": None}
        nan, zero = (np.isnan(of(**each, undefined=rule)[1]) for rule in ("nan", "zero"))
        undefined = nan & ~zero
        if not undefined.any():
            return result
        labels = np.flatnonzero(undefined).tolist()
        few = ", ".join(map(str, labels[:5])) + (", ..." if len(labels) > 5 else "")
        what = {"micro": "all entries as one", "samples": "a sample"}.get(
            str(average), f"{len(labels)} of {undefined.size} labels ({few})"
        )
        raise ValueError(f'{name}: undefined="raise", and the value of {what} is not defined')

    return wrapper
