"""Histograms of scores, which give thresholds, and areas under curves with bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import PartitionSpec as Spec
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import step
from mllosses_jax._core.probabilities import ScoreKind, check_inputs
from mllosses_jax._core.sets import Scored, fbeta_denominator, result_dtype, scored
from mllosses_jax._core.sharding import names_of, on_shards, spec_of
from mllosses_jax._core.values import check_probabilities
from mllosses_jax.metrics._averaging import Undefined, check_undefined, refuses_undefined
from mllosses_jax.metrics.streaming._accumulator import (
    Accumulator,
    check_known_labels,
    check_label_axis,
    check_size,
)
from mllosses_jax.metrics.streaming._bounds import (
    Bins,
    Bounds,
    Bracket,
    average_precision_bounds,
    bins_of_counts,
    bracket,
    pooled,
    roc_auc_bounds,
)
from mllosses_jax.metrics.streaming._grid import bins_of, check_bins, grid
from mllosses_jax.metrics.streaming.counts import LabelAverage


class BinnedCurve(NamedTuple):
    """Precision and recall of predicting every score that reaches a threshold.

    Attributes:
        thresholds: the thresholds, ascending from -inf, (T,).
        precision: exact at each threshold, 1 where nothing is predicted, (L, T).
        recall: exact at each threshold, NaN for a label without positives, (L, T).
    """

    thresholds: Array
    precision: Array
    recall: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ScoreHistogram(Accumulator):
    """Histogram of the scores of each label, over any number of batches.

    It gives average precision and the area under the ROC curve, with bounds between which the exact
    value lies for any scores; precision and recall, exact at every edge of a bin; and thresholds.
    Half of the bins are uniform in probability and half in logit over ±16, so that neither flat nor
    sharp scores crowd into a few bins. Counts are exact up to 2³¹ − 1 entries of a label. Scores
    are taken as float32.

    Attributes:
        cells: negatives and positives per label and bin, int32 (L, T + 1, 2); the last "bin" holds
            the entries that count but whose score is NaN, or outside [0, 1] where it should be a
            probability. A label with such an entry is NaN in every result.
        inputs: what the scores are, "logits" or "probabilities".

    Reference:
        The binned curves of torchmetrics and Keras use bins as thresholds, but give no bounds.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.metrics import streaming
        >>> histogram = streaming.ScoreHistogram.init(1, inputs="probabilities")
        >>> histogram = histogram.update(jnp.array([[0.9], [0.6]]), jnp.array([[1], [0]]))
        >>> histogram = histogram.update(jnp.array([[0.3], [0.1]]), jnp.array([[1], [0]]))
        >>> ap = histogram.average_precision()
        >>> print(f"{ap.lower:.4f} {ap.estimate:.4f} {ap.upper:.4f}")
        0.8333 0.8333 0.8333
        >>> print(f"{histogram.roc_auc().estimate:.4f}")
        0.7500
        >>> print(histogram.best_thresholds())
        [0.29882812]
    """

    cells: Array
    inputs: ScoreKind = dataclasses.field(metadata={"static": True})

    @classmethod
    def init(cls, num_labels: int, *, inputs: ScoreKind, bins: int = 1024) -> Self:
        """Returns the histogram of no data.

        Args:
            num_labels: the number of labels, L.
            inputs: what the scores will be, "logits" or "probabilities".
            bins: the number of bins, T, an even integer from 4 to 65536; the histogram takes
                8·L·T bytes.

        Raises:
            ValueError: if an argument is none of these, or L·(T + 1) is 2³⁰ or more.
        """
        check_size("num_labels", num_labels)
        check_inputs(inputs)
        check_bins(bins)
        if num_labels * (bins + 1) >= 2**30:
            raise ValueError(
                f"num_labels * (bins + 1) must be less than 2^30, got {num_labels} * {bins + 1}; "
                f"split the labels over several histograms"
            )
        return cls(jnp.zeros((num_labels, bins + 1, 2), jnp.int32), inputs)

    @property
    def counts(self) -> Array:
        """Negatives and positives per label and bin, int32 (L, T, 2)."""
        return self.cells[:, :-1]

    @property
    def invalid(self) -> Array:
        """Number of entries of each label that count but hold no valid score, int32 (L,)."""
        return jnp.sum(self.cells[:, -1], axis=-1, dtype=jnp.int32)

    def update(
        self, scores: ArrayLike, labels: ArrayLike, *, where: ArrayLike | None = None
    ) -> Self:
        """Returns the histogram with a batch added, by one scatter-add.

        Args:
            scores: float array (N, L), logits or probabilities as `inputs` says.
            labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
            where: bool, (N, L) with axes equal or 1: which entries count.

        Raises:
            TypeError: if scores are not floating point, or where is not bool.
            ValueError: if shapes differ, L is not that of the histogram, or a numpy array holds a
                score that counts but is not a probability where it should be one, or a label that
                counts but does not lie in [0, 1]. (In a JAX array, such scores count as invalid.)
        """
        # Looking at the values of a JAX array would wait for the device.
        if self.inputs == "probabilities" and isinstance(scores, np.ndarray):
            check_probabilities(
                'scores must lie in [0, 1] with inputs="probabilities"', scores, where
            )
        check_known_labels(labels, where)
        total: Self = _with_batch(self, scores, labels, where)
        return total

    @refuses_undefined
    def average_precision(
        self, *, average: LabelAverage = "macro", undefined: Undefined = "skip"
    ) -> Bracket:
        """Returns bounds of `metrics.average_precision` of all batches, and their middle.

        Args:
            average: "macro", "weighted", "micro" or None, as there.
            undefined: how to treat a label without positives: "skip", "nan", "zero" or "raise".

        Raises:
            ValueError: if an option is unknown, or with undefined="raise" if a value is not
                defined, or under a transformation.
        """
        return _bounded(self, average_precision_bounds, average, undefined)

    @refuses_undefined
    def roc_auc(self, *, average: LabelAverage = "macro", undefined: Undefined = "skip") -> Bracket:
        """Returns bounds of `metrics.roc_auc` of all batches, and their middle.

        Args:
            average: "macro", "weighted", "micro" or None, as there.
            undefined: how to treat a label that is always positive or always negative: "skip",
                "nan", "zero" or "raise".

        Raises:
            ValueError: if an option is unknown, or with undefined="raise" if a value is not
                defined, or under a transformation.
        """
        return _bounded(self, roc_auc_bounds, average, undefined)

    def compute(
        self, *, average: LabelAverage = "macro", undefined: Undefined = "skip"
    ) -> dict[str, Bracket]:
        """Returns average_precision and roc_auc by name, each with its bounds.

        Args:
            average: "macro", "weighted", "micro" or None.
            undefined: how to treat a label whose value is undefined: "skip", "nan", "zero" or
                "raise".

        Raises:
            ValueError: if an option is unknown, or with undefined="raise" if a value is not
                defined, or under a transformation.
        """
        options = {"average": average, "undefined": undefined}
        return {
            "average_precision": self.average_precision(**options),  # type: ignore[arg-type]
            "roc_auc": self.roc_auc(**options),  # type: ignore[arg-type]
        }

    def thresholds(self) -> Array:
        """Returns the least score of each bin, ascending from -inf, float32 (T,)."""
        edges = grid(self.counts.shape[1], self.inputs).edges
        return jnp.concatenate([jnp.full(1, -jnp.inf, jnp.float32), jnp.asarray(edges)])

    def precision_recall_curve(self) -> BinnedCurve:
        """Returns the exact precision and recall of each label at each threshold."""
        bins = _bins_of_labels(self)
        tp = bins.positives_above + bins.positives
        predicted = tp + bins.negatives_above + bins.negatives
        num_positives = bins.totals()[0][:, None]
        valid = (self.invalid == 0)[:, None]
        precision = jnp.where(predicted == 0, 1, tp / jnp.maximum(predicted, 1))
        recall = jnp.where(num_positives == 0, jnp.nan, tp / jnp.maximum(num_positives, 1))
        return BinnedCurve(
            self.thresholds(),
            jnp.where(valid, precision, jnp.nan),
            jnp.where(valid, recall, jnp.nan),
        )

    def best_thresholds(
        self, *, beta: ArrayLike = 1.0, scope: Literal["label", "global"] = "label"
    ) -> Array:
        """Returns the thresholds, among `thresholds`, with the highest F-beta of all batches.

        The highest of equally good ones is chosen, so that a label without positives is hardly ever
        predicted.

        Args:
            beta: β ≥ 0 of F-beta.
            scope: "label" finds the best threshold of each label, (L,); "global" one for all
                labels, (), which maximises micro-averaged F-beta.

        Raises:
            ValueError: if an option is unknown, or beta is negative.
        """
        checks.one_of("scope", scope, ("label", "global"))
        overall = scope == "global"
        bins = _bins_of_all(self) if overall else _bins_of_labels(self)
        tp = bins.positives_above + bins.positives
        predicted = tp + bins.negatives_above + bins.negatives
        num_positives = bins.totals()[0][:, None]
        denominator = fbeta_denominator(beta, num_positives, predicted, result_dtype())
        f_beta = jnp.where(denominator == 0, 0, tp / jnp.where(denominator == 0, 1, denominator))
        highest = f_beta.shape[1] - 1 - jnp.argmax(f_beta[:, ::-1], axis=1)
        invalid = jnp.any(self.invalid > 0, keepdims=True) if overall else self.invalid > 0
        found = self.thresholds().at[highest].get(out_sharding=jax.typeof(highest).sharding)
        thresholds = jnp.where(invalid, jnp.nan, found)
        return thresholds[0] if overall else thresholds


@jax.jit(inline=True)
def _with_batch(
    state: ScoreHistogram, scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None
) -> ScoreHistogram:
    inputs = scored(scores, labels, where)
    check_label_axis("scores", inputs.scores, state.cells.shape[0])
    # Entries are sent to the devices that hold the counts of their labels.
    labels_axes, sample_axes = spec_of(state.cells)[0], names_of(spec_of(inputs.scores)[0])
    sample_axes = tuple(name for name in sample_axes if name not in names_of(labels_axes))

    def count(cells: Array, batch: Scored) -> Array:
        if not sample_axes:
            return _counted(cells, batch, state.inputs)
        counts = _counted(jnp.zeros_like(cells), batch, state.inputs)
        everywhere: Array = lax.psum(counts, sample_axes)
        return cells + everywhere

    of_labels = Spec(labels_axes)
    specs = of_labels, Spec(sample_axes or None, labels_axes)
    cells: Array = on_shards(count, (state.cells, inputs), specs, of_labels)
    return ScoreHistogram(cells, state.inputs)


def _counted(cells: Array, batch: Scored, inputs: ScoreKind) -> Array:
    """Returns the cells of some labels with their entries added."""
    num_labels, rows, _ = cells.shape
    bins = bins_of(batch.scores.astype(jnp.float32), rows - 1, inputs)
    # One index per entry, because three take twice the time. Entries that do not count are sent
    # past the end.
    label = 2 * rows * jnp.arange(num_labels, dtype=jnp.int32)[None, :]
    entry = label + 2 * bins + batch.actual.astype(jnp.int32)
    if batch.where is not None:
        entry = jnp.where(batch.where, entry, cells.size)
    flat = cells.reshape(-1).at[entry].add(1, mode="drop", wrap_negative_indices=False)
    return flat.reshape(cells.shape)


@step("bounds_of", "average", "undefined")
def _bounded(
    state: ScoreHistogram,
    bounds_of: Callable[[Bins], Bounds],
    average: LabelAverage,
    undefined: Undefined,
) -> Bracket:
    checks.one_of("average", average, ("micro", "macro", "weighted", None))
    check_undefined(undefined)
    micro = average == "micro"
    bins = _bins_of_all(state) if micro else _bins_of_labels(state)
    broken = jnp.any(state.invalid > 0, keepdims=True) if micro else state.invalid > 0
    return bracket(bounds_of(bins), bins.totals(), broken, average, undefined)


def _bins_of_labels(state: ScoreHistogram) -> Bins:
    bins: Bins = bins_of_counts(state.counts)
    return bins


def _bins_of_all(state: ScoreHistogram) -> Bins:
    bins: Bins = bins_of_counts(pooled(state.counts))
    return bins
