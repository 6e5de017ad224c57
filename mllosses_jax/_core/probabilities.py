"""What functions of probabilities are computed from: scores that are said to be one or the other.

Nothing is guessed from the values: a batch of logits may well lie in [0, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar, cast, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.numerics import sigmoid_pair
from mllosses_jax._core.sets import Scored, scored

Array = jax.Array
P = ParamSpec("P")
R = TypeVar("R")
Inputs = Literal["logits", "probabilities"]


def check_inputs(inputs: object) -> None:
    """Raises ValueError unless `inputs` says what the scores are."""
    checks.one_of("inputs", inputs, get_args(Inputs))


def forecasts(
    scores: ArrayLike, labels: ArrayLike, inputs: Inputs, where: ArrayLike | None
) -> Scored:
    """Checks scores and labels, both (N, L); returns them with probabilities as scores."""
    given = scores_or_zero(scores, labels, where)
    return given._replace(scores=probabilities_of(given.scores, inputs))


def scores_or_zero(scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None) -> Scored:
    """Checks scores and labels, both (N, L); the score of what is masked becomes 0."""
    given = scored(scores, labels, where)
    if given.where is None:
        return given
    return given._replace(scores=jnp.where(given.where, given.scores, 0))


def probabilities_of(scores: Array, inputs: Inputs) -> Array:
    """Returns the probabilities that scores stand for, NaN where they are none."""
    check_inputs(inputs)
    if inputs == "logits":
        return sigmoid_pair(scores)[0]
    return jnp.where((scores >= 0) & (scores <= 1), scores, jnp.nan)


def checks_probabilities(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function of (scores, ..., *, inputs, where) refuse concrete scores outside [0, 1].

    Only values can show that logits were passed as probabilities, so an eager call waits for them.
    Under a transformation there are none: the function must not make a number of such a score.
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("inputs") == "probabilities":
            scores = args[0] if args else kwargs.get("scores")
            check_range(
                f'{function.__name__}: scores must lie in [0, 1] with inputs="probabilities"',
                scores,
                kwargs.get("where"),
            )
        return function(*args, **kwargs)

    return wrapper


def takes_probabilities(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function of (probabilities, ..., *, where) refuse concrete ones outside [0, 1]."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = args[0] if args else kwargs.get("probabilities")
        check_range(
            f"{function.__name__}: probabilities must lie in [0, 1]", given, kwargs.get("where")
        )
        return function(*args, **kwargs)

    return wrapper


def check_range(demand: str, scores: Any, where: Any) -> None:
    """Raises ValueError, which begins with the demand, if a known score is outside [0, 1]."""
    if not isinstance(scores, jax.Array | np.ndarray):
        return
    if isinstance(scores, jax.core.Tracer) or isinstance(where, jax.core.Tracer):
        return
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        return  # the function itself refuses them, and knows what it calls them
    with jax.ensure_compile_time_eval():  # arrays that a traced function closes over, too
        low, high = cast(tuple[float, float], jax.device_get(_range(scores, where=where)))
    if low < 0 or high > 1:
        raise ValueError(f"{demand}, got values from {low:g} to {high:g}; were logits passed?")


@compiled()
def _range(scores: ArrayLike, *, where: ArrayLike | None) -> tuple[Array, Array]:
    """Returns the lowest and the highest score that counts, NaN left out."""
    s = checks.float_array("scores", scores)
    s = s.astype(compute_dtype(s))
    mask = checks.mask("where", where, s.shape)
    known = ~jnp.isnan(s) if mask is None else ~jnp.isnan(s) & mask
    low = jnp.min(s, where=known, initial=jnp.inf)
    high = jnp.max(s, where=known, initial=-jnp.inf)
    return low, high
