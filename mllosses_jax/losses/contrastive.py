"""Contrastive losses of embeddings, which the labels that samples share draw together."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import compute_dtype, is_positive
from mllosses_jax._core.numerics import tempered
from mllosses_jax._core.reduction import reduce_samples, safe_divide
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax._core.widening import widened
from mllosses_jax.losses._cross_entropy import softmax_entropy

__all__ = ["multilabel_contrastive_loss"]

WEIGHTINGS = ("mulsupcon", "any", "all", "jaccard")


def _unit(features: Array) -> Array:
    """Returns rows of length 1; a row of zeros stays one, with zero gradient."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(features), axis=-1, keepdims=True, initial=0))
    rows = features / jnp.where(largest > 0, largest, 1)
    squares = jnp.sum(rows * rows, axis=-1, keepdims=True)
    return safe_divide(rows, jnp.sqrt(jnp.where(squares > 0, squares, 1)))


def _affinity(
    weighting: str, own: tuple[Array, Array], positives: Array, negatives: Array
) -> Array:
    """Returns how far each other sample (n) is a partner of an anchor (B), before normalization."""
    own_positives, own_negatives = own

    def common(a: Array, b: Array) -> Array:
        return jnp.matmul(a, b.T, precision="highest")

    together = common(own_positives, positives)
    if weighting == "mulsupcon":
        others = jnp.sum(positives, axis=0, keepdims=True) - 1
        return common(own_positives / jnp.maximum(others, 1), positives)
    if weighting == "jaccard":
        sizes = jnp.sum(own_positives, axis=1)[:, None] + jnp.sum(positives, axis=1)[None, :]
        return safe_divide(together, sizes - together)
    differing = common(own_positives, negatives) + common(own_negatives, positives)
    partners = (together > 0) & ((differing == 0) | (weighting == "any"))
    return partners.astype(together.dtype)


@compiled_loss(temperature=(1e-7, 1e30))
def multilabel_contrastive_loss(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    weighting: Literal["mulsupcon", "any", "all", "jaccard"] = "mulsupcon",
    temperature: ArrayLike = 0.1,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Multi-label contrastive loss: samples are drawn to those with which they share labels.

    Formula:
        ℓ_i = −Σ_{j≠i} W_ij·log(exp(s_ij/T) / Σ_{k≠i} exp(s_ik/T)),  s_ij = z_i·z_j/(‖z_i‖·‖z_j‖)
        "mulsupcon":  W_ij ∝ Σ_{c∈Y_i∩Y_j} 1/n_c, with n_c the number of other samples that have c
        "any":        W_ij ∝ 1 where Y_i and Y_j share a label
        "all":        W_ij ∝ 1 where Y_i and Y_j are equal
        "jaccard":    W_ij ∝ |Y_i∩Y_j| / |Y_i∪Y_j|

    W_i sums to 1. It is a loss of embeddings z, to pretrain an encoder or to add to a loss of
    logits, and is no loss of `mllosses compare`. With "mulsupcon", each label of the anchor weighs
    the same, however many samples have it. Time and memory are O(B²).

    Args:
        features: z, float array (..., D); all leading axes are one batch.
        labels: bool, integer or float array (..., L); positive where above 0.
        weighting: W: "mulsupcon", "any", "all" or "jaccard".
        temperature: T > 0, a scalar.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of labels, axes equal or 1: which labels are known. Unknown
            ones are not compared, and a sample without a known label takes no part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which the batch continues inside `shard_map`; features are
            gathered from all devices.

    Returns:
        The loss in nats per sample: (...) with "none", else (). A sample without a partner has loss
        0 and does not count. The authors' code is "mean"; without its option for weights it is
        "weighted_mean" with the numbers of labels as weights, as long as each label has a partner.

    Reference:
        P. Zhang and M. Wu, "Multi-Label Supervised Contrastive Learning", 2024 (AAAI); for "any"
        and "all" P. Khosla et al., "Supervised Contrastive Learning", 2020, arXiv:2004.11362.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import multilabel_contrastive_loss
        >>> features = jnp.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]])
        >>> labels = jnp.array([[1, 1], [1, 0], [0, 1]])
        >>> print(f"{multilabel_contrastive_loss(features, labels, temperature=1.0):.4f}")
        0.6329
    """
    checks.one_of("weighting", weighting, WEIGHTINGS)
    z, y = checks.float_array("features", features), checks.label_array("labels", labels)
    if z.shape[:-1] != y.shape[:-1]:
        raise ValueError(
            f"labels must have the leading axes of features: expected {(*z.shape[:-1], 'L')}, "
            f"got {y.shape}"
        )
    mask = checks.mask("where", where, y.shape)
    known = jnp.ones_like(y, dtype=bool) if mask is None else mask
    dtype = compute_dtype(z)
    t = checks.scalar("temperature", temperature, dtype)
    part = jnp.any(known, axis=-1)
    z = jnp.where(part[..., None], widened(z, dtype), 0)
    positive = is_positive(y) & known
    rows = tuple(
        array.reshape(-1, array.shape[-1])
        for array in (
            _unit(z),
            positive.astype(dtype),
            (known & ~positive).astype(dtype),
            part[..., None],
        )
    )
    size, gathered = rows[0].shape[0], rows
    first: ArrayLike = 0
    if axis_name is not None:
        gathered = tuple(lax.all_gather(array, axis_name, tiled=True) for array in rows)
        first = size * lax.axis_index(axis_name)
    (u, *own, takes_part), (others, positives, negatives, counted) = rows, gathered
    shape = (size, others.shape[0])
    itself = lax.broadcasted_iota(jnp.int32, shape, 0) + first
    itself = itself == lax.broadcasted_iota(jnp.int32, shape, 1)
    among = ~itself & counted.T & takes_part
    affinity = jnp.where(among, _affinity(weighting, (own[0], own[1]), positives, negatives), 0)
    total = jnp.sum(affinity, axis=1, keepdims=True)
    logits = tempered(jnp.matmul(u, others.T, precision="highest"), t)
    logits = jnp.where(among | ~jnp.any(among, axis=1, keepdims=True), logits, -jnp.inf)
    paired = total[:, 0] > 0
    ones = jnp.ones_like(total[:, 0])
    losses = softmax_entropy(logits, safe_divide(affinity, total), ones, paired.astype(dtype))
    lead = part.shape
    return reduce_samples(
        losses.reshape(lead), paired.reshape(*lead, 1), weights, reduction, axis_name
    )
