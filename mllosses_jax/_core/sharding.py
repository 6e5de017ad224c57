"""Arrays on explicit meshes, whose types say how axes are split over devices.

On other meshes and inside `shard_map`, JAX sees no axis as split, and these functions change
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as Spec


def spec_of(x: Array) -> tuple[Any, ...]:
    """Returns the mesh axes over which each axis of an array is split: a name, a tuple or None."""
    spec = jax.typeof(x).sharding.spec
    return (*spec, *[None] * (x.ndim - len(spec)))


def names_of(axis: Any) -> tuple[str, ...]:
    """Returns the mesh axes in one entry of a spec."""
    return () if axis is None else axis if isinstance(axis, tuple) else (axis,)


def split(x: Array, *spec: Any, like: Array) -> Array:
    """Returns x split by `spec` over the mesh of `like`; axes without an entry are not split."""
    mesh = jax.typeof(like).sharding.mesh
    spec = (*spec, *[None] * (x.ndim - len(spec)))
    if mesh.empty or spec_of(x) == spec:
        return x
    result: Array = jax.sharding.reshard(x, NamedSharding(mesh, Spec(*spec)))
    return result


def whole_rows(x: Array) -> Array:
    """Returns x with its last axis on one device, as explicit meshes require for sorting."""
    return split(x, *spec_of(x)[:-1], like=x)


def whole(x: Array) -> Array:
    """Returns x whole on each device, as explicit meshes require for reshapes and loops."""
    return split(x, like=x)


def on_shards(
    function: Callable[..., Any], args: Sequence[Any], specs: Sequence[Spec], result: Spec
) -> Any:
    """Returns the result of a function that each device applies to its part of the arguments.

    Args:
        function: the function to apply to the parts.
        args: pytrees of arrays, all on one mesh or on none.
        specs: how to split each argument; axes without an entry are not split.
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
