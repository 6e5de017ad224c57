"""What a head is computed from: its arrays, checked, and the constants of its program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.types import AxisName
from mllosses_jax._core.values import check_amounts
from mllosses_jax.heads._entries import Entries, Labels, bound_entries
from mllosses_jax.heads._kernel import Kernel, chunk_dtype, wide_dtype
from mllosses_jax.heads._mesh import label_range
from mllosses_jax.heads._two_sweep import TwoSweep
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.sparse_labels import PADDING, check_positives, distinct, ids_to_tile


class PerLabel(NamedTuple):
    """Arrays with one entry per label, (L,), of which each chunk gets its part.

    Attributes:
        bias: of the logits, or None.
        weights: of the losses, or None.
        parameters: of the loss, by name.
    """

    bias: Array | None
    weights: Array | None
    parameters: dict[str, Array]


class Shared(NamedTuple):
    """Arrays that all chunks share.

    Attributes:
        parameters: of the loss, (), by name.
        numbers: what the loss needs of all labels, () or (B, 1), by name.
    """

    parameters: dict[str, Array]
    numbers: dict[str, Array]


class Ids(NamedTuple):
    """Ids of labels, which count from the first label of all devices.

    Attributes:
        positives: int32 (B, K).
        unknown: int32 (B, U), or None.
        first: the id of the first label of this device's kernel.
    """

    positives: Array
    unknown: Array | None
    first: Array | int


class Problem(NamedTuple):
    """The arrays of a head.

    Attributes:
        features: (B, D), 0 for samples that are masked; None if the kernel holds logits.
        kernel: (L, D) or (D, L), or logits (B, L).
        per_label: arrays (L,).
        shared: arrays of all chunks.
        ids: which labels are positive or unknown.
        rows: float (B,), the weight of each sample, 0 where masked.
        known: int32 (B,), how many labels count; None if all labels of all samples do.
    """

    features: Array | None
    kernel: Any
    per_label: PerLabel
    shared: Shared
    ids: Ids
    rows: Array
    known: Array | None


@dataclass(frozen=True)
class Plan:
    """The constants of the program of a head.

    Attributes:
        entries: the loss, of entries or of samples.
        num_labels: the number of labels of all devices.
        chunk_size: how many labels are computed at a time.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.
        padded: whether the kernels have rows beyond the last label.
    """

    entries: Entries | TwoSweep
    num_labels: int
    chunk_size: int
    label_axis: int
    padded: bool

    def num_rows(self, kernel: Kernel) -> int:
        """Returns the number of labels of a kernel, with those it is padded with."""
        return kernel.shape[self.label_axis]

    def labels(self, ids: Ids, start: Array | int, size: int) -> Array:
        """Returns the labels of a chunk, bool (B, C)."""
        return ids_to_tile(ids.positives, ids.first + start, size)

    def counted(self, ids: Ids, start: Array | int, size: int) -> Array | None:
        """Returns which entries of a chunk count, bool (B, C) or (1, C); None if all do."""
        result = None
        if ids.unknown is not None:
            result = ~ids_to_tile(ids.unknown, ids.first + start, size)
        if self.padded:
            exist = (ids.first + start + jnp.arange(size) < self.num_labels)[None]
            result = exist if result is None else result & exist
        return result


@dataclass(frozen=True)
class Options:
    """The arguments that the functions of a head share, as they were given."""

    loss: Callable[..., Any]
    loss_kwargs: Mapping[str, Any] | None
    bias: ArrayLike | None
    unknown: ArrayLike | None
    where: ArrayLike | None
    label_weights: ArrayLike | None
    sample_weights: ArrayLike | None
    label_axis: int
    num_labels: int | None
    axis_name: AxisName
    label_axis_name: AxisName


def checked_problem(
    features: ArrayLike | None,
    kernel: ArrayLike | Float8Kernel,
    positives: ArrayLike,
    options: Options,
) -> tuple[Entries | TwoSweep, int, Problem]:
    """Returns the bound loss, the number of labels of all devices, and the arrays of a head.

    Without features, the kernel (B, L) holds the logits.
    """
    x: Array | None
    w: Kernel
    if features is None:
        x, w, bias = None, _checked_logits(kernel), None
        like: Array = w
    else:
        x, w, bias = checked_matrices(features, kernel, options.bias, options.label_axis)
        like = x
    batch, size = like.shape[0], w.shape[options.label_axis]
    first, num_labels = label_range(size, options.num_labels, options.label_axis_name)
    entries, parameters = bound_entries(options.loss, options.loss_kwargs, size)
    dtype = wide_dtype(like.dtype, chunk_dtype(w))

    amounts = {n: getattr(options, n) for n in ("label_weights", "sample_weights")}
    check_amounts("linear head", amounts)
    ids = check_positives(positives, num_labels, batch=batch)
    unknown = None
    known = None
    if options.unknown is not None:
        unknown = check_positives(options.unknown, num_labels, name="unknown", batch=batch)
        hidden = jnp.any(ids[:, :, None] == unknown[:, None, :], axis=2)
        ids = jnp.where(hidden, PADDING, ids)
        known = num_labels - jnp.sum(distinct(unknown), axis=1, dtype=jnp.int32)

    rows = jnp.ones(batch, dtype)
    if options.sample_weights is not None:
        rows = checks.per_sample("sample_weights", options.sample_weights, rows[:, None])
    if options.where is not None:
        where = _sample_mask(options.where, batch)
        like, rows = jnp.where(where[:, None], like, 0), jnp.where(where, rows, 0)
        x, w = (None, like) if x is None else (like, w)
        known = jnp.where(where, num_labels if known is None else known, 0)
    weights = None
    if options.label_weights is not None and isinstance(entries, TwoSweep):
        raise ValueError(
            f"{entries.loss.__name__} has one loss per sample, which label_weights cannot scale; "
            "sample_weights can"
        )
    if options.label_weights is not None:
        weights = checks.per_label("label_weights", options.label_weights, size, dtype)
        if weights.ndim == 0:
            rows, weights = rows * weights, None

    numbers = {}
    if isinstance(entries, Entries):
        of_all = Labels(
            ids - first, size, num_labels, num_labels - first, known, options.label_axis_name
        )
        numbers = entries.shared_numbers(parameters, of_all)
    found = Problem(
        x,
        w,
        PerLabel(bias, weights, parameters.per_label),
        Shared(parameters.scalars, numbers),
        Ids(ids, unknown, first),
        rows,
        known,
    )
    return entries, num_labels, found


def checked_matrices(
    features: ArrayLike, kernel: ArrayLike | Float8Kernel, bias: ArrayLike | None, label_axis: int
) -> tuple[Array, Kernel, Array | None]:
    """Returns features, kernel and bias, or raises an error that says what is wrong."""
    checks.one_of("label_axis", label_axis, (0, 1))
    x = checks.float_array("features", features)
    w = kernel if isinstance(kernel, Float8Kernel) else checks.float_array("kernel", kernel)
    if not isinstance(w, Float8Kernel) and w.dtype.itemsize == 1:
        raise TypeError(f"kernel must not be {w.dtype}; convert it with Float8Kernel.from_array")
    if x.ndim != 2:
        raise ValueError(
            f"features must have shape (B, D), got {x.shape}; reshape them to two axes"
        )
    if len(w.shape) != 2 or w.shape[1 - label_axis] != x.shape[1]:
        hint = ""
        if len(w.shape) == 2 and w.shape[label_axis] == x.shape[1]:
            hint = f"; its labels run along the other axis with label_axis={1 - label_axis}"
        raise ValueError(
            f"kernel must have shape {('(L, D)', '(D, L)')[label_axis]} with D = {x.shape[1]}, "
            f"got {w.shape}{hint}"
        )
    if bias is None:
        return x, w, None
    b = checks.float_array("bias", bias)
    if b.shape != (w.shape[label_axis],):
        raise ValueError(f"bias must have shape ({w.shape[label_axis]},), got {b.shape}")
    return x, w, b


def _checked_logits(logits: Any) -> Array:
    result = checks.float_array("logits", logits)
    if result.ndim != 2:
        raise ValueError(f"logits must have shape (B, L), got {result.shape}")
    return result


def _sample_mask(where: ArrayLike, batch: int) -> Array:
    result = checks.array("where", where)
    if result.dtype != jnp.bool_ or result.shape != (batch,):
        raise ValueError(
            f"where must be bool of shape ({batch},), which samples count, got {result.dtype} of "
            f"shape {result.shape}; labels that are unknown in a sample are named by unknown"
        )
    return result
