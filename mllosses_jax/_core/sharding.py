"""Arrays on explicit meshes, whose axes know how they are split over devices.

Elsewhere, inside `shard_map` too, no axis is split as far as JAX knows, and nothing here changes
an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as Spec


def spec_of(x: Array) -> tuple[Any, ...]:
    """Returns which mesh axes each axis of an array is split over: a name, several, or None."""
    spec = jax.typeof(x).sharding.spec
    return (*spec, *[None] * (x.ndim - len(spec)))


def names_of(axis: Any) -> tuple[str, ...]:
    """Returns the mesh axes that an axis is split over, from an entry of a spec."""
    return () if axis is None else axis if isinstance(axis, tuple) else (axis,)


def split(x: Array, *spec: Any, like: Array) -> Array:
    """Returns x split in this way over the mesh of another array; axes not named are whole."""
    mesh = jax.typeof(like).sharding.mesh
    spec = (*spec, *[None] * (x.ndim - len(spec)))
    if mesh.empty or spec_of(x) == spec:
        return x
    result: Array = jax.sharding.reshard(x, NamedSharding(mesh, Spec(*spec)))
    return result


def whole_rows(x: Array) -> Array:
    """Returns x with its last axis on one device, which explicit meshes ask of what is sorted."""
    return split(x, *spec_of(x)[:-1], like=x)


def whole(x: Array) -> Array:
    """Returns x on each device, which explicit meshes ask of what is reshaped or looped over."""
    return split(x, like=x)


def on_shards(
    function: Callable[..., Any], args: Sequence[Any], specs: Sequence[Spec], result: Spec
) -> Any:
    """Returns a function's result, found by each device from its part of the arguments.

    Args:
        function: of the parts.
        args: pytrees of arrays, all on one mesh or on none.
        specs: how each argument is to be split; axes that are not named are whole.
        result: how the result is split.
    """
    leaves = jax.tree.leaves(args)
    like = next((x for x in leaves if not jax.typeof(x).sharding.mesh.empty), leaves[0])
    parts = [
        jax.tree.map(lambda x, spec=spec: split(x, *spec, like=like), arg)
        for arg, spec in zip(args, specs, strict=True)
    ]
    names = {name for spec in specs for axis in spec for name in names_of(axis)}
    if not names:
        return function(*parts)
    mesh = jax.typeof(like).sharding.mesh
    program = jax.shard_map(
        function, mesh=mesh, in_specs=tuple(specs), out_specs=result, axis_names=names
    )
    return program(*parts)
