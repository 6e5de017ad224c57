"""Bounds of areas under curves from the counts of bins, for any order inside each bin."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import PartitionSpec as Spec

from mllosses_jax._core.sets import result_dtype
from mllosses_jax._core.sharding import on_shards, spec_of, whole
from mllosses_jax.metrics._averaging import Average, Undefined, mean_of_defined


class Bracket(NamedTuple):
    """A number known up to an interval.

    Attributes:
        estimate: the middle of the interval, () or (L,), as are the bounds.
        lower: the exact value is not below this.
        upper: the exact value is not above this.
    """

    estimate: Array
    lower: Array
    upper: Array


class Bins(NamedTuple):
    """Counts in the bins of each row, (R, T), in ascending order of the score, as floats.

    Attributes:
        positives: the positives in each bin.
        negatives: the negatives in each bin.
        positives_above: the positives in all higher bins.
        negatives_above: the negatives in all higher bins.
    """

    positives: Array
    negatives: Array
    positives_above: Array
    negatives_above: Array

    def totals(self) -> tuple[Array, Array]:
        """Returns the positives and the negatives of each row, (R,) each."""
        positives = self.positives[:, 0] + self.positives_above[:, 0]
        return positives, self.negatives[:, 0] + self.negatives_above[:, 0]


class Bounds(NamedTuple):
    """Bounds of the value of each row, (R,), and whether it is defined."""

    lower: Array
    upper: Array
    defined: Array


@jax.jit(inline=True)
def bins_of_counts(counts: Array) -> Bins:
    """Returns the counts (R, T, 2), negatives first, together with those of all higher bins."""
    counts = counts.astype(result_dtype())
    # A scan adds in a tree, so that for counts above 2²⁴ rounding grows only with log T.
    cumulative = lax.associative_scan(jnp.add, counts, axis=1, reverse=True)
    above = jnp.pad(cumulative[:, 1:], ((0, 0), (0, 1), (0, 0)))
    return Bins(counts[..., 1], counts[..., 0], above[..., 1], above[..., 0])


@jax.jit(inline=True)
def pooled(counts: Array) -> Array:
    """Returns the counts (L, T, 2) of all labels together, (1, T, 2).

    They are floats because they may not fit an int32.
    """
    # Each device adds up the labels that it holds.
    spec = Spec(spec_of(counts)[0])
    parts = on_shards(_sum_labels, [counts.astype(result_dtype())], [spec], spec)
    return _sum_labels(whole(parts))


def _sum_labels(counts: Array) -> Array:
    return sum_tree(jnp.moveaxis(counts, 0, -1))[None]


@jax.jit(inline=True)
def average_precision_bounds(bins: Bins) -> Bounds:
    """Returns bounds of the average precision with ties grouped.

    Let a bin hold p positives and n negatives, with P and N above it. The exact value is the mean
    over all positives of (P + r) / (P + r + N + k), where r and k count the positives and negatives
    of the bin whose score is at least that of the positive.

    Upper: r ≤ p and k ≥ 0, and the fraction rises with r and falls with k, so each positive adds
    at most (P + p) / (P + p + N). It adds exactly that if all p are tied above all n.

    Lower: number the positives of the bin by descending score, with ties in any order; then r ≥ i
    for the i-th, and k ≤ n, so it adds at least f(i) = (P + i) / (M + i) with M = P + N + n. The
    sum of f over i = 1 ... p, which is reached if all n come before p distinct scores, is itself
    at least
        p·(f(1) + f(p)) / 2, because f is concave, so that f(i) + f(p + 1 − i) ≥ f(1) + f(p), and
        p − (N + n)·log(1 + p / (M + ½)), because f(i) = 1 − (N + n) / (M + i), and 1/x, being
        convex, is at most its integral from x − ½ to x + ½.
    The first is exact for p ≤ 2, and the second is nearly so for large M.
    """
    p, n, above, wrong = bins
    new = jnp.maximum(p, 1)
    upper = p * (above + p) / jnp.maximum(above + p + wrong, 1)
    size = above + wrong + n
    ends = (above + 1) / (size + 1) + (above + new) / (size + new)
    lower = jnp.maximum(p * ends / 2, p - (wrong + n) * jnp.log1p(p / (size + 0.5)))
    positives, _ = bins.totals()
    share = jnp.maximum(positives, 1)[:, None]
    return Bounds(sum_tree(lower / share), sum_tree(upper / share), positives > 0)


@jax.jit(inline=True)
def roc_auc_bounds(bins: Bins) -> Bounds:
    """Returns bounds of the area under the ROC curve.

    The order of a pair from two bins is known; each of the p·n pairs in one bin is worth 0, ½ or 1.
    """
    positives, negatives = bins.totals()
    share = bins.positives / jnp.maximum(positives, 1)[:, None]
    # Counting the negatives that are not below avoids cancellation.
    above, inside = (
        x / jnp.maximum(negatives, 1)[:, None] for x in (bins.negatives_above, bins.negatives)
    )
    lower = 1 - sum_tree(share * (above + inside))
    upper = 1 - sum_tree(share * above)
    return Bounds(lower, upper, (positives > 0) & (negatives > 0))


def bracket(
    bounds: Bounds,
    counts: tuple[Array, Array],
    broken: Array,
    average: Average,
    undefined: Undefined,
) -> Bracket:
    """Returns the average of the bounds of rows, (R,), widened by the possible rounding error."""
    lower, upper, defined = bounds
    positives, negatives = counts
    exists = (positives + negatives > 0) | broken
    lower, upper = (
        mean_of_defined(values, defined, exists, broken, average, undefined, positives)
        for values in (lower, upper)
    )
    # Fewer than 128 roundings of numbers in [0, 1] lead from counts to bounds.
    margin = 128 * jnp.finfo(lower.dtype).eps
    return Bracket(
        lower / 2 + upper / 2,
        jnp.clip(lower - margin, 0, 1),
        jnp.clip(upper + margin, 0, 1),
    )


def sum_tree(values: Array) -> Array:
    """Returns the sum over the last axis, adding halves to halves, which rounds log₂ T times."""
    while (size := values.shape[-1]) > 1:
        half = -(-size // 2)
        rest = jnp.pad(values[..., half:], [(0, 0)] * (values.ndim - 1) + [(0, 2 * half - size)])
        values = values[..., :half] + rest
    return values[..., 0]
