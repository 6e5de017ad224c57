"""The Lovász hinge: the convex surrogate of the Jaccard loss of label sets."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import with_slope
from mllosses_jax._core.ordering import (
    in_place,
    places,
    ranking_keys,
    running_count,
    scores_of_keys,
    sort_with,
)
from mllosses_jax._core.reduction import reduce_samples
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["lovasz_hinge_loss"]


class _Ranked(NamedTuple):
    """The entries of rows (..., L) by descending error; those that do not count come last."""

    hinges: Array
    increments: Array  # by how much the Jaccard loss grows as each entry becomes wrong
    positives: Array
    order: Array  # int32, the index of each entry


def _errors(x: Array, positives: Array, negatives: Array) -> Array:
    return jnp.where(positives, 1 - x, jnp.where(negatives, 1 + x, -jnp.inf))


def _ranked(x: Array, positives: Array, negatives: Array) -> _Ranked:
    """Sorts once; the sort carries index and label, and the errors are read from its keys.

    Once c of the P positives and n negatives are wrong, the loss is 1 − (P − c) / (P + n). Its
    increments are written out, because subtracting its values would cancel.
    """
    keys = ranking_keys(_errors(x, positives, negatives))
    index = places(x).astype(jnp.uint32)
    keys, payload = sort_with(keys, (index << 1) | positives.astype(jnp.uint32))
    positives, order = (payload & 1) == 1, (payload >> 1).astype(jnp.int32)
    count = running_count(positives)
    c, n = count.astype(x.dtype), (places(x) + 1 - count).astype(x.dtype)
    total = c[..., -1:]
    of_positive = 1 / jnp.maximum(total + n, 1)
    of_negative = (total - c) / ((total + n) * jnp.maximum(total + n - 1, 1))
    of_negative = jnp.where(total > 0, of_negative, (n == 1).astype(x.dtype))
    hinges = jnp.maximum(scores_of_keys(keys, x.dtype), 0)
    return _Ranked(hinges, jnp.where(positives, of_positive, of_negative), positives, order)


def _slope(x: Array, positives: Array, negatives: Array) -> Array:
    row = _ranked(x, positives, negatives)
    signed = jnp.where(row.positives, -row.increments, row.increments)
    return in_place(jnp.where(row.hinges > 0, signed, 0), row.order)


@with_slope(_slope, share=True, over_labels=True)
def _lovasz_hinge(x: Array, positives: Array, negatives: Array) -> Array:
    row = _ranked(x, positives, negatives)
    return jnp.sum(row.hinges * row.increments, axis=-1)


@compiled_loss()
def lovasz_hinge_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Lovász hinge loss: a convex, piecewise linear surrogate of one minus the Jaccard index.

    Formula:
        ℓ = Σ_k max(0, e_(k))·[J(k) − J(k − 1)],  e = 1 − x·(2y − 1),  e_(1) ≥ e_(2) ≥ …
        J(k): the Jaccard loss of a prediction that is wrong in the k entries of largest error

    The cost is one sort of each row. The order is held constant in the derivative, which is exact
    except at ties, where entries rank by their index.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample, in the units of the logits: (...) with "none", else (). Without a
        positive it is the largest hinge alone. The authors' per_image=True is "mean" (but also
        counts samples in which every entry is ignored); per_image=False is one row,
        `logits.reshape(1, -1)`.

    Reference:
        M. Berman, A. Rannen Triki and M. B. Blaschko, "The Lovász-Softmax Loss: A Tractable
        Surrogate for the Optimization of the Intersection-over-Union Measure in Neural Networks",
        2018, arXiv:1705.08790.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import lovasz_hinge_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.5]]), jnp.array([[1, 1, 0]])
        >>> print(f"{lovasz_hinge_loss(logits, labels):.2f}")
        1.25
    """
    inputs = loss_inputs(logits, labels, where)
    rows = (inputs.x, inputs.positives(), inputs.negatives())
    losses = _lovasz_hinge(*map(whole_rows, rows))
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
