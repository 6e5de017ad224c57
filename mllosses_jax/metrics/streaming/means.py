"""Means over samples, accumulated over batches, for any metric that is such a mean."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import counted_entries
from mllosses_jax._core.sets import (
    Scored,
    Sets,
    count_entries,
    result_dtype,
    scored,
    sets,
)
from mllosses_jax.metrics.streaming import _exact_sum
from mllosses_jax.metrics.streaming._accumulator import Accumulator, check_known_labels

Metric = Callable[..., Array]


class _Entry(NamedTuple):
    name: str
    function: Metric
    options: tuple[tuple[str, Any], ...]

    def of_rows(self, outputs: Array, labels: Array, where: Array) -> Array:
        """Returns the metric of each sample on its own, (N,)."""

        def of_row(x: Array, y: Array, mask: Array) -> Array:
            options = dict(self.options)
            return self.function(x[None], y[None], where=mask[None], **options)

        return jax.vmap(of_row)(outputs, labels, where)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SampleMeans(Accumulator):
    """Means over samples of one or more metrics, over any number of batches.

    Each metric is evaluated on one sample at a time, so that every mean over samples in `metrics`
    can be accumulated: those of `metrics.ranking`, the "samples" averages, subset accuracy, and
    functions of your own with the same arguments. (Ratios of means, such as propensity-scored
    precision, are not means over samples.) Sums are integers: they do not depend on the order of
    batches, and nothing is lost beyond 2²⁴ samples. Values below 2⁻¹⁷ are truncated to multiples of
    2⁻⁴⁰; values of 2³¹ or more make a mean infinite.

    Attributes:
        digits: the sums, in base 256, int32 (M, 8) for M metrics.
        samples: the number of samples in the mean of each metric, int32 (M,).
        infinite: the number of samples with a value of 2³¹ or more, and of -2³¹ or less,
            int32 (M, 2).
        broken: the number of samples with a score that counts but is NaN or, if a metric has
            inputs="probabilities", outside [0, 1], int32 (); if it is not 0, all means are NaN.
        metrics: the metrics, with their names and options.

    Example:
        >>> from functools import partial
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import metrics
        >>> from mllosses_jax.metrics import streaming
        >>> means = streaming.SampleMeans.init(
        ...     one_error=metrics.one_error, p_at_2=partial(metrics.precision_at_k, k=2)
        ... )
        >>> means = means.update(jnp.array([[0.9, 0.2, 0.1]]), jnp.array([[1, 0, 0]]))
        >>> means = means.update(jnp.array([[0.3, 0.8, 0.5]]), jnp.array([[0, 0, 1]]))
        >>> print({name: float(value) for name, value in means.compute().items()})
        {'one_error': 0.5, 'p_at_2': 0.5}
    """

    digits: Array
    samples: Array
    infinite: Array
    broken: Array
    metrics: tuple[_Entry, ...] = dataclasses.field(metadata={"static": True})

    @classmethod
    def init(cls, **metrics: Metric) -> Self:
        """Returns the accumulator of no data.

        Args:
            **metrics: functions of (scores, labels, where=) or (predictions, labels, where=),
                under the names of the results; fix options with `functools.partial`. A sample for
                which a metric is NaN without a NaN score is left out of its mean.

        Raises:
            TypeError: if a metric is not a function, or an option cannot be hashed.
            ValueError: if there is no metric, or one has the option undefined="nan".
        """
        if not metrics:
            raise ValueError("metrics must hold at least one function, got none")
        entries = tuple(_entry(name, function) for name, function in metrics.items())
        size = len(entries)
        return cls(
            jnp.zeros((size, _exact_sum.DIGITS), jnp.int32),
            jnp.zeros(size, jnp.int32),
            jnp.zeros((size, 2), jnp.int32),
            jnp.zeros((), jnp.int32),
            entries,
        )

    def update(
        self, outputs: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
    ) -> Self:
        """Returns the accumulator with a batch added.

        Args:
            outputs: what the metrics take first: scores, float (N, L), or predicted sets, bool or
                integer (N, L), with N at most 2²³.
            labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
            where: bool, (N, L) with axes equal or 1: which entries count; a sample without any
                is left out of all means.

        Raises:
            TypeError: if a metric does not take such outputs, or where is not bool.
            ValueError: if shapes differ, N is too large, or a label in a numpy array counts and
                does not lie in [0, 1].
        """
        check_known_labels(labels, where)
        total: Self = _with_batch(self, outputs, labels, where)
        return total

    def compute(self) -> dict[str, Array]:
        """Returns the mean of each metric by name, () in float32, or float64 under x64.

        It is NaN if no sample counts, or if a score that counts was NaN or not a probability.
        """
        means = _exact_sum.total(self.digits) / self.samples.astype(result_dtype())
        above, below = (jnp.where(count > 0, jnp.inf, 0) for count in self.infinite.T)
        means = means + (above - below)
        means = jnp.where(self.broken > 0, jnp.nan, means)
        return {entry.name: means[i] for i, entry in enumerate(self.metrics)}


def _entry(name: str, function: Metric) -> _Entry:
    # Partials are taken apart, because two identical ones do not compare equal.
    options: dict[str, Any] = {}
    if isinstance(function, functools.partial):
        if function.args:
            raise TypeError(f"{name} must fix its options by keyword, got {function.args}")
        options = function.keywords
        function = function.func
    if not callable(function):
        raise TypeError(f"{name} must be a function, got {type(function).__name__}")
    if options.get("undefined") == "nan":
        raise ValueError(f'{name} cannot have undefined="nan": use "skip" or "zero"')
    entry = _Entry(name, function, tuple(sorted(options.items())))
    try:
        hash(entry)
    except TypeError:
        raise TypeError(f"{name} must have options that can be hashed, got {options}") from None
    return entry


@jax.jit(inline=True)
def _with_batch(
    state: SampleMeans, outputs: ArrayLike, labels: ArrayLike, where: ArrayLike | None
) -> SampleMeans:
    given = checks.array("outputs", outputs)
    inputs: Scored | Sets
    if jnp.issubdtype(given.dtype, jnp.floating):
        inputs = scored(given, labels, where)
        values, broken = inputs.scores, _broken_rows(inputs, state.metrics)
    else:
        inputs = sets(given, labels, where)
        values, broken = inputs.predicted, jnp.zeros(given.shape[0], bool)
    if given.shape[0] > _exact_sum.MOST_VALUES:
        raise ValueError(f"outputs must hold at most 2^23 samples, got {given.shape[0]}")
    mask = counted_entries(inputs.where, inputs.actual)
    exists = count_entries(inputs.where, inputs.actual.shape, axis=1) > 0
    digits, samples, infinite = [], [], []
    for entry in state.metrics:
        rows = entry.of_rows(values, inputs.actual, mask)
        counted = exists & ~jnp.isnan(rows)
        extreme = counted[:, None] & jnp.stack(
            [rows >= _exact_sum.LARGEST, rows <= -_exact_sum.LARGEST], axis=1
        )
        finite = counted & ~jnp.any(extreme, axis=1)
        digits.append(_exact_sum.sum_digits(jnp.where(finite, rows, 0)))
        samples.append(jnp.sum(counted, dtype=jnp.int32))
        infinite.append(jnp.sum(extreme, axis=0, dtype=jnp.int32))
    return SampleMeans(
        _exact_sum.carried(state.digits + jnp.stack(digits)),
        state.samples + jnp.stack(samples),
        state.infinite + jnp.stack(infinite),
        state.broken + jnp.sum(broken, dtype=jnp.int32),
        state.metrics,
    )


def _broken_rows(inputs: Scored, metrics: tuple[_Entry, ...]) -> Array:
    """Returns which rows hold an invalid score that counts, bool (N,)."""
    broken = inputs.has_nan()
    if any(("inputs", "probabilities") in entry.options for entry in metrics):
        outside = (inputs.scores < 0) | (inputs.scores > 1)
        broken = broken | jnp.any(outside & inputs.counted(), axis=1)
    return broken
