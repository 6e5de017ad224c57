"""The data that calibrators are fitted to: checked entries, with labels as rows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.values import check_labels, fits_labels

P = ParamSpec("P")
R = TypeVar("R")


class Entries(NamedTuple):
    """Rows of logits with labels in [0, 1] and weights, which are 0 where masked."""

    x: Array  # float (R, n)
    y: Array  # float (R, n)
    w: Array  # float (R, n)

    def rarer(self) -> Array:
        """Returns the weight of the rarer class of each row, (R,)."""
        positive = jnp.sum(self.w * self.y, axis=1)
        return jnp.minimum(positive, jnp.sum(self.w * (1 - self.y), axis=1))

    def has_nan(self) -> Array:
        """Returns whether a logit or label that counts is NaN, ()."""
        return jnp.any((self.w != 0) & (jnp.isnan(self.x) | jnp.isnan(self.y)))

    def pooled(self) -> Entries:
        """Returns the same entries as one row."""
        return Entries(*(values.reshape(1, -1) for values in self))


def entries(
    logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None, where: ArrayLike | None
) -> Entries:
    """Returns checked logits and labels (N, L), weighted per sample (N,) and masked, as rows."""
    inputs = loss_inputs(logits, labels, where)
    x = inputs.x
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"logits must have two axes, samples and labels: expected (N, L), got {x.shape}"
        )
    w = inputs.counted().astype(x.dtype)
    if weights is not None:
        given = checks.array("weights", weights)
        if given.shape != x.shape[:1]:
            raise ValueError(
                f"weights must have one entry per sample: expected {x.shape[:1]}, got {given.shape}"
            )
        w = w * given.astype(x.dtype)[:, None]
    # A sample of weight 0 may hold NaN.
    x, y = jnp.where(w == 0, 0, x), jnp.where(w == 0, 0, inputs.soft_y)
    return Entries(x.T, y.T, w.T)


def takes_soft_labels(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a function of (logits, labels, *, weights, where) check labels that have weight."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        given: dict[str, Any] = {**dict(zip(("logits", "labels"), args, strict=False)), **kwargs}
        if _fit_together(given):  # if not, the function itself raises a more helpful error
            where, weights = given.get("where"), given.get("weights")
            if weights is not None:
                with jax.ensure_compile_time_eval():
                    weighed = jnp.asarray(weights)[:, None] != 0
                    where = weighed if where is None else weighed & where
            check_labels(function.__name__, given["labels"], where)
        return function(*args, **kwargs)

    return wrapper


def _fit_together(given: dict[str, Any]) -> bool:
    if not {"logits", "labels"} <= given.keys() or not fits_labels(given):
        return False
    return (
        given.get("weights") is None or np.shape(given["weights"]) == np.shape(given["labels"])[:1]
    )
