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

from mllosses_jax.compare.lbfgs import Floats, Solution

Array = jax.Array

STEPS = 400
SHARE = 0.1  # the first step, as a share of the typical parameter


def settle(slope: Callable[[Floats], Floats], solution: Solution) -> Solution:
    """Goes on from a solution of L-BFGS; the evaluations count on.

    Args:
        slope: ``params (D, K) -> slope (D, K)``.
        solution: where L-BFGS stopped.
    """
    import optax

    scale = max(float(np.sqrt(np.mean(solution.params**2))), 1e-3)
    optimizer = optax.adam(optax.cosine_decay_schedule(SHARE * scale, STEPS), eps=1e-15)

    @jax.jit
    def update(params: Array, state: Any, gradient: Array) -> tuple[Array, Any]:
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    params = jnp.asarray(solution.params)
    state = optimizer.init(params)
    for _ in range(STEPS):
        params, state = update(params, state, slope(np.asarray(params)))
    norm = float(np.linalg.norm(slope(np.asarray(params))))
    return Solution(np.asarray(params), norm, solution.evaluations + STEPS + 1)
