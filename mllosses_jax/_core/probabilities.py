"""Scores as probabilities, for functions whose caller says what the scores are.

Nothing is guessed from the values, because a batch of logits may well lie in [0, 1].
"""

from __future__ import annotations

from typing import Literal, get_args

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.numerics import sigmoid_pair
from mllosses_jax._core.sets import Scored, scored

ScoreKind = Literal["logits", "probabilities"]


def check_inputs(inputs: object) -> None:
    """Raises ValueError unless `inputs` is a kind of score."""
    checks.one_of("inputs", inputs, get_args(ScoreKind))


def forecasts(
    scores: ArrayLike, labels: ArrayLike, inputs: ScoreKind, where: ArrayLike | None
) -> Scored:
    """Checks scores and labels, both (N, L); returns them with probabilities as scores."""
    given = scores_or_zero(scores, labels, where)
    return given._replace(scores=probabilities_of(given.scores, inputs))


def scores_or_zero(scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None) -> Scored:
    """Checks scores and labels, both (N, L); masked scores become 0."""
    given = scored(scores, labels, where)
    if given.where is None:
        return given
    return given._replace(scores=jnp.where(given.where, given.scores, 0))


def probabilities_of(scores: Array, inputs: ScoreKind) -> Array:
    """Returns scores as probabilities, with NaN for values outside [0, 1]."""
    check_inputs(inputs)
    if inputs == "logits":
        return sigmoid_pair(scores)[0]
    return jnp.where(is_probability(scores), scores, jnp.nan)


def is_probability(scores: Array) -> Array:
    """Returns which scores lie in [0, 1]."""
    zero, one = jnp.zeros((), scores.dtype), jnp.ones((), scores.dtype)
    return lax.clamp(zero, scores, one) == scores
