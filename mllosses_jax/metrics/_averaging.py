"""Means over labels or samples, without those that do not count."""

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
from mllosses_jax._core.sets import Scored, sample_weights

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
    """Returns the mean of the values that count, (R,) to (); NaN if none does.

    Args:
        values: the value of each row, (R,).
        counted: bool (R,), which rows count.
        weights: the weight of each row, (R,).
        weightless: the mean where the weights sum to 0; None ignores such weights, as scikit-learn
            does for weights of labels.
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


def mean_over_rows(values: Array, inputs: Scored, weights: ArrayLike | None = None) -> Array:
    """Returns the mean over the samples with an entry that counts; NaN if their scores hold NaN.

    Args:
        values: the value of each sample, (N,).
        inputs: the scores, and which entries count.
        weights: the weights of the samples, (N,), not checked yet.
    """
    values = jnp.where(inputs.has_nan(), jnp.nan, values.astype(inputs.scores.dtype))
    w = sample_weights(weights, len(values))
    return mean_over(values, inputs.num_entries() > 0, w, weightless=jnp.nan)


def mean_of_defined(
    values: Array,
    defined: Array,
    exists: Array,
    broken: Array,
    average: Average,
    undefined: Undefined,
    support: Array,
    weights: Array | None = None,
) -> Array:
    """Returns the average of the values of rows, (R,), by the rule for undefined values.

    Args:
        values: the value of each row, (R,); ignored where undefined.
        defined: bool (R,), whether a row has a value.
        exists: bool (R,), whether a row has an entry that counts.
        broken: bool (R,), whether a row holds a NaN that counts.
        average: the kind of average; "micro" takes the value of the only row.
        undefined: "skip", "nan" or "zero"; see `refuses_undefined` for "raise".
        support: the weights of the "weighted" average, (R,).
        weights: the weights of the "samples" average, (R,).
    """
    values = jnp.where(defined, values, 0 if undefined == "zero" else jnp.nan)
    values = jnp.where(broken, jnp.nan, values)
    if average in {"micro", None}:
        values = jnp.where(exists, values, jnp.nan)
        return values[0] if average == "micro" else values
    counted = exists & (defined | broken) if undefined == "skip" else exists
    if average == "weighted":
        return mean_over(values, counted, seen(support, broken))
    weights = weights if average == "samples" else None
    return mean_over(values, counted, weights, weightless=jnp.nan)


def seen(support: Array, broken: Array) -> Array:
    """Returns the support as weights that are never 0 for a row that holds a NaN score."""
    return jnp.where(broken, jnp.maximum(support, 1), support)


def _ratio(values: Array, weights: Array) -> Array:
    # A value with weight zero may be NaN.
    return jnp.sum(jnp.where(weights == 0, 0, values * weights)) / jnp.sum(weights)


def check_undefined(undefined: object) -> None:
    """Raises ValueError unless `undefined` is known."""
    checks.one_of("undefined", undefined, get_args(Undefined))


def refuses_undefined(function: Callable[P, R]) -> Callable[P, R]:
    """Makes calls with undefined="raise" fail if their result would hold an undefined value.

    This looks at values, so it needs an eager call.

    Args:
        function: takes `undefined` and `average` by keyword; with undefined="nan" its result, or
            the first leaf of its result, is NaN wherever it depends on an undefined value.
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
                f'{name}: undefined="raise" looks at values, which are not known under '
                f'a transformation; use "skip", "nan" or "zero"'
            )
        if not np.isnan(first).any():
            return result
        # A NaN score gives NaN under every option.
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
        raise ValueError(f'{name}: undefined="raise", but the value of {what} is not defined')

    return wrapper
