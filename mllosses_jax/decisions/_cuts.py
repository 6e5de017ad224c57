"""All cut-offs of ranked scores: their predictions, true positives and thresholds.

A cut follows a group of tied scores; its threshold is placed halfway to the next score below.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.ordering import Ranking, ranked, ranking_keys, scores_of_keys
from mllosses_jax._core.sets import Scored, fbeta_denominator
from mllosses_jax._core.sharding import whole_rows

SCOPES = ("label", "global")


class Cuts(NamedTuple):
    """Entries (R, n) in ranked order, and the cut after each; no cut admits a NaN score."""

    ranking: Ranking
    tp: Array  # int32 (R, n), the positives above the cut
    exists: Array  # bool (R, n), false within a group of tied scores
    dtype: jnp.dtype  # the dtype of the scores

    @property
    def predicted(self) -> Array:
        """The number of entries above each cut, int32."""
        return self.ranking.rank

    def highest_best(self, values: Array) -> tuple[Array, Array]:
        """Returns the place of the best cut of each row and its value; the highest wins a tie.

        For a row without a cut the place is meaningless and the value is -∞.
        """
        values = jnp.where(self.exists, values, -jnp.inf)
        best = jnp.max(values, axis=1, keepdims=True)
        size = values.shape[1]
        rank = jnp.min(jnp.where(values == best, self.predicted, size), axis=1)
        return rank - 1, best[:, 0]

    def threshold_at(self, place: Array) -> Array:
        """Returns the threshold of the cut at the given place of each row, (R,)."""
        keys = self.ranking.keys
        after = jnp.minimum(place + 1, keys.shape[1] - 1)
        pair = jnp.take_along_axis(keys, jnp.stack([place, after], axis=1), axis=1)
        above, below = scores_of_keys(pair, self.dtype).T
        return _halfway(above, below)

    def thresholds(self) -> Array:
        """Returns the thresholds of all cuts, (R, n)."""
        scores = scores_of_keys(self.ranking.keys, self.dtype)
        return _halfway(scores, jnp.concatenate([scores[:, 1:], scores[:, -1:]], axis=1))


def cuts_of(rows: Scored) -> Cuts:
    """Returns the cuts of each row."""
    candidate = ~jnp.isnan(rows.scores)
    candidate = candidate if rows.where is None else candidate & rows.where
    ranking = ranked(ranking_keys(rows.scores, candidate), rows.actual & candidate)
    tp, _ = ranking.running_count(ranking.positive)
    counts = ranking.keys != jnp.iinfo(ranking.keys.dtype).max
    return Cuts(ranking, tp, ranking.group_end & counts, rows.scores.dtype)


def f_beta(cuts: Cuts, rows: Scored, beta: ArrayLike) -> Array:
    """Returns F-beta of every cut, (R, n), for rows that have a positive."""
    num_positives = rows.num_positives()[:, None]
    denominator = fbeta_denominator(beta, num_positives, cuts.predicted, cuts.dtype)
    return cuts.tp.astype(cuts.dtype) / denominator


def scoped(inputs: Scored, scope: str) -> Scored:
    """Returns the rows that get a threshold each: the labels, or everything as one row."""
    checks.one_of("scope", scope, SCOPES)
    rows = inputs.transposed() if scope == "label" else inputs.flattened()
    whole: Scored = jax.tree.map(whole_rows, rows)
    return whole


def in_scope(thresholds: Array, scope: str) -> Array:
    """Returns the thresholds of the rows of `scoped` as (L,) or, for scope "global", ()."""
    return thresholds if scope == "label" else thresholds[0]


def _halfway(above: Array, below: Array) -> Array:
    halfway = above / 2 + below / 2
    # There is no float between neighbours, no finite one halfway to infinity, and no neighbour
    # below the lowest score (where it is NaN).
    return jnp.where((below < halfway) & (halfway <= above), halfway, above)
