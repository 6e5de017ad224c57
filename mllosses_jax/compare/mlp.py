"""The MLP: one hidden layer, as a network that is trained in steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mllosses_jax.compare.network import Network, Variables

Params = dict[str, Array]

HIDDEN = 128


def apply(params: Params, features: Array) -> Array:
    """Returns the outputs (N, K) of one model for features (N, D)."""
    hidden = features @ params["hidden_kernel"] + params["hidden_bias"][None, :]
    return jax.nn.relu(hidden) @ params["kernel"] + params["bias"][None, :]


def mlp(num_features: int, num_outputs: int) -> Network:
    """Returns an MLP with one hidden layer, whose output kernel starts at zero."""

    def start(key: Array) -> Variables:
        scale = np.float32((2 / num_features) ** 0.5)
        return Variables(
            {
                "hidden_kernel": scale * jax.random.normal(key, (num_features, HIDDEN)),
                "hidden_bias": jnp.zeros(HIDDEN),
                "kernel": jnp.zeros((HIDDEN, num_outputs)),
                "bias": jnp.zeros(num_outputs),
            }
        )

    return Network(start, _apply, bias="bias")


def _apply(params: Params, buffers: Any, features: Array, train: bool) -> tuple[Array, Any]:
    return apply(params, features), buffers
