"""The base of all accumulators: the sum of two of them, leaf by leaf, and checks."""

from __future__ import annotations

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mllosses_jax._core.sharding import spec_of, split
from mllosses_jax._core.values import check_labels


class Accumulator:
    """A pytree whose array leaves are all additive."""

    def merge(self, other: Self) -> Self:
        """Returns the accumulator of both data sets, on an explicit mesh sharded like this one.

        Args:
            other: an accumulator of the same labels and options.

        Raises:
            ValueError: if the two differ in kind, options or shapes.
        """
        mine, theirs = (_description(x) for x in (self, other))
        if mine != theirs:
            raise ValueError(f"other must be an accumulator like this one: {mine}, got {theirs}")
        total: Self = _sum(self, other)
        return total


@jax.jit(inline=True)
def _sum(first: Any, second: Any) -> Any:
    return jax.tree.map(lambda x, y: x + split(y, *spec_of(x), like=x), first, second)


def _description(accumulator: object) -> str:
    leaves, structure = jax.tree.flatten(accumulator)
    return f"{structure} of shapes {[jnp.shape(leaf) for leaf in leaves]}"


def check_size(name: str, value: object) -> None:
    """Raises ValueError unless a number that sets a shape is a positive Python integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a positive integer, got {value!r}")


def check_known_labels(labels: object, where: object) -> None:
    """Raises ValueError if a label in a numpy array counts and does not lie in [0, 1].

    JAX arrays are not checked, because looking at their values would wait for the device.
    """
    if isinstance(labels, np.ndarray):
        check_labels("update", labels, where)


def check_label_axis(name: str, value: Array, num_labels: int) -> None:
    """Raises ValueError unless an array (N, L) has the labels of the accumulator."""
    if value.shape[1] != num_labels:
        raise ValueError(
            f"{name} must have the labels of the accumulator: expected (N, {num_labels}), "
            f"got {value.shape}"
        )
