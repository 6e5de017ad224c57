"""Heads whose labels are split over the devices of a mesh, and whose samples may be as well."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

from mllosses_jax._core import checks
from mllosses_jax._core.compile import is_traced
from mllosses_jax.heads.loss import linear_head_loss
from mllosses_jax.heads.sparse_labels import check_positives
from mllosses_jax.heads.state import HeadState, init_linear_head
from mllosses_jax.heads.update import HeadStep, linear_head_sgd_step
from mllosses_jax.heads.value_and_grad import HeadGradients, linear_head_value_and_grad

__all__ = ["init_sharded_linear_head", "pad_to_mesh", "padded_rows", "shard_linear_head"]

Tree = TypeVar("Tree")
_PER_LABEL = ("bias", "label_weights", "thresholds")


def padded_rows(num_labels: int, mesh: Mesh, *, mesh_axis: str = "label") -> int:
    """Returns how many rows a kernel has whose labels are split evenly over a mesh axis.

    Args:
        num_labels: L, the number of labels.
        mesh: the mesh of devices.
        mesh_axis: the mesh axis over which the labels are split.

    Returns:
        The smallest multiple of the number of devices that is at least L.

    Raises:
        ValueError: if the number is below 1 or the mesh has no such axis.

    Example:
        >>> import jax
        >>> from mllosses_jax.heads import padded_rows
        >>> padded_rows(10, jax.make_mesh((1,), ("label",)))
        10
    """
    checks.integer("num_labels", num_labels, least=1)
    checks.one_of("mesh_axis", mesh_axis, mesh.axis_names)
    devices: int = mesh.shape[mesh_axis]
    return -(-num_labels // devices) * devices


def pad_to_mesh(tree: Tree, mesh: Mesh, *, mesh_axis: str = "label", label_axis: int = 0) -> Tree:
    """Returns a kernel or other arrays with a label axis, padded with zeros and put on a mesh.

    It copies, so it is called once, before training. A head is then given the number of labels as
    `num_labels`.

    Args:
        tree: a kernel, a `Float8Kernel`, or any pytree of arrays with as many labels.
        mesh: the mesh of devices.
        mesh_axis: the mesh axis over which the labels are split.
        label_axis: the axis of each array that runs along the labels.

    Returns:
        The arrays, of which each device holds the rows of its labels.

    Raises:
        ValueError: if the mesh has no such axis.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.heads import pad_to_mesh
        >>> pad_to_mesh(jnp.ones((10, 4)), jax.make_mesh((1,), ("label",))).shape
        (10, 4)
    """

    def pad(x: Array) -> Array:
        more = padded_rows(x.shape[label_axis], mesh, mesh_axis=mesh_axis) - x.shape[label_axis]
        widths = [(0, more if axis == label_axis else 0) for axis in range(x.ndim)]
        padded = jnp.pad(x, widths) if more else x
        placed: Array = jax.device_put(padded, NamedSharding(mesh, _along(label_axis, mesh_axis)))
        return placed

    result: Tree = jax.tree.map(pad, tree)
    return result


def init_sharded_linear_head(
    key: Array,
    num_labels: int,
    num_features: int,
    mesh: Mesh,
    *,
    mesh_axis: str = "label",
    label_axis: int = 0,
    **options: Any,
) -> HeadState:
    """Returns the state of a new head, of which each device makes the rows of its labels.

    Args:
        key: a JAX random key.
        num_labels: L.
        num_features: D.
        mesh: the mesh of devices.
        mesh_axis: the mesh axis over which the labels are split.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.
        **options: the other options of `init_linear_head`.

    Returns:
        The state, whose kernel has `padded_rows` labels.

    Raises:
        ValueError: if a size is below 1 or the mesh has no such axis.

    Example:
        >>> import jax
        >>> from mllosses_jax.heads import init_sharded_linear_head
        >>> mesh = jax.make_mesh((1,), ("label",))
        >>> init_sharded_linear_head(jax.random.key(0), 10, 4, mesh).kernel.shape
        (10, 4)
    """
    rows = padded_rows(num_labels, mesh, mesh_axis=mesh_axis) // mesh.shape[mesh_axis]
    weights_key, state_key = jax.random.split(key)

    def init(weights_key: Array, state_key: Array) -> HeadState:
        own_key = jax.random.fold_in(weights_key, jax.lax.axis_index(mesh_axis))
        state = init_linear_head(own_key, rows, num_features, label_axis=label_axis, **options)
        return state if state.key is None else state._replace(key=state_key)

    specs = _state_specs(label_axis, mesh_axis)
    mapped = jax.shard_map(init, mesh=mesh, in_specs=(Spec(), Spec()), out_specs=specs)
    state: HeadState = jax.jit(mapped)(weights_key, state_key)
    return state


def shard_linear_head(
    function: Callable[..., Any],
    mesh: Mesh,
    *,
    data_axis: str | None = "data",
    label_axis: str | None = "label",
    out_specs: Callable[[Mapping[str, Any]], Any] | None = None,
) -> Callable[..., Any]:
    """Returns a function of a head that runs on all devices of a mesh, with the same arguments.

    The devices of `label_axis` hold a part of the kernel, the bias and whatever has one entry per
    label, and those of `data_axis` a part of the samples. Ids are those of all labels on every
    device. If the mesh does not divide the labels, the kernel comes from `pad_to_mesh` or
    `init_sharded_linear_head`, and `num_labels` is given; arrays (L,) may stay as they are, and so
    do their gradients. The kernel is never gathered: value and gradient of a loss add up a number,
    the gradient of the features and that of the kernel.

    Args:
        function: `linear_head_loss`, `linear_head_value_and_grad`, `linear_head_sgd_step`,
            `linear_head_top_k`, or another function of this package with the argument
            `label_axis_name`.
        mesh: the mesh of devices.
        data_axis: the mesh axis over which the samples are split, or None.
        label_axis: the mesh axis over which the labels are split, or None.
        out_specs: gives the specs of the results from the arguments by name, for a function whose
            results are neither rows nor those of a loss or step.

    Returns:
        The function. It may be differentiated and called inside `jit`; called outside, a step
        donates its state. Outside `jit`, JAX differentiates on a mesh with explicit axes only after
        `jax.set_mesh`.

    Raises:
        ValueError: if the mesh has no such axis.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.heads import linear_head_loss, shard_linear_head
        >>> mesh = jax.make_mesh((1, 1), ("data", "label"))
        >>> loss = shard_linear_head(linear_head_loss, mesh)
        >>> value = loss(jnp.ones((2, 3)), jnp.zeros((5, 3)), jnp.array([[4], [0]]))
        >>> print(f"{value:.4f}")
        0.0889
    """
    for name, axis in (("data_axis", data_axis), ("label_axis", label_axis)):
        if axis is not None:
            checks.one_of(name, axis, mesh.axis_names)
    signature = inspect.signature(function)
    layout = _Layout(function, mesh, data_axis, label_axis, out_specs)

    @functools.wraps(function)
    def sharded(*args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(*args, **kwargs).arguments
        arguments |= arguments.pop("options", {})
        parameters = dict(arguments.pop("loss_kwargs", None) or {})
        layout.check(arguments)
        state = arguments.pop("state", None)
        constants, arrays = _divided(arguments)
        fixed, traced = _divided(parameters)
        return _run(layout, constants, fixed, state, arrays, traced)

    return sharded


Constants = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class _Layout:
    """How the arguments of a function are split over a mesh."""

    function: Callable[..., Any]
    mesh: Mesh
    data_axis: str | None
    label_axis: str | None
    out_specs: Callable[[Mapping[str, Any]], Any] | None

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raises unless the mesh divides the labels and, where they can be seen, the ids exist."""
        rows = self.rows(arguments)
        devices = 1 if self.label_axis is None else self.mesh.shape[self.label_axis]
        if rows % devices:
            raise ValueError(
                f"the kernel has {rows} labels, which {devices} devices do not divide; pad it once "
                f"with pad_to_mesh, and give num_labels={rows}"
            )
        for name in ("positives", "unknown"):
            if arguments.get(name) is not None:
                check_positives(arguments[name], arguments.get("num_labels") or rows, name=name)

    def rows(self, arguments: Mapping[str, Any]) -> int:
        """Returns the number of labels of the whole kernel, with those it is padded with."""
        kernel = arguments["kernel"] if "state" not in arguments else arguments["state"].kernel
        rows: int = kernel.shape[arguments.get("label_axis", 0)]
        return rows

    def names(self) -> dict[str, str | None]:
        """Returns the arguments that tell the function of the mesh; some know no data axis."""
        names = {"axis_name": self.data_axis, "label_axis_name": self.label_axis}
        known = inspect.signature(self.function).parameters
        return {n: axis for n, axis in names.items() if n in known or "options" in known}

    def spec(self, name: str, value: Any, kernel_axis: int) -> Any:
        """Returns how an argument is split."""
        if name == "state":
            return _state_specs(kernel_axis, self.label_axis)
        if name == "kernel":
            return _along(kernel_axis, self.label_axis)
        if jnp.ndim(value) == 0:
            return Spec()
        return Spec(self.label_axis if name in _PER_LABEL else self.data_axis)

    def results(self, arguments: Mapping[str, Any], kernel_axis: int) -> Any:
        """Returns how the results are split."""
        if self.out_specs is not None:
            return self.out_specs(arguments)
        if self.function is linear_head_sgd_step:
            state: Any = _state_specs(kernel_axis, self.label_axis)
            specs: Any = HeadStep
            return specs(state, Spec(), Spec(self.data_axis))
        if self.function is linear_head_value_and_grad:
            gradients: Any = HeadGradients
            rows, labels = Spec(self.data_axis), Spec(self.label_axis)
            return Spec(), gradients(rows, _along(kernel_axis, self.label_axis), labels)
        if self.function is linear_head_loss and arguments.get("reduction") != "none":
            return Spec()
        return Spec(self.data_axis)


