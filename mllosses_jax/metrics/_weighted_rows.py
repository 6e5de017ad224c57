"""Rankings of rows whose entries carry weights: running sums take the place of running counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core.compile import step
from mllosses_jax._core.ordering import by_row, group_ends, ranking_keys, sort_with_places
from mllosses_jax._core.sets import Scored
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax.metrics._averaging import Average
from mllosses_jax.metrics._rows import Facts, facts_of, rows_of


class Cuts(NamedTuple):
    """Weights of the entries above each cut-off of ranked rows, floats (R, n).

    A cut-off is the end of a group of tied scores. Each field has its value at a cut-off in the
    place of the group's last entry, and that of the cut-off before in the other places.
    """

    tp: Array  # the weight of the positives that score at least as high
    fp: Array  # the weight of the negatives that score at least as high
    tp_before: Array  # tp at the cut-off before
    fp_before: Array  # fp at the cut-off before


@step("of_cuts", "average")
def value_per_weighted_row(
    of_cuts: Callable[..., Array],
    inputs: Scored,
    weights: Array | None,
    *parameters: ArrayLike | None,
    average: Average,
) -> tuple[Array, Facts, Array]:
    """Returns a value per row, (R,), the facts about the rows, and the weight of their positives.

    Args:
        of_cuts: a function that returns the values of rows, (R,), from their cut-offs.
        inputs: scores and labels, (N, L).
        weights: the weights of the samples, (N,); None for ones. An entry of weight 0 does not
            count, and one whose weight is no number makes its row NaN. Only their ratios matter.
            They do not enter a row that is a sample.
        *parameters: further arguments of `of_cuts`.
        average: the average, which says what the rows are.
    """
    dtype = inputs.scores.dtype
    scores, counted = inputs.scores, inputs.counted()
    weight = jnp.ones(scores.shape, dtype)
    if weights is not None and average != "samples":
        w = weights.astype(dtype)
        known = jnp.isfinite(w)
        w = jnp.where(known, w, 0)
        largest = jnp.max(w)  # products of weights up to 1 do not overflow
        w = w / jnp.where(largest > 0, largest, 1)
        scores = jnp.where(known[:, None], scores, jnp.nan)
        counted = counted & ((w > 0) | ~known)[:, None]
        weight = jnp.broadcast_to(w[:, None], weight.shape)
    counting = Scored(scores, inputs.actual & counted, counted)
    facts = facts_of(counting, average=average)
    rows = rows_of(counting, average)
    weight = rows_of(Scored(weight, counted, None), average).scores
    cuts = _cuts_of(rows, jnp.where(rows.counted(), weight, 0))
    return of_cuts(cuts, *parameters), facts, cuts.tp[:, -1]


def _cuts_of(rows: Scored, weight: Array) -> Cuts:
    keys, order = sort_with_places(ranking_keys(rows.scores, rows.where))
    weight, positive = (by_row(jnp.take)(whole_rows(x), order) for x in (weight, rows.actual))
    group_end = group_ends(keys)

    def at_cuts(weights: Array) -> tuple[Array, Array]:
        # Running sums of weights ascend, so the last cut-off has the largest so far.
        sums = jnp.where(group_end, jnp.cumsum(weights, axis=1), 0)
        latest = lax.cummax(sums, axis=1)
        return latest, jnp.pad(latest[:, :-1], ((0, 0), (1, 0)))

    (tp, tp_before), (fp, fp_before) = (
        at_cuts(jnp.where(chosen, weight, 0)) for chosen in (positive, ~positive)
    )
    return Cuts(tp, fp, tp_before, fp_before)


def average_precisions(cuts: Cuts) -> Array:
    """Returns the average precision of each row, (R,); 0 for a row without positives."""
    predicted = cuts.tp + cuts.fp
    precision = cuts.tp / jnp.where(predicted > 0, predicted, 1)
    total = jnp.sum((cuts.tp - cuts.tp_before) * precision, axis=1)
    return total / _at_least_some(cuts.tp[:, -1])


def areas(cuts: Cuts, max_fpr: ArrayLike | None) -> Array:
    """Returns the area under the ROC curve of each row, (R,), up to a false positive rate.

    The points of the curve are joined by straight lines. A partial area is standardised: .5 is the
    area of the diagonal, and 1 the largest.
    """
    # A difference of the weights of all and of the positives could be rounded to nothing.
    negatives = _at_least_some(cuts.fp[:, -1:])
    limit = negatives if max_fpr is None else negatives * max_fpr
    width = cuts.fp - cuts.fp_before
    start, end = jnp.minimum(cuts.fp_before, limit), jnp.minimum(cuts.fp, limit)
    slope = (cuts.tp - cuts.tp_before) / jnp.where(width > 0, width, 1)
    middle = cuts.tp_before + slope * ((start + end) / 2 - cuts.fp_before)
    area = jnp.sum((end - start) * middle, axis=1)
    area = area / (negatives[:, 0] * _at_least_some(cuts.tp[:, -1]))
    if max_fpr is None:
        return area
    least, most = max_fpr * max_fpr / 2, max_fpr
    return (1 + (area - least) / (most - least)) / 2


def _at_least_some(weights: Array) -> Array:
    return jnp.where(weights > 0, weights, 1)
