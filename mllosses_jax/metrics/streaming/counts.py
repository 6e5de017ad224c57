"""Counts of hard label sets, added up over batches."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, Self, TypeVar, cast

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.sets import (
    count_entries,
    fbeta_denominator,
    fbeta_shares,
    result_dtype,
    sets,
)
from mllosses_jax.metrics import agreement, rates
from mllosses_jax.metrics._tally import Confusion, Tally, average_ratio, count_together, disjoint
from mllosses_jax.metrics.streaming._accumulator import (
    Accumulator,
    check_known_labels,
    check_label_axis,
    check_size,
)

LabelAverage = Literal["micro", "macro", "weighted"] | None
P = ParamSpec("P")
R = TypeVar("R")


def _in_one_program(method: Callable[P, R]) -> Callable[P, R]:
    """Compiles a method, so that `jax_debug_nans` checks its result only."""
    program = jax.jit(method, static_argnames=("average",), inline=True)

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        zero_division: Any = kwargs.get("zero_division", 0.0)
        if isinstance(zero_division, str | None):
            checks.scalar("zero_division", zero_division, result_dtype())
        return cast(R, program(*args, **kwargs))

    return wrapper


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ConfusionCounts(Accumulator):
    """True positives, predictions, positives and entries of each label, over any number of batches.

    One accumulator gives precision, recall, F-beta, Jaccard index, specificity, negative predictive
    value, balanced accuracy, G-mean, H-mean, Matthews correlation, Cohen's kappa and Hamming loss,
    each equal to the function of that name in `metrics` on all batches at once. Counts are exact up
    to 2³¹ − 1 entries of a label; totals over labels ("micro", Hamming loss) are formed in floating
    point and so cannot overflow.

    Attributes:
        tp: the number of entries that are predicted and true, int32 (L,).
        predicted: the number of entries that are predicted, int32 (L,).
        actual: the number of entries that are true, int32 (L,).
        entries: the number of entries that count, int32 (L,).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.metrics import streaming
        >>> counts = streaming.ConfusionCounts.init(2)
        >>> counts = counts.update(jnp.array([[1, 0]]), jnp.array([[1, 1]]))
        >>> counts = counts.update(jnp.array([[1, 1]]), jnp.array([[0, 1]]))
        >>> counts.precision(average=None)
        Array([0.5, 1. ], dtype=float32)
        >>> counts.hamming_loss()
        Array(0.5, dtype=float32)
    """

    tp: Array
    predicted: Array
    actual: Array
    entries: Array

    @classmethod
    def init(cls, num_labels: int) -> Self:
        """Returns the accumulator of no data.

        Args:
            num_labels: the number of labels, L.

        Raises:
            ValueError: if num_labels is not a positive integer.
        """
        check_size("num_labels", num_labels)
        # Four separate arrays, because a buffer cannot be donated twice.
        return cls(*(jnp.zeros(num_labels, jnp.int32) for _ in range(4)))

    def update(
        self, predictions: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
    ) -> Self:
        """Returns the accumulator with a batch added.

        Args:
            predictions: bool or integer array (N, L), the predicted sets.
            labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
            where: bool, (N, L) with axes equal or 1: which entries count.

        Raises:
            TypeError: if predictions are floating point, or where is not bool.
            ValueError: if shapes differ, L is not that of the accumulator, or a label in a numpy
                array counts and does not lie in [0, 1].
        """
        check_known_labels(labels, where)
        total: Self = _with_batch(self, predictions, labels, where)
        return total

    @_in_one_program
    def precision(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0
    ) -> Array:
        """Returns `metrics.precision` of all batches; `average` may not be "samples"."""
        tally = self._tally(average)
        return average_ratio(tally.tp, tally.predicted, tally, average, zero_division)

    @_in_one_program
    def recall(self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0) -> Array:
        """Returns `metrics.recall` of all batches; `average` may not be "samples"."""
        tally = self._tally(average)
        return average_ratio(tally.tp, tally.actual, tally, average, zero_division)

    def f1(self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0) -> Array:
        """Returns `metrics.f1` of all batches; `average` may not be "samples"."""
        return self.fbeta(beta=1.0, average=average, zero_division=zero_division)

    def fbeta(
        self,
        *,
        beta: ArrayLike,
        average: LabelAverage = "macro",
        zero_division: ArrayLike = 0.0,
    ) -> Array:
        """Returns `metrics.fbeta` of all batches; `average` may not be "samples"."""
        fbeta_shares(beta, result_dtype())  # rejects a negative number, which is traced below
        return self._fbeta(beta=beta, average=average, zero_division=zero_division)

    @_in_one_program
    def _fbeta(self, *, beta: ArrayLike, average: LabelAverage, zero_division: ArrayLike) -> Array:
        tally = self._tally(average)
        denominator = fbeta_denominator(beta, tally.actual, tally.predicted, result_dtype())
        return average_ratio(tally.tp, denominator, tally, average, zero_division)

    @_in_one_program
    def jaccard(self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0) -> Array:
        """Returns `metrics.jaccard` of all batches; `average` may not be "samples"."""
        tally = self._tally(average)
        union = tally.predicted + tally.fn
        return average_ratio(tally.tp, union, tally, average, zero_division)

    @_in_one_program
    def specificity(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0
    ) -> Array:
        """Returns `metrics.specificity` of all batches; `average` may not be "samples"."""
        return rates.specificity_of(self._tally(average), average, zero_division)

    @_in_one_program
    def balanced_accuracy(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = float("nan")
    ) -> Array:
        """Returns `metrics.balanced_accuracy` of all batches; `average` may not be "samples"."""
        return rates.balanced_accuracy_of(self._tally(average), average, zero_division)

    @_in_one_program
    def negative_predictive_value(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0
    ) -> Array:
        """Returns `metrics.negative_predictive_value` of all batches; not average="samples"."""
        return rates.negative_predictive_value_of(self._tally(average), average, zero_division)

    @_in_one_program
    def g_mean(self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0) -> Array:
        """Returns `metrics.g_mean` of all batches; `average` may not be "samples"."""
        return rates.g_mean_of(self._tally(average), average, zero_division)

    @_in_one_program
    def h_mean(self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0) -> Array:
        """Returns `metrics.h_mean` of all batches; `average` may not be "samples"."""
        return rates.h_mean_of(self._tally(average), average, zero_division)

    @_in_one_program
    def matthews_corrcoef(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0
    ) -> Array:
        """Returns `metrics.matthews_corrcoef` of all batches; `average` may not be "samples"."""
        return agreement.matthews_corrcoef_of(self._tally(average), average, zero_division)

    @_in_one_program
    def cohen_kappa(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0
    ) -> Array:
        """Returns `metrics.cohen_kappa` of all batches; `average` may not be "samples"."""
        return agreement.cohen_kappa_of(self._tally(average), average, zero_division)

    def hamming_loss(self) -> Array:
        """Returns `metrics.hamming_loss` of all batches; NaN where nothing counts."""
        cells = self._confusion()
        return (_total(cells.fp + cells.fn) / _total(self.entries))[0]

    def confusion_matrix(self) -> Array:
        """Returns `metrics.multilabel_confusion_matrix` of all batches, int32 (L, 2, 2)."""
        return self._confusion().matrices()

    def compute(
        self, *, average: LabelAverage = "macro", zero_division: ArrayLike = 0.0
    ) -> dict[str, Array]:
        """Returns averaged precision, recall, f1, jaccard and specificity, and hamming_loss.

        Args:
            average: "macro", "micro", "weighted" or None; see `metrics.precision`.
            zero_division: the number used where undefined; nan leaves the value out of the mean.

        Raises:
            ValueError: if average or zero_division is none of these.
        """
        ratios = (self.precision, self.recall, self.f1, self.jaccard, self.specificity)
        values = {
            ratio.__name__: ratio(average=average, zero_division=zero_division) for ratio in ratios
        }
        return values | {"hamming_loss": self.hamming_loss()}

    def _tally(self, average: LabelAverage) -> Tally:
        checks.one_of("average", average, ("micro", "macro", "weighted", None))
        cells, exists = self._confusion(), self.entries > 0
        if average == "micro":
            some = jnp.any(exists, keepdims=True)
            return Tally(*Confusion(*map(_total, cells)), exists=some, weights=None)
        weights = self.actual if average == "weighted" else None
        return Tally(*cells, exists=exists, weights=weights)

    def _confusion(self) -> Confusion:
        return disjoint(self.tp, self.predicted, self.actual, self.entries)


@jax.jit(inline=True)
def _with_batch(
    state: ConfusionCounts, predictions: ArrayLike, labels: ArrayLike, where: ArrayLike | None
) -> ConfusionCounts:
    inputs = sets(predictions, labels, where)
    check_label_axis("predictions", inputs.predicted, state.tp.shape[0])
    kinds = (inputs.predicted & inputs.actual, inputs.predicted, inputs.actual)
    tp, predicted, actual = count_together(kinds, axis=0)
    entries = count_entries(inputs.where, inputs.actual.shape, axis=0)
    return state.merge(ConfusionCounts(tp, predicted, actual, entries))


def _total(counts: Array) -> Array:
    """Returns the sum over labels, (L,) to (1,), as a float, because it may not fit an int32."""
    return jnp.sum(counts.astype(result_dtype()), keepdims=True)