@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=3, inline=True)
def _run(
    layout: _Layout,
    constants: Constants,
    fixed: Constants,
    state: HeadState | None,
    arrays: dict[str, Array],
    traced: dict[str, Array],
) -> Any:
    options = dict(constants)
    kernel_axis = options.get("label_axis", 0)
    given: dict[str, Any] = arrays if state is None else arrays | {"state": state}
    rows = layout.rows(given | options)
    num_labels = options.get("num_labels", rows)

    def padded(x: Array) -> Array:
        """Pads arrays (L,) with their last entry, which is a valid parameter."""
        return jnp.pad(x, (0, rows - num_labels), mode="edge") if x.shape == (num_labels,) else x

    given = {name: padded(x) if name in _PER_LABEL else x for name, x in given.items()}
    traced = jax.tree.map(padded, traced)
    specs = {name: layout.spec(name, x, kernel_axis) for name, x in given.items()}
    of_parameters = {
        name: Spec(layout.label_axis) if x.shape == (rows,) else Spec()
        for name, x in traced.items()
    }

    def run(arrays: dict[str, Any], traced: dict[str, Array]) -> Any:
        if fixed or traced:
            arrays = arrays | {"loss_kwargs": dict(fixed) | traced}
        return layout.function(**arrays, **options, **layout.names())

    in_specs = (specs, of_parameters)
    placed = given, traced
    if AxisType.Explicit in layout.mesh.axis_types:  # which have to match the specs
        shardings = jax.tree.map(lambda spec: NamedSharding(layout.mesh, spec), in_specs)
        placed = jax.sharding.reshard(placed, shardings)
    mapped = jax.shard_map(
        run,
        mesh=layout.mesh,
        in_specs=in_specs,
        out_specs=layout.results(options, kernel_axis),
    )
    result = mapped(*placed)
    bias = arrays.get("bias")
    if layout.function is linear_head_value_and_grad and bias is not None:
        value, gradients = result
        if bias.shape != gradients.bias.shape:
            whole = gradients.bias
            if AxisType.Explicit in layout.mesh.axis_types:  # of which no part of a part is taken
                whole = jax.sharding.reshard(whole, NamedSharding(layout.mesh, Spec()))
            result = value, gradients._replace(bias=whole[:num_labels])
    return result


def _divided(arguments: Mapping[str, Any]) -> tuple[Constants, dict[str, Any]]:
    """Returns the arguments that are constants of the program, and those that are arrays."""
    present = {name: value for name, value in arguments.items() if value is not None}
    arrays = {n: v for n, v in present.items() if n == "kernel" or is_traced(v)}
    constants = tuple(sorted((n, v) for n, v in present.items() if n not in arrays))
    return constants, jax.tree.map(jnp.asarray, arrays)


def _along(axis: int, mesh_axis: str | None) -> Spec:
    return Spec(*[None] * axis, mesh_axis)


def _state_specs(label_axis: int, mesh_axis: str | None) -> Any:
    kernel, per_label = _along(label_axis, mesh_axis), Spec(mesh_axis)
    specs: Any = HeadState
    return specs(kernel, per_label, kernel, per_label, Spec())
