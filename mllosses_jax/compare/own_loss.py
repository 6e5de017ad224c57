"""A loss of the user's own in a comparison: tried before any training, masked, and averaged."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mllosses_jax._core.reduction import masked_mean
from mllosses_jax.compare import own_code
from mllosses_jax.compare.choice import Choice
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.data import Dataset

ROWS_TRIED = 64


def takes_where(choice: Choice) -> bool:
    """Returns whether a function of the user's own takes `where`."""
    assert choice.function is not None
    return "where" in own_code.parameters_of(choice.function)


def own_loss(choice: Choice, dataset: Dataset) -> Callable[[Array, Array, Array | None], Array]:
    """Returns a function of the user's own as a scalar one of (logits, labels, where).

    The function gets logits (B, L), labels (B, L) of bool and, if it takes it, `where` (B, L). What
    it returns by entry or by row is averaged over those that count.

    Raises:
        ComparisonError: it takes no `where` although labels are unknown, it fails, or its value or
            slope is not finite. The message names its file and line.
    """
    function = choice.function
    assert function is not None
    masks = takes_where(choice)
    if dataset.mask_train is not None and not masks:
        raise ComparisonError(
            f"{choice} ({own_code.defined(function)}) takes no `where`, but {dataset.name} has "
            "unknown labels; let it take `where`, which is True where a label is known"
        )
    given = functools.partial(function, **choice.arguments)

    def call(logits: Array, labels: Array, known: Array) -> Any:
        return given(logits, labels, where=known) if masks else given(logits, labels)

    def loss(logits: Array, labels: Array, where: Array | None) -> Array:
        known = jnp.ones(labels.shape, bool) if where is None else where
        known = jnp.broadcast_to(known, labels.shape)
        try:
            value = call(logits, labels, known)
        except Exception as error:
            raise own_code.failed(choice.label, error) from None
        return _scalar(choice, value, labels.shape, known if masks else None)

    num_labels = dataset.y_train.shape[1]
    shape = (num_labels + 1, num_labels)  # a mean by row cannot be mistaken for one by label
    jax.eval_shape(
        lambda x, y: loss(x, y, None),
        jax.ShapeDtypeStruct(shape, jnp.float32),
        jax.ShapeDtypeStruct(shape, jnp.bool_),
    )
    batch = _first_rows(dataset)
    value, slope = jax.jit(jax.value_and_grad(loss))(*batch)
    if not (np.isfinite(value) and np.all(np.isfinite(slope))):
        place = own_code.place_of_nan(lambda: call(*batch)) or own_code.defined(function)
        what = "slope" if np.isfinite(value) else "value"
        raise ComparisonError(
            f"{choice} ({place}) has a {what} that is not finite for the first {len(slope)} "
            "training rows and logits around 0"
        )
    return loss


def _scalar(choice: Choice, value: Any, shape: tuple[int, ...], known: Array | None) -> Array:
    """Returns what the function returned as a scalar, the mean if it is by entry or by row."""
    assert choice.function is not None
    try:
        result = jnp.asarray(value)
        kind, found = f"shape {result.shape}", str(result.dtype)
    except (TypeError, ValueError):
        kind, found = f"a {type(value).__name__}", ""
    is_float = found.startswith(("float", "bfloat"))
    if not is_float or result.shape not in ((), shape[:1], shape):
        raise ComparisonError(
            f"{choice} ({own_code.defined(choice.function)}) returned {kind}"
            f"{'' if not found or is_float else f' of {found}'} for logits of shape {shape}; it "
            "must return a scalar, or values by row or by entry, which are averaged, of a float"
        )
    if result.ndim == 0:
        return result
    counted = known.any(axis=1) if known is not None and result.ndim == 1 else known
    return masked_mean(result, counted, None)


def _first_rows(dataset: Dataset) -> tuple[Array, Array, Array]:
    """Returns ordinary logits for the first training rows, their labels, and which are known."""
    labels, known = dataset.y_train[:ROWS_TRIED], dataset.known_train[:ROWS_TRIED]
    logits = np.random.default_rng(0).normal(size=labels.shape)
    return jnp.asarray(logits, jnp.float32), jnp.asarray(labels), jnp.asarray(known)
