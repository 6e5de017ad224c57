"""The loss of a batch and its gradient, in one piece or summed over micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from mllosses_jax._core.reduction import safe_divide

S = TypeVar("S")
Batch = Mapping[str, Any]


class Carried(NamedTuple):
    """The state that a batch changes on its way through the model and the loss."""

    model_state: Any
    loss_state: Any


class Sums(NamedTuple):
    """The sum that a loss returns and the number to divide it by, or None if it is a mean."""

    total: Array
    number: Array | None

    def mean(self) -> Array:
        """Returns the loss as a mean."""
        return self.total if self.number is None else safe_divide(self.total, self.number)


class Gradient(NamedTuple):
    """The loss of a batch, its gradient, and the state that the batch changed."""

    loss: Array
    gradient: Any
    carried: Carried


class Objective(NamedTuple):
    """The loss of a model as a function of its parameters.

    Attributes:
        apply: the model.
        loss: the loss.
        micro_batches: the number of parts into which a batch is split.
        compute_dtype: the dtype in which the model computes, or None for that of the parameters.
    """

    apply: Callable[..., Any]
    loss: Callable[..., Any]
    micro_batches: int
    compute_dtype: DTypeLike | None

    def value(self, params: Any, carried: Carried, key: Array | None, batch: Batch) -> Array:
        """Returns the loss of a batch."""

        def of_part(carried: Carried, part: Any) -> tuple[Sums, Carried]:
            return self._sums(params, carried, *part)

        sums, _ = self._summed(of_part, carried, key, batch)
        return sums.mean()

    def value_and_gradient(
        self, params: Any, carried: Carried, key: Array | None, batch: Batch
    ) -> Gradient:
        """Returns the loss of a batch with its gradient."""

        def total(params: Any, carried: Carried, part: Any) -> tuple[Array, tuple[Sums, Carried]]:
            sums, carried = self._sums(params, carried, *part)
            return sums.total, (sums, carried)

        def of_part(carried: Carried, part: Any) -> tuple[tuple[Sums, Any], Carried]:
            gradient, (sums, carried) = jax.grad(total, has_aux=True)(params, carried, part)
            return (sums, jax.tree.map(_wide, gradient)), carried

        (sums, gradient), carried = self._summed(of_part, carried, key, batch)

        def scaled(slope: Array, param: Array) -> Array:
            if sums.number is not None:
                slope = safe_divide(slope, sums.number.astype(slope.dtype))
            return slope.astype(param.dtype)

        return Gradient(sums.mean(), jax.tree.map(scaled, gradient, params), carried)

    def _sums(
        self, params: Any, carried: Carried, key: Array | None, batch: Batch
    ) -> tuple[Sums, Carried]:
        """Returns the sums of one part of a batch, by calling the model and then the loss."""
        model_state, loss_state = carried
        given = {name: value for name, value in batch.items() if name not in ("inputs", "labels")}
        optional = {"model_state": model_state, "key": key}
        optional = {name: value for name, value in optional.items() if value is not None}
        inputs, labels = batch["inputs"], batch["labels"]
        if self.compute_dtype is not None:
            params, inputs = _cast((params, inputs), self.compute_dtype)
        logits = self.apply(params, inputs, **optional)
        if model_state is not None:
            logits, changed = _pair("apply", "(logits, model_state)", logits)
            model_state = jax.tree.map(_in_dtype_of, changed, model_state)
        if self.compute_dtype is not None:
            logits = _wide(logits)
        if loss_state is None:
            result = self.loss(logits, labels, **given)
        else:
            result = self.loss(logits, labels, state=loss_state, **given)
            result, loss_state = _pair("loss", "(loss, state)", result)
        if isinstance(result, tuple):
            sums = Sums(*map(jnp.asarray, _pair("loss", "a scalar or (sum, count)", result)))
        else:
            sums = Sums(result, None)
        self._check(sums)
        return sums, Carried(model_state, loss_state)

    def _check(self, sums: Sums) -> None:
        for part in sums:
            if part is not None and jnp.shape(part) != ():
                raise ValueError(
                    f"loss must return a scalar or a pair (sum, count) of scalars, got shape "
                    f'{jnp.shape(part)}; give a loss with a reduction another one than "none"'
                )
        if self.micro_batches > 1 and sums.number is None:
            raise ValueError(
                "with micro_batches, the loss must return the pair (sum, count), because the mean "
                'of means is not the mean; give it reduction="sum_and_count"'
            )

    def _summed(
        self,
        of_part: Callable[[Carried, Any], tuple[S, Carried]],
        carried: Carried,
        key: Array | None,
        batch: Batch,
    ) -> tuple[S, Carried]:
        """Returns the sum of a function over the micro-batches, one after the other."""
        if self.micro_batches == 1:
            return of_part(carried, (key, batch))
        leaves, structure = jax.tree.flatten(batch)
        by_row = _places_with_rows(batch, self.micro_batches)

        def of_index(carried: Carried, index: Array, part: list[Array]) -> tuple[S, Carried]:
            part_key = None if key is None else jax.random.fold_in(key, index)
            parts = dict(zip(by_row, part, strict=True))
            micro = [parts.get(place, leaf) for place, leaf in enumerate(leaves)]
            return of_part(carried, (part_key, jax.tree.unflatten(structure, micro)))

        def body(carry: tuple[S, Carried], part: Any) -> tuple[tuple[S, Carried], None]:
            sums, carried = carry
            new, carried = of_index(carried, *part)
            return (jax.tree.map(jnp.add, sums, new), carried), None

        indices = jnp.arange(self.micro_batches, dtype=jnp.int32)
        parts = indices, [_split(leaves[place], self.micro_batches) for place in by_row]
        first = jax.tree.map(lambda leaf: leaf[0], parts)
        shapes, _ = jax.eval_shape(of_index, carried, *first)
        zeros = jax.tree.map(jnp.zeros_like, shapes)  # sharded like the sums
        (sums, carried), _ = jax.lax.scan(body, (zeros, carried), parts)
        return sums, carried


def _places_with_rows(batch: Batch, parts: int) -> list[int]:
    """Returns which leaves of a batch have a row per sample; the others are shared by all."""
    rows, *others = jnp.shape(batch["labels"])
    if rows % parts:
        raise ValueError(f"micro_batches must divide the batch: {rows} rows, {parts} micro-batches")
    places = []
    for place, (path, leaf) in enumerate(jax.tree.leaves_with_path(batch)):
        shape = jnp.shape(leaf)
        if shape == (rows,) and others[-1:] == [rows] and path[0].key != "inputs":
            raise ValueError(
                f"{jax.tree_util.keystr(path)} of shape {shape} may be per sample or per label, "
                f"because there are as many of both; give it two axes, or pass what is per label "
                f"to the loss by functools.partial"
            )
        if shape[:1] == (rows,):
            places.append(place)
    return places


def _split(leaf: Array, parts: int) -> Array:
    """Splits the rows of an array: (B, ...) to (parts, B / parts, ...).

    A part takes every parts-th row, so that rows that are sharded over devices stay where they are.
    """
    shape = jnp.shape(leaf)
    stacked = jnp.reshape(leaf, (shape[0] // parts, parts, *shape[1:]))
    return jnp.moveaxis(stacked, 1, 0)


def _pair(name: str, wanted: str, value: Any) -> tuple[Any, Any]:
    if not (isinstance(value, tuple) and len(value) == 2):
        got = f"{len(value)} values" if isinstance(value, tuple) else type(value).__name__
        raise TypeError(f"{name} must return {wanted}, got {got}")
    return value


def _in_dtype_of(new: Any, old: Any) -> Any:
    is_float = jnp.issubdtype(jnp.asarray(old).dtype, jnp.floating)
    return jnp.asarray(new, jnp.asarray(old).dtype) if is_float else new


def _is_float(leaf: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(leaf), jnp.floating))


def _cast(tree: Any, dtype: DTypeLike) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x, dtype) if _is_float(x) else x, tree)


def _wide(value: Array) -> Array:
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))
