"""A term that keeps probabilities calibrated while another loss trains them."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import pair_of_tail, signed_tail
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.reduction import all_sum, count_entries, reduce_labels, safe_divide
from mllosses_jax._core.sharding import spec_of, split
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["soft_calibration_loss"]


def _probability_and_gap(tail: Array, y: Array) -> tuple[Array, Array]:
    """Returns p and p − y of signed tails."""
    p, q = pair_of_tail(tail)
    return p, jnp.where(y, -q, p) if y.dtype == jnp.bool_ else (1 - y) * p - y * q


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _absolute_gaps(
    tail: Array, y: Array, num_bins: int, axis_name: AxisName
) -> tuple[Array, Array]:
    """Returns Σ_b |Σ_i w_b(p_i)·(p_i − y_i)| per label, and the signs of the sums of each bin.

    These are two passes over (B, L) arrays: the tails are written once, then read with the labels
    in one loop, which takes a few rows at a time through all bins. The gradient is one pass more.
    """

    def terms(tail: Array, y: Array) -> Array:
        p, gap = _probability_and_gap(tail[..., None, :], y[..., None, :])
        bins = jnp.expand_dims(jnp.arange(num_bins, dtype=p.dtype), (*range(p.ndim - 2), -1))
        return jnp.maximum(1 - jnp.abs((num_bins - 1) * p - bins), 0) * gap

    sums = all_sum(sum_of_terms(terms, (tail, y), tuple(range(tail.ndim - 1))), axis_name)
    sizes = jnp.abs(sums)
    # XLA writes quotients, of which there are few; it would compute `sign` anew for each entry.
    return jnp.sum(sizes, axis=0), sums / jnp.where(sizes == 0, 1, sizes)


@_absolute_gaps.defjvp
def _absolute_gaps_jvp(num_bins: int, axis_name: AxisName, primals: Any, tangents: Any) -> Any:
    """The signs of the two bins next to a probability are interpolated between their centres.

    This costs less than the slopes of all bins.
    """
    (p, gap), (dp, d_gap) = jax.jvp(_probability_and_gap, primals, tangents)
    gaps, signs = _absolute_gaps(*primals, num_bins, axis_name)
    last = num_bins - 1
    place = last * p
    of_bins = [split(jnp.broadcast_to(s, p.shape), *spec_of(p), like=p) for s in signs]
    below, above = of_bins[0], of_bins[min(1, last)]
    for b in range(1, last):
        below = jnp.where(place >= b, of_bins[b], below)
        above = jnp.where(place >= b, of_bins[b + 1], above)
    step = above - below
    sign = below + (place - jnp.minimum(jnp.floor(place), max(last - 1, 0))) * step
    change = sign * d_gap + last * (step * gap) * dp
    d_gaps = all_sum(jnp.sum(change, axis=tuple(range(change.ndim - 1))), axis_name)
    return (gaps, signs), (d_gaps, jnp.zeros_like(signs))


@compiled_loss()
def soft_calibration_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    num_bins: int = 10,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Soft calibration loss: how far probabilities and frequencies differ, in overlapping bins.

    Formula:
        ℓ = 1/n·Σ_b |Σ_i w_b(p_i)·(p_i − y_i)|, over the n samples of a label,  p = σ(x)
        w_b(p) = max(0, 1 − |(K − 1)·p − b|),  b = 0, …, K − 1

    This is the expected calibration error with bins that have no edges: a probability counts in the
    two bins whose centres are next to it. It is a term to add to a loss, because the frequency of a
    label, predicted for every sample, has none of it: see `weighted_sum`.

    Args:
        logits: float array (..., L); all leading axes are one batch.
        labels: bool, integer or float array (..., L), hard or soft.
        num_bins: K ≥ 1, a Python integer. With 1, the loss is |mean p − mean y|.
        weights: scale factors of the labels, shape (L,).
        where: bool array of the rank of logits, axes equal or 1: which entries take part.
        reduction: "none", "sum", "mean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        The loss in [0, 1] per label, without a unit: (L,) with "none", else (). In a small batch it
        is far from 0 for calibrated models too.

    Reference:
        T. Barfoot, L. C. Garcia-Peraza-Herrera, B. Glocker and T. Vercauteren, "Average Calibration
        Error: A Differentiable Loss for Improved Reliability in Image Segmentation", 2024 (MICCAI),
        arXiv:2403.06759, which averages over bins; with one bin R. Hebbalaguppe, J. Prakash, N.
        Madan and C. Arora, "A Stitch in Time Saves Nine: A Train-Time Regularizing Loss for
        Improved Neural Network Calibration", 2022 (CVPR), arXiv:2203.13834.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_calibration_loss
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [1]])
        >>> print(f"{soft_calibration_loss(logits, labels):.4f}")
        0.5000
    """
    checks.integer("num_bins", num_bins, least=1)
    inputs = loss_inputs(logits, labels, where)
    tail = signed_tail(inputs.x)
    if inputs.where is not None:
        tail = jnp.where(inputs.where, tail, 0)  # both probabilities of such a tail are 0
    gaps, _ = _absolute_gaps(tail, inputs.y, num_bins, axis_name)
    batch = tuple(range(tail.ndim - 1))
    number = count_entries(tail, inputs.where, axis_name, axis=batch).astype(tail.dtype)
    losses = safe_divide(gaps, number)
    return reduce_labels(losses, inputs.where, weights, reduction, axis_name)
