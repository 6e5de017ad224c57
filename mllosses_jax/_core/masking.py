"""Checked and masked inputs: logits, labels and `where` in the form that formulas use.

Masked entries are replaced before any formula sees them. Masking only the result would not
suffice, because the gradient of a masked NaN is 0 * NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.platforms import beside_bytes, sum_of_terms
from mllosses_jax._core.widening import widened


class LossInputs(NamedTuple):
    """The checked and masked arguments of a loss.

    Attributes:
        x: logits (..., L) in the dtype of the computation, 0 where masked.
        y: labels (..., L), 0 where masked: bool if their dtype makes them hard, else in the dtype
            of `x`.
        where: bool (..., L), or None if every entry counts.
        unmasked: the logits as `x`, but with any value where masked: for kernels that read no such
            entry, and so need no mask beside their sets. Its derivative is masked.
    """

    x: Array
    y: Array
    where: Array | None
    unmasked: Array

    @property
    def hard(self) -> bool:
        """Whether the labels are in {0, 1} by construction."""
        return bool(self.y.dtype == jnp.bool_)

    @property
    def soft_y(self) -> Array:
        """The labels in the dtype of the logits."""
        return self.y.astype(self.x.dtype)

    def label_sum(self) -> Array:
        """The sum of the labels of each sample."""
        if not self.hard:
            return jnp.sum(self.y, axis=-1)
        axis = (self.y.ndim - 1,)
        total: Array = sum_of_terms(lambda y: y.astype(self.x.dtype), (self.y,), axis)
        return total

    def distribution(self) -> Array:
        """The labels of each sample divided by their sum; an empty set stays empty."""
        return self.soft_y * self.per_label()[..., None]

    def per_label(self) -> Array:
        """One divided by the sum of the labels of each sample; 1 for an empty set."""
        total = self.label_sum()
        return 1 / jnp.where(total == 0, 1, total)

    def positives(self) -> Array:
        """Which entries count and are positive."""
        return self._and_where(self.y if self.hard else self.y > 0)

    def negatives(self) -> Array:
        """Which entries count and are negative."""
        return self._and_where(~self.y if self.hard else self.y <= 0)

    def counted(self) -> Array:
        """Which entries count."""
        return counted_entries(self.where, self.x)

    def _and_where(self, entries: Array) -> Array:
        return entries if self.where is None else entries & self.where


def loss_inputs(
    logits: ArrayLike,
    labels: ArrayLike,
    where: ArrayLike | None,
    *,
    name: str = "logits",
    arithmetic: bool = False,
) -> LossInputs:
    """Checks the three arrays of a loss, converts their dtypes and replaces masked entries.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array of the same shape. Integer labels are positive where
            `labels > 0`, so an integer -1 is never a positive.
        where: bool array of the same rank with every axis equal or 1, or None.
        name: the caller's name for its first argument.
        arithmetic: whether the loss is bound by its arithmetic rather than by memory, as one with
            an exp and a logarithm per entry is; see `beside_bytes`.
    """
    x = checks.float_array(name, logits)
    y = checks.label_array("labels", labels)
    checks.same_shape("labels", y, name, x)
    where = checks.mask("where", where, x.shape)
    no_bytes = where is None and x.dtype.itemsize > 2 and y.dtype.itemsize > 2
    x = unmasked = widened(x, compute_dtype(x))
    y = y.astype(x.dtype) if jnp.issubdtype(y.dtype, jnp.floating) else is_positive(y)
    if arithmetic and no_bytes:
        y = beside_bytes(y)
    if where is not None:
        x = jnp.where(where, x, jnp.zeros_like(x))
        y = jnp.where(where, y, jnp.zeros_like(y))
        unmasked = _with_masked_derivative(unmasked, where)
    return LossInputs(x, y, where, unmasked)


@jax.custom_jvp
def _with_masked_derivative(x: Array, where: Array) -> Array:
    """Returns x. A tangent may be NaN where masked, and a derivative of 0 would not remove it."""
    return x


@_with_masked_derivative.defjvp
def _with_masked_derivative_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    dx = jnp.where(primals[1], tangents[0], jnp.zeros_like(tangents[0]))
    return _with_masked_derivative(*primals), dx


def loss_inputs_or_ids(logits: ArrayLike, labels: ArrayLike, where: ArrayLike | None) -> LossInputs:
    """Checks the arrays of a loss that takes class ids (...) as well as labels (..., L).

    An id outside [0, L) becomes an empty label set.
    """
    x = checks.float_array("logits", logits)
    y = checks.array("labels", labels)
    if y.ndim == x.ndim - 1:
        if not jnp.issubdtype(y.dtype, jnp.integer):
            raise TypeError(
                f"labels of shape {y.shape} are class ids and must be integers, got {y.dtype}"
            )
        if y.shape != x.shape[:-1]:
            raise ValueError(
                f"labels must be class ids of shape {x.shape[:-1]} or label sets of shape "
                f"{x.shape}, got {y.shape}"
            )
        y = jax.nn.one_hot(y, x.shape[-1], dtype=bool)
    return loss_inputs(x, y, where)


def counted_entries(where: Array | None, like: Array) -> Array:
    """Returns which entries count: without a mask all of those of an array, sharded as it is."""
    return jnp.ones_like(like, dtype=bool) if where is None else where


def compute_dtype(logits: Array) -> jnp.dtype:
    """Returns the wider of float32 and the dtype of the logits."""
    return logits.dtype if logits.dtype == jnp.float64 else jnp.dtype(jnp.float32)


def is_positive(labels: Array) -> Array:
    """Returns which labels are positive, for any dtype."""
    return labels if labels.dtype == jnp.bool_ else labels > 0
