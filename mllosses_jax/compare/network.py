"""A model that is trained in steps: what starts it, and what maps features to outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax.compare.errors import ComparisonError

Floats = NDArray[np.float32]

ROWS = 1024  # the most rows whose outputs are computed together
BUFFERS = "buffers/"  # begins the names of buffers among those of arrays
SAME = 1e-4  # relative deviation of a derivative that counts as rounding


class Variables(NamedTuple):
    """What a model consists of.

    Attributes:
        params: what is trained, a pytree of floating-point arrays.
        buffers: what the model itself changes in training, such as batch statistics and the state
            of random numbers, a pytree.
    """

    params: Any
    buffers: Any = ()


class Network(NamedTuple):
    """A model that is trained in steps.

    Attributes:
        start: gives the variables of a new model for a random key.
        apply: gives the outputs (N, K) of features, and the buffers after that, for
            `(params, buffers, features, train)`, where `train` says whether this is a step of
            training. Parameters with two axes or more are those that decay.
        bias: the name of the output bias, which starts at the log odds of the labels, or None.
    """

    start: Callable[[Array], Variables]
    apply: Callable[[Any, Any, Array, bool], tuple[Array, Any]]
    bias: str | None

    def num_bytes(self) -> int:
        """Returns what a model takes in training, with its average and the state of Adam."""
        params, buffers = (
            sum(leaf.nbytes for leaf in jax.tree.leaves(of)) for of in self.start(jax.random.key(0))
        )
        return int(4 * params + 2 * buffers)

    def outputs(self, variables: Variables, features: Floats) -> Floats:
        """Returns the outputs (N, K) of a trained model, some rows at a time."""
        found = []
        for start in range(0, len(features), ROWS):
            block = features[start : start + ROWS]
            missing = ROWS - len(block) if len(features) > ROWS else 0  # one shape, one program
            padded = np.concatenate([block, features[:missing]])
            outputs = np.asarray(_outputs(self.apply, *variables, padded), np.float32)
            found.append(outputs[: len(block)])
        return np.concatenate(found)


@functools.partial(jax.jit, static_argnums=0)
def _outputs(apply: Callable[..., Any], params: Any, buffers: Any, features: Array) -> Array:
    outputs: Array = apply(params, buffers, features, False)[0]
    return outputs


def output_bias(network: Network, variables: Variables, features: Floats) -> str | None:
    """Returns the name of the output bias: the vector (K,) whose sum with something is the outputs.

    Args:
        network: the model.
        variables: its variables.
        features: a few rows.
    """
    outputs = network.outputs(variables, features)
    direction = 1 + np.arange(outputs.shape[1], dtype=np.float32) / outputs.shape[1]
    for name, value in named(variables.params).items():
        if value.shape != direction.shape:
            continue

        def along(bias: Array, name: str = name) -> Array:
            params = replaced(variables.params, {name: bias})
            return network.apply(params, variables.buffers, jnp.asarray(features), False)[0]

        dtype = value.dtype
        _, slope = jax.jvp(along, (value,), (jnp.asarray(direction, dtype),))
        if np.allclose(np.asarray(slope, np.float32), direction, rtol=SAME, atol=0):
            return name
    return None


def named(tree: Any) -> dict[str, Any]:
    """Returns the leaves of a pytree by their paths, such as `hidden/kernel`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(map(_key, path)): leaf for path, leaf in leaves}


def replaced(tree: Any, leaves: Mapping[str, Any]) -> Any:
    """Returns a pytree with some of its leaves replaced, which are given by their paths."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaves.get("/".join(map(_key, path)), leaf), tree
    )


def arrays_of(params: Any, buffers: Any) -> dict[str, NDArray[Any]]:
    """Returns variables as named arrays, without the keys of random numbers."""
    leaves = named(params) | {f"{BUFFERS}{name}": leaf for name, leaf in named(buffers).items()}
    return {name: np.asarray(leaf) for name, leaf in leaves.items() if not _is_key(leaf)}


def from_arrays(arrays: Mapping[str, NDArray[Any]], template: Variables) -> Variables:
    """Returns variables from named arrays; what was left out is taken from a new model.

    Raises:
        ComparisonError: the names or shapes are not those of the model.
    """
    expected = {name: leaf.shape for name, leaf in arrays_of(*template).items()}
    found = {name: array.shape for name, array in arrays.items()}
    for name in {**expected, **found}:
        if expected.get(name) != found.get(name):
            there, here = (shapes.get(name, "missing") for shapes in (found, expected))
            raise ComparisonError(
                f"another model was trained: its {name} was {there}, and is {here} in yours (model)"
            )
    own = {n.removeprefix(BUFFERS): a for n, a in arrays.items() if n.startswith(BUFFERS)}
    leaves = {name: jnp.asarray(array) for name, array in arrays.items()}
    buffers = {name: jnp.asarray(array) for name, array in own.items()}
    return Variables(replaced(template.params, leaves), replaced(template.buffers, buffers))


def _is_key(leaf: Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _key(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))
