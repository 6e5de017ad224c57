"""Losses of samples in which the negatives act only together.

All that such a loss knows of the negatives N of a sample is the sum of their exponentials, so it
stays the same if one negative takes the place of all of them:

    ℓ(x, y) = ℓ((x_P, ν), (1, …, 1, 0)),  ν = T·LSE_N(x/T)
    ∂ℓ/∂x_j = ∂ℓ/∂ν · exp((x_j − ν)/T) for j ∈ N

A first sweep over the labels collects ν and the logits of the positives, (B, K + 1) numbers. The
loss of these numbers is the loss, and its derivatives are those above; a second sweep, which
computes the logits of each chunk once more, brings them to the features and the kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.numerics import tempered
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.types import AxisName
from mllosses_jax.losses import (
    decoupled_softmax_loss,
    lsep_loss,
    softmax_cross_entropy,
    two_way_sample_loss,
    zlpr_loss,
)


class Together(NamedTuple):
    """How the negatives of a sample act together in a loss.

    Attributes:
        temperature: the name of the parameter T, which is 1 by default, or None for T = 1.
        shifts: whether the loss stays the same if a number is added to all logits of a sample.
    """

    temperature: str | None = None
    shifts: bool = True


TWO_SWEEP: dict[Callable[..., Any], Together] = {
    softmax_cross_entropy: Together(),
    decoupled_softmax_loss: Together("temperature"),
    lsep_loss: Together(),
    zlpr_loss: Together(shifts=False),
    two_way_sample_loss: Together("negative_temperature"),
}


class Rows(NamedTuple):
    """What a loss knows of some labels, relative to a logit m of each sample that is a constant.

    Attributes:
        total: Σ_N exp((x − m)/T), (B,).
        positives: the logits of the positives, (B, K), 0 for those that are not among the labels.
    """

    total: Array
    positives: Array


@dataclass(frozen=True)
class TwoSweep:
    """A loss of `TWO_SWEEP` with the parameters that are constants of the program.

    Attributes:
        loss: the loss.
        constants: names and values of parameters.
    """

    loss: Callable[..., Any]
    constants: tuple[tuple[str, Any], ...]

    def rows(
        self,
        logits: Array,
        negatives: Array,
        ids: Array,
        top: Array,
        scalars: dict[str, Array],
    ) -> Rows:
        """Returns what the loss knows of the labels of a chunk.

        Args:
            logits: float array (B, C).
            negatives: which logits are those of negatives, bool (B, C).
            ids: which logits are those of positives, (B, K), each once; others are ignored.
            top: m, (B,).
            scalars: parameters of the loss.
        """
        below = tempered(logits - top[:, None], self._temperature(logits, scalars))
        total = jnp.sum(jnp.exp(jnp.where(negatives, below, -jnp.inf)), axis=1)
        here = (ids >= 0) & (ids < logits.shape[1])
        found = jnp.take_along_axis(logits, jnp.where(here, ids, 0), axis=1)
        return Rows(total, jnp.where(here, found, 0))

    def added(
        self, top: Array, rows: Rows, new_top: Array, scalars: dict[str, Array], new: Rows
    ) -> Rows:
        """Returns what the loss knows of two sets of labels, relative to the second's `new_top`."""
        return Rows(
            self._relative(top, rows.total, new_top, scalars) + new.total,
            rows.positives + new.positives,
        )

    def of_all_devices(
        self, top: Array, rows: Rows, scalars: dict[str, Array], axis_name: AxisName
    ) -> tuple[Array, Rows]:
        """Returns the same of the labels of all devices, by three collectives of (B, ...)."""
        if axis_name is None:
            return top, rows
        highest = lax.pmax(lax.stop_gradient(top), axis_name)
        total = self._relative(top, rows.total, highest, scalars)
        return highest, Rows(all_sum(total, axis_name), all_sum(rows.positives, axis_name))

    def losses(self, top: Array, rows: Rows, counted: Array, scalars: dict[str, Array]) -> Array:
        """Returns the loss of each sample, (B,), from what it knows of all labels.

        Args:
            top: m, (B,).
            rows: relative to it.
            counted: which positives count, bool (B, K).
            scalars: parameters of the loss.
        """
        some = rows.total > 0
        temperature = self._temperature(top, scalars)
        below = temperature * jnp.log(jnp.where(some, rows.total, 1))  # ν − m
        # Relative to m, nothing is rounded that the loss subtracts from each other.
        origin = jnp.where(some & TWO_SWEEP[self.loss].shifts, top, 0)
        together = jnp.where(some, top - origin, 0) + below
        logits = jnp.concatenate([rows.positives - origin[:, None], together[:, None]], axis=1)
        labels = jnp.broadcast_to(jnp.arange(logits.shape[1]) < counted.shape[1], logits.shape)
        where = jnp.concatenate([counted, some[:, None]], axis=1)
        given = dict(self.constants) | scalars
        result: Array = self.loss(logits, labels, where=where, reduction="none", **given)
        return result

    def _temperature(self, like: Array, scalars: dict[str, Array]) -> Array:
        name = TWO_SWEEP[self.loss].temperature
        given = dict(self.constants) | scalars
        return jnp.asarray(1.0 if name is None else given.get(name, 1.0), like.dtype)

    def _relative(
        self, top: Array, total: Array, new_top: Array, scalars: dict[str, Array]
    ) -> Array:
        temperature = self._temperature(top, scalars)
        return total * jnp.exp(tempered(top - new_top, temperature))
