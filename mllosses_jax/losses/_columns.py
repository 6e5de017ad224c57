"""A batch in which each label ranks its samples: labels as rows, on one device or gathered."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mllosses_jax._core.masking import LossInputs
from mllosses_jax._core.reduction import masked_count
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax._core.types import AxisName


class Columns(NamedTuple):
    """The batch with labels as rows, (L, n)."""

    x: Array
    positives: Array
    negatives: Array
    num_positives: Array  # (L,), over all devices
    num_negatives: Array

    def where_pairs(self, losses: Array) -> Array:
        """Returns losses (L,), and 0 for labels without a positive or without a negative."""
        return jnp.where((self.num_positives > 0) & (self.num_negatives > 0), losses, 0)


def columns_of(inputs: LossInputs, axis_name: AxisName) -> Columns:
    """Returns the batch of this device with labels as rows."""
    positives, negatives = _row(inputs.positives()), _row(inputs.negatives())

    counts = [
        masked_count(entries, axis_name, axis=-1).astype(inputs.x.dtype)
        for entries in (positives, negatives)
    ]
    return Columns(_row(inputs.x), positives, negatives, *counts)


def _row(entries: Array) -> Array:
    rows = jnp.moveaxis(entries, -1, 0)
    if rows.ndim != 2:
        rows = rows.reshape(rows.shape[0], entries.size // max(1, rows.shape[0]))
    return whole_rows(rows)


class Gathered(NamedTuple):
    """The batch of all devices, each label as a row (L, n)."""

    x: Array
    positives: Array
    negatives: Array
    own_positives: Array  # those of this device
    places: Array | None  # the first one of this device and the first after it; None for all


def gathered(columns: Columns, axis_name: AxisName) -> Gathered:
    """Returns the batch of all devices over which `axis_name` runs."""
    x, positives, negatives = columns.x, columns.positives, columns.negatives
    if axis_name is None:
        return Gathered(x, positives, negatives, positives, None)
    size = x.shape[-1]
    x, positives, negatives = (
        lax.all_gather(a, axis_name, axis=1, tiled=True) for a in (x, positives, negatives)
    )
    first = lax.axis_index(axis_name) * size
    place = lax.broadcasted_iota(jnp.int32, x.shape, 1)
    own_positives = positives & (place >= first) & (place < first + size)
    return Gathered(x, positives, negatives, own_positives, jnp.stack([first, first + size]))
