"""The losses that optax and rax have too, with the parameters of ours, as means."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
import rax
from jax import Array

Loss = Callable[[Array, Array], Any]


def _mean(loss: Callable[..., Array]) -> Loss:
    return lambda x, y: jnp.mean(loss(x, y.astype(x.dtype)))


def _softmax(x: Array, y: Array) -> Array:
    shares = y.astype(x.dtype) / jnp.maximum(jnp.sum(y, -1, keepdims=True), 1)
    return jnp.mean(optax.softmax_cross_entropy(x, shares))


PEERS: dict[str, dict[str, Loss]] = {
    "sigmoid_binary_cross_entropy": {
        "optax": _mean(optax.sigmoid_binary_cross_entropy),
        "rax": lambda x, y: rax.pointwise_sigmoid_loss(x, y.astype(x.dtype)),
    },
    "sigmoid_focal_loss": {
        "optax": _mean(lambda x, y: optax.sigmoid_focal_loss(x, y, gamma=2.0)),
    },
    "hinge_loss": {"optax": _mean(lambda x, y: optax.hinge_loss(x, 2 * y - 1))},
    "softmax_cross_entropy": {"optax": _softmax},
}

# These hold all pairs of labels in an array.
PEERS_OF_SMALL_ARRAYS: dict[str, dict[str, Loss]] = {
    "pairwise_hinge_loss": {"rax": lambda x, y: rax.pairwise_hinge_loss(x, y.astype(x.dtype))},
    "pairwise_logistic_loss": {
        "rax": lambda x, y: rax.pairwise_logistic_loss(x, y.astype(x.dtype))
    },
}


def peers(name: str, shape: tuple[int, ...]) -> dict[str, Loss]:
    """Returns the peers of a loss that can take arrays of a shape, by library."""
    small = shape[1] <= 100
    return PEERS.get(name, {}) | (PEERS_OF_SMALL_ARRAYS.get(name, {}) if small else {})
