"""Probabilities as the argument of a decision, with what is not a probability set to 0."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.sharding import whole


def probabilities_or_zero(probabilities: ArrayLike, where: ArrayLike | None) -> tuple[Array, Array]:
    """Returns probabilities, 0 where masked or invalid, and a bool mask of the other entries."""
    p = checks.float_array("probabilities", probabilities)
    p = whole(p.astype(compute_dtype(p)))
    mask = checks.mask("where", where, p.shape)
    eligible = (p >= 0) & (p <= 1)
    eligible = eligible if mask is None else eligible & whole(mask)
    return jnp.where(eligible, p, 0), eligible
