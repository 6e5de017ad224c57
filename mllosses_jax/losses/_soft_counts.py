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
from mllosses_jax._core.numerics import TINY, sigmoid_pair
from mllosses_jax._core.reduction import masked_sum, reduce_labels, reduce_samples, safe_divide
from mllosses_jax._core.types import AxisName, LossValue, Reduction

Average = Literal["macro", "samples", "micro"]
AVERAGES = ("macro", "samples", "micro")


class SoftCounts(NamedTuple):
    """Soft counts per label (L,), per sample (...) or over all entries (), as `average` says."""

    tp: Array  # Σ p·y
    tn: Array  # Σ (1 − p)·(1 − y)
    wrong: Array  # α·FP + β·FN with FP = Σ p·(1 − y) and FN = Σ (1 − p)·y


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
    logits: Array,
    inputs: LossInputs,
    *,
    activation: Callable[[Array], tuple[Array, Array]] = sigmoid_pair,
    alpha: ArrayLike = 1,
    beta: ArrayLike = 1,
    average: Average,
    weights: ArrayLike | None,
    reduction: Reduction,
    axis_name: AxisName,
) -> LossValue:
    """Returns the reduced loss of soft counts, which run over what `average` says.

    Only the counts that the formula uses are computed. Each is one pass over the (..., L) arrays,
    which are written once as the terms of a sum and read once; the gradient is one more. The wrong
    shares of positives and negatives are one count, since all formulas add them up.

    Args:
        formula: the unreduced loss as an elementwise function of the counts.
        logits: what the activation maps to probabilities, (..., L).
        inputs: the checked labels and mask.
        activation: returns p and 1 − p, both (..., L) and accurate.
        alpha: the weight α of false positives in the count `wrong`.
        beta: the weight β of false negatives there.
        average: what the counts run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: as in the public losses.
        reduction: as in the public losses.
        axis_name: mesh axes over which the batch continues.
    """
    checks.one_of("average", average, AVERAGES)
    y, where = inputs.y, inputs.where
    batch = tuple(range(y.ndim - 1))
    axes = {"macro": batch, "samples": (-1,), "micro": (*batch, -1)}
    axis = axes[average]
    devices = None if average == "samples" else axis_name

    def total(of_positive: ArrayLike, of_negative: ArrayLike) -> Array:
        if inputs.hard:
            terms = jnp.where(y, of_positive, of_negative)
        else:
            terms = y * of_positive + (1 - y) * of_negative
            # The select changes nothing, as labels are ≥ 0. Without it XLA's CPU backend writes the
            # factors of a sum of products to memory one by one.
            terms = jnp.where(y < 0, 0, terms)
        return masked_sum(terms, where, devices, axis=axis)

    p, q = activation(logits)
    wrong = total(beta * q, alpha * p)
    # XLA would keep p and q of one sum in memory for the next; to compute them anew is cheaper.
    z, _ = jax.lax.optimization_barrier((logits, y))
    tp = total(activation(z)[0], 0)
    z, _ = jax.lax.optimization_barrier((z, y))
    tn = total(0, activation(z)[1])
    losses = formula(SoftCounts(tp, tn, wrong))
    if average == "samples":
        return reduce_samples(losses, where, weights, reduction, axis_name)
    return reduce_labels(losses, where, weights, reduction, axis_name)
