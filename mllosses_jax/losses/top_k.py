"""Losses that look at the first k labels of a sample, which a smooth cut-off selects."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import log_sigmoid_pair, signed_tail, softplus, tempered
from mllosses_jax._core.ordering import ranking_keys, scores_of_keys
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.reduction import count_entries, reduce_samples, safe_divide
from mllosses_jax._core.softmax import inside, softmax_pair
from mllosses_jax._core.types import AxisName, LossValue, Reduction

__all__ = ["soft_top_k_loss"]


def _scaled(x: Array, cut_off: Array, temperature: Array) -> Array:
    """Returns (x − τ)/T, which is finite for labels outside the sample too."""
    largest = jnp.finfo(x.dtype).max
    return jnp.clip(tempered(x - cut_off, temperature), -largest, largest)


@jax.custom_jvp
def _cut_off(x: Array, k: Array, temperature: Array) -> Array:
    """Returns the τ at which Σ σ((x − τ)/T) = k along the last axis, (..., 1), to the last digit.

    A search halves the range of the floats, whatever the scale of the logits: 32 passes over (B, L)
    in float32. Where k labels are far above the cut-off and all others far below, the sum is k up
    to rounding in a wide range. So what the labels above lack, and what the labels below have, is
    compared without the whole numbers.
    """
    x, k, temperature = (lax.stop_gradient(array) for array in (x, k, temperature))
    axis = (x.ndim - 1,)

    def terms(x: Array, cut_off: Array, temperature: Array) -> tuple[Array, Array]:
        z = (x - cut_off) / temperature
        return (z >= 0).astype(z.dtype), signed_tail(z)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends  # keys ascend as cut-offs descend
        middle = (low & high) + ((low ^ high) >> 1)
        cut_off = scores_of_keys(middle, x.dtype)
        above, tails = sum_of_terms(terms, (x, cut_off, temperature), axis)
        enough = above[..., None] - k >= tails[..., None]
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    largest = jnp.asarray(jnp.finfo(x.dtype).max, x.dtype)
    low, high = ranking_keys(largest), ranking_keys(-largest)
    top = jnp.max(x, axis=-1, keepdims=True, initial=-jnp.inf)
    zero = (top > largest).astype(low.dtype)  # varies over devices as x does
    _, key = lax.fori_loop(0, jnp.iinfo(low.dtype).bits, halve, (low + zero, high + zero))
    return jnp.where(jnp.isnan(top), top, scores_of_keys(key, x.dtype))


@_cut_off.defjvp
def _cut_off_jvp(primals: Any, tangents: Any) -> Any:
    (x, k, temperature), (dx, _, d_temperature) = primals, tangents
    cut_off = _cut_off(x, k, temperature)
    z = _scaled(x, cut_off, temperature)
    # The sum stays k, so the changes of z vanish on average with weights σ(z)·σ(−z).
    share, _ = softmax_pair(sum(log_sigmoid_pair(z)))
    change = share * (dx - z * d_temperature)
    return cut_off, jnp.sum(change, axis=-1, keepdims=True)


@compiled_loss(temperature=(1e-7, 1e30))
def soft_top_k_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    k: int | None = None,
    temperature: ArrayLike = 1.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Soft top-k loss: positives should be above the cut-off that lets k labels of a sample pass.

    Formula:
        ℓ = −1/|P|·Σ_{p∈P} log σ((x_p − τ)/T),  where τ solves Σ_c σ((x_c − τ)/T) = k

    It works on precision and recall at k: labels that are far from the cut-off, above or below,
    hardly move it. It orders labels, and does not set a threshold that is good for all samples.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0.
        k: how many labels pass, a Python integer ≥ 1; None for the number of positives of each
            sample.
        temperature: T > 0, a scalar: how smooth the cut-off is. The authors' α is 1/T.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample: (...) with "none", else (); the authors' code is "mean".
        Without a positive, or if at most k labels take part, it is 0 with zero gradient.

    Raises:
        TypeError: if k is neither a Python integer nor None.

    Reference:
        N. Gupta, D. Khatri, A. S. Rawat, S. Bhojanapalli, P. Jain and I. Dhillon, "Dual-Encoders
        for Extreme Multi-Label Classification", 2024 (ICLR), arXiv:2310.10636.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import soft_top_k_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 1]])
        >>> print(f"{soft_top_k_loss(logits, labels, k=1):.4f}")
        0.9412
    """
    if k is not None:
        checks.integer("k", k, least=1)
    inputs = loss_inputs(logits, labels, where)
    x, dtype, positives = inside(inputs.x, inputs.where), inputs.x.dtype, inputs.positives()
    t = checks.scalar("temperature", temperature, dtype)
    size = count_entries(x, inputs.where, None, axis=-1).astype(dtype)
    num_positives = count_entries(x, positives, None, axis=-1).astype(dtype)
    passing = num_positives if k is None else jnp.full_like(num_positives, k)
    # The bounds give every sample some cut-off; those that need them have no loss.
    bounded = jnp.clip(passing, 0.5, jnp.maximum(size - 0.5, 0.5))
    cut_off = _cut_off(x, bounded[..., None], t)
    terms = jnp.where(positives, softplus(-_scaled(x, cut_off, t)), 0)
    losses = safe_divide(jnp.sum(terms, axis=-1), num_positives)
    losses = jnp.where(passing < size, losses, 0)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
