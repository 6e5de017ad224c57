"""Models as users write them: an MLP of the built-in shape in three ways, and others."""

import flax.linen
import jax
import jax.numpy as jnp
from flax import nnx

HIDDEN = 8


class Mlp(nnx.Module):
    """The MLP of the package as an NNX module, with an output kernel of zero."""

    def __init__(self, num_features, num_outputs, rngs):
        he, zeros = jax.nn.initializers.he_normal(), jax.nn.initializers.zeros
        self.hidden = nnx.Linear(num_features, HIDDEN, kernel_init=he, rngs=rngs)
        self.output = nnx.Linear(HIDDEN, num_outputs, kernel_init=zeros, rngs=rngs)

    def __call__(self, x):
        return self.output(nnx.relu(self.hidden(x)))


class LinenMlp(flax.linen.Module):
    """The same as a Linen module."""

    num_outputs: int

    @flax.linen.compact
    def __call__(self, x):
        x = flax.linen.Dense(HIDDEN, kernel_init=jax.nn.initializers.he_normal())(x)
        zeros = jax.nn.initializers.zeros
        return flax.linen.Dense(self.num_outputs, kernel_init=zeros)(flax.linen.relu(x))


def linen_mlp(num_features, num_outputs):
    return LinenMlp(num_outputs)


def init(key, features):
    """Starts the MLP with the same numbers as the package, for three outputs."""
    width = features.shape[-1]
    return {
        "hidden": {
            "kernel": jnp.float32((2 / width) ** 0.5) * jax.random.normal(key, (width, HIDDEN)),
            "bias": jnp.zeros(HIDDEN),
        },
        "output": [jnp.zeros((HIDDEN, 3)), jnp.zeros(3)],
    }


def apply(params, features):
    hidden = features @ params["hidden"]["kernel"] + params["hidden"]["bias"][None, :]
    kernel, bias = params["output"]
    return jax.nn.relu(hidden) @ kernel + bias[None, :]


class Pictures(nnx.Module):
    """A convolution with batch statistics and dropout, for features (height, width)."""

    def __init__(self, shape, num_outputs, *, rngs):
        self.convolution = nnx.Conv(1, 4, kernel_size=(3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.output = nnx.Linear(4 * shape[0] * shape[1], num_outputs, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.convolution(x[..., None])))
        return self.output(self.dropout(x.reshape(len(x), -1)))


class LinenWithState(flax.linen.Module):
    """Batch statistics and dropout in Linen."""

    num_outputs: int

    @flax.linen.compact
    def __call__(self, x, train: bool):
        x = flax.linen.Dense(HIDDEN)(x)
        x = flax.linen.relu(flax.linen.BatchNorm(use_running_average=not train)(x))
        x = flax.linen.Dropout(0.2, deterministic=not train)(x)
        return flax.linen.Dense(self.num_outputs)(x)


def too_wide(num_features, num_outputs, rngs):
    return nnx.Linear(num_features, num_outputs + 1, rngs=rngs)


def broken(num_features, num_outputs, rngs):
    raise RuntimeError("no such layer")


class FailsInCall(nnx.Module):
    def __init__(self, num_features, num_outputs, rngs):
        self.output = nnx.Linear(num_features, num_outputs, rngs=rngs)

    def __call__(self, x):
        return self.output(x @ jnp.ones((77, 3)))


def nothing(num_features, num_outputs, rngs):
    return 5


number = 5
