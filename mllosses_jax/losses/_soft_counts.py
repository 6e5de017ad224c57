"""What overlap losses share: counts in which probabilities stand for decisions, and their average.

Such a loss is a formula of soft counts, given to `overlap_loss`. The formulas are written as the
share of what is wrong, rather than one minus the share of what is right, which would cancel.
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
    """Soft counts of each label (L,), of each sample (...) or of everything (), by the average."""

    tp: Array  # sum of p·y
    fp: Array  # sum of p·(1 − y)
    fn: Array  # sum of (1 − p)·y
    tn: Array  # sum of (1 − p)·(1 − y)


def share(part: Array, rest: Array) -> Array:
    """Returns part / (part + rest) of numbers ≥ 0, and 0 for 0/0.

    Its derivative does not cancel: where the rest is 0, the share does not depend on the part.
    """
    total = jax.lax.stop_gradient(part + rest)
    scale = jnp.where(total > TINY, total, 1)  # or the square of a large total is infinite
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
    """Returns the reduced loss of soft counts over what `average` says.

    Args:
        formula: the unreduced loss, elementwise in the counts.
        probabilities: p and 1 − p, (..., L).
        inputs: checked logits, labels and where.
        average: "macro", the batch (all leading axes), for each label; "samples", the labels of
            each sample; "micro", everything.
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
