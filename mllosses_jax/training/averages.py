"""The moving average of parameters."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def average_parameters(average: Any, params: Any, step: ArrayLike, decay: ArrayLike) -> Any:
    """Moves an exponential moving average (EMA) of parameters towards new ones, with a warm-up.

    With a constant decay of 0.9997 the first parameters still weigh 82 % after 650 steps. The
    decay therefore starts at 2/11 and grows to its final value with the number of updates.

    Formula:
        average ← d·average + (1 − d)·params,  d = min(decay, (1 + step) / (10 + step))

    Args:
        average: the average so far, a pytree of arrays; the parameters before the first update.
        params: the new parameters, with the same structure.
        step: the number of updates that led to these parameters: 1 after the first.
        decay: the decay after the warm-up, in [0, 1].

    Returns:
        The new average, in the dtypes of `average`. Leaves that are not floating point are those
        of `params`.

    Raises:
        ValueError: if the structures or shapes differ, or decay is not in [0, 1].

    Reference:
        B. T. Polyak and A. B. Juditsky, "Acceleration of Stochastic Approximation by Averaging",
        1992; the warm-up is that of TensorFlow's `ExponentialMovingAverage` with `num_updates`.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.training import average_parameters
        >>> average = {"w": jnp.zeros(2)}
        >>> for step in range(1, 4):
        ...     average = average_parameters(average, {"w": jnp.ones(2)}, step, decay=0.999)
        >>> print(average["w"])
        [0.986014 0.986014]
    """
    if isinstance(decay, int | float) and not 0 <= decay <= 1:
        raise ValueError(f"decay must lie in [0, 1], got {decay}")
    return _moved(average, params, step, decay)


@jax.jit
def _moved(average: Any, params: Any, step: ArrayLike, decay: ArrayLike) -> Any:
    number = jnp.asarray(step, jnp.float32)
    now = jnp.minimum(jnp.asarray(decay, jnp.float32), (1 + number) / (10 + number))

    def moved(old: Array, new: Array) -> Array:
        if old.shape != new.shape:
            raise ValueError(f"params must have the shapes of average: {old.shape}, {new.shape}")
        if not jnp.issubdtype(old.dtype, jnp.floating):
            return new
        # The difference is added, so that the average of equal values is exactly that value.
        return old + (1 - now).astype(old.dtype) * (new.astype(old.dtype) - old)

    return jax.tree.map(moved, average, params)
