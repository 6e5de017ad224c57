"""The basis of overlap losses: counts in which probabilities replace decisions, and averages.

Such a loss passes a formula of soft counts to `overlap_loss`. The formulas are written as the
share of what is wrong, because one minus the share of what is right would cancel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import LossInputs
from mllosses_jax._core.numerics import TINY
from mllosses_jax._core.reduction import masked_sum, reduce_labels, reduce_samples, safe_divide
from mllosses_jax._core.types import AxisName, LossValue, Reduction

Average = Literal["macro", "samples", "micro"]
AVERAGES = ("macro", "samples", "micro")


class SoftCounts(NamedTuple):
    """Soft counts per label (L,), per sample (...) or over all entries (), as `average` says."""

    tp: Array  # the sum of p·y
    fp: Array  # the sum of p·(1 − y)
    fn: Array  # the sum of (1 − p)·y
    tn: Array  # the sum of (1 − p)·(1 − y)


def share(part: Array, rest: Array) -> Array:
    """Returns part / (part + rest) for numbers ≥ 0, and 0 for 0/0.

    The derivative does not cancel: where the rest is 0, the share does not depend on the part.
    """
    total = jax.lax.stop_gradient(part + rest)
    scale = jnp.where(total > TINY, total, 1)  # the square of a large total would be infinite
    return _share(part / scale, rest / scale)


@jax.custom_jvp
def _share(part: Array, rest: Array) -> Array:
    return safe_divide(part, part + rest)


@_share.defjvp
def _share_jvp(primals: Any, tangents: Any) -> Any:
    (part, rest), (d_part, d_rest) = primals, tangents
    result = _share(part, rest)
    total = jnp.maximum(part + rest, TINY)
    return result, (_share(rest, part) * d_part - result * d_rest) / total


def overlap_loss(
    formula: Callable[[SoftCounts], Array],
    probabilities: tuple[Array, Array],
    inputs: LossInputs,
    *,
    average: Average,
    weights: ArrayLike | None,
    reduction: Reduction,
    axis_name: AxisName,
) -> LossValue:
    """Returns the reduced loss of soft counts, which run over what `average` says.

    Args:
        formula: the unreduced loss as an elementwise function of the counts.
        probabilities: p and 1 − p, (..., L).
        inputs: the checked logits, labels and mask.
        average: what the counts run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: as in the public losses.
        reduction: as in the public losses.
        axis_name: mesh axes over which the batch continues.
    """
    checks.one_of("average", average, AVERAGES)
    (p, q), y, counted = probabilities, inputs.soft_y, inputs.counted()
    batch = tuple(range(y.ndim - 1))
    axes = {"macro": batch, "samples": (-1,), "micro": (*batch, -1)}
    axis = axes[average]
    devices = None if average == "samples" else axis_name

    def total(terms: Array) -> Array:
        return masked_sum(terms, counted, devices, axis=axis)

    losses = formula(SoftCounts(total(p * y), total(p * (1 - y)), total(q * y), total(q * (1 - y))))
    if average == "samples":
        return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
    return reduce_labels(losses, counted, weights, reduction, axis_name)
