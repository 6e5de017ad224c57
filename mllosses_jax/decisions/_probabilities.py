"""Probabilities as the only argument of a decision: logits by mistake are refused where seen."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype

Array = jax.Array
P = ParamSpec("P")
R = TypeVar("R")


def takes_probabilities(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function of (probabilities, ..., *, where) refuse concrete ones outside [0, 1]."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = args[0] if args else kwargs.get("probabilities")
        where: Any = kwargs.get("where")
        known = isinstance(given, jax.Array | np.ndarray)
        if known and not isinstance(given, jax.core.Tracer) | isinstance(where, jax.core.Tracer):
            low, high = jax.device_get(_range(given, where=where))
            if low < 0 or high > 1:
                raise ValueError(
                    f"{function.__name__}: probabilities must lie in [0, 1], got values from "
                    f"{low:g} to {high:g}; were logits passed?"
                )
        return function(*args, **kwargs)

    return wrapper


def probabilities_or_zero(probabilities: ArrayLike, where: ArrayLike | None) -> tuple[Array, Array]:
    """Returns probabilities, 0 where they are masked or none, and bool: where they are neither."""
    p = checks.float_array("probabilities", probabilities)
    p = p.astype(compute_dtype(p))
    mask = checks.mask("where", where, p.shape)
    eligible = (p >= 0) & (p <= 1)
    eligible = eligible if mask is None else eligible & mask
    return jnp.where(eligible, p, 0), eligible


@compiled()
def _range(probabilities: ArrayLike, *, where: ArrayLike | None) -> tuple[Array, Array]:
    """Returns the lowest and the highest probability that counts, NaN left out."""
    p = checks.float_array("probabilities", probabilities)
    p = p.astype(compute_dtype(p))
    mask = checks.mask("where", where, p.shape)
    known = ~jnp.isnan(p) if mask is None else ~jnp.isnan(p) & mask
    low = jnp.min(p, where=known, initial=jnp.inf)
    return low, jnp.max(p, where=known, initial=-jnp.inf)
