"""Gradient descent for the losses that quasi-Newton steps do not bring to rest.

Hinges and their kin have kinks, at which no slope vanishes; pseudo-labels and clamped risks have
slopes that jump. Adam whose steps shrink to nothing settles there: on emotions its objectives of
six such losses lie up to 1e-4 below those that L-BFGS stops at, that of the positive-unlabelled
risk 6 %.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from mllosses_jax.compare.lbfgs import Floats, Solution

ADAM = optax.scale_by_adam(eps=1e-15)
STEPS = 400
SHARE = 0.1  # the first step, as a share of the typical parameter


def settle(slope: Callable[[Floats], Floats], solution: Solution) -> Solution:
    """Goes on from a solution of L-BFGS; the evaluations count on.

    Args:
        slope: ``params (D, K) -> slope (D, K)``.
        solution: where L-BFGS stopped.
    """
    first = SHARE * max(float(np.sqrt(np.mean(solution.params**2))), 1e-3)
    sizes = first * (1 + np.cos(np.pi * np.arange(STEPS) / STEPS)) / 2
    params = jnp.asarray(solution.params)
    state = ADAM.init(params)
    for size in sizes.astype(np.float32):
        at = slope(np.asarray(params))
        with jax.numpy_dtype_promotion("standard"):  # optax counts steps in int32
            params, state = _step(params, state, at, size)
    norm = float(np.linalg.norm(slope(np.asarray(params))))
    return Solution(np.asarray(params), norm, solution.evaluations + STEPS + 1)


@jax.jit
def _step(params: Array, state: Any, slope: Array, size: Array) -> tuple[Array, Any]:
    direction, state = ADAM.update(slope, state)
    return params - size * direction, state
