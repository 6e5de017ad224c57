"""Losses that know how labels relate: hierarchies, and graphs of labels that go together.

The penalties look only at the predictions and are meant to be added to a loss.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import sigmoid_pair
from mllosses_jax._core.reduction import reduce_elements, reduce_samples, safe_divide
from mllosses_jax._core.sharding import whole_rows
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import cross_entropy

__all__ = ["hierarchical_coherence_loss", "hierarchy_penalty", "label_graph_penalty"]


def _largest_below(x: Array, ancestors: Array, positive: Array, counted: Array) -> Array:
    """Returns the index of the largest logit at or below each label, int32 (..., L).

    For a positive label, only its positive descendants are considered. Labels are processed one at
    a time, so no array is larger than the logits.
    """

    def of_label(label: tuple[Array, Array]) -> Array:
        is_below, is_positive = label
        explains = is_below & counted & (positive | ~is_positive[..., None])
        return jnp.argmax(jnp.where(explains, x, -jnp.inf), axis=-1).astype(jnp.int32)

    below = ancestors | jnp.eye(x.shape[-1], dtype=bool)
    below = below.reshape(len(below), *(1,) * (x.ndim - 1), -1)
    return jnp.moveaxis(jax.lax.map(of_label, (below, jnp.moveaxis(positive, -1, 0))), 0, -1)


@compiled_loss()
def hierarchical_coherence_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    ancestors: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Max constraint loss (MCLoss, C-HMCNN): cross-entropy of predictions that obey a hierarchy.

    Formula:
        ℓ_a = −y_a·log max_{b∈D(a)} y_b·p_b − (1 − y_a)·log(1 − max_{b∈D(a)} p_b),  p = σ(x)
        D(a): a and its descendants

    A label is predicted to be at least as likely as its descendants; a positive label is explained
    by its positive descendants alone. The maxima are taken over logits, which is equivalent and
    rounds nothing to 0 or 1. For decisions use the coherent logits: for each label the largest
    logit among itself and its descendants.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0. They should obey
            the hierarchy: the ancestors of a positive label are positive.
        ancestors: bool array (L, L): entry [a, b] says that a is an ancestor of b at any distance
            (the transitive closure); the diagonal counts as true. Any directed acyclic graph is
            allowed.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count; one that does
            not count is not a descendant either.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The gradient of a term goes to the entry
        with the largest logit, and to the first one if several are equal. The authors' code is
        "mean", or "weighted_mean" with weight 0 for labels that are not evaluated. The time is
        O(L) per entry; the memory is that of the logits.

    Raises:
        TypeError: if ancestors is not bool.

    Reference:
        E. Giunchiglia and T. Lukasiewicz, "Coherent Hierarchical Multi-Label Classification
        Networks", 2020, arXiv:2010.10151.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import hierarchical_coherence_loss
        >>> logits, labels = jnp.array([[-1.0, 2.0]]), jnp.array([[1, 0]])
        >>> ancestors = jnp.array([[True, True], [False, True]])
        >>> losses = hierarchical_coherence_loss(
        ...     logits, labels, ancestors=ancestors, reduction="none"
        ... )
        >>> print(losses.round(4))
        [[1.3133 2.1269]]
    """
    inputs = loss_inputs(logits, labels, where)
    below = checks.array("ancestors", ancestors)
    if below.dtype != jnp.bool_:
        raise TypeError(f"ancestors must be a bool array, got {below.dtype}; write ancestors > 0")
    _square("ancestors", below, inputs.x)
    inputs = jax.tree.map(whole_rows, inputs)
    x, positive = inputs.x, inputs.positives()
    if x.size > 0:
        index = _largest_below(jax.lax.stop_gradient(x), below, positive, inputs.counted())
        x = jnp.take_along_axis(x, index, axis=-1)
    losses = cross_entropy(LossInputs(x, positive, None))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def hierarchy_penalty(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    edges: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Hierarchy penalty: the squared excess of each child's probability over its parent's.

    Formula:
        ℓ = Σ_{(a, b)∈E} max(0, p_b − p_a)²,  p = σ(x),  a the parent of b

    The penalty is added to a loss: `binary_cross_entropy + 0.1·hierarchy_penalty`.

    Args:
        logits: float array (..., L).
        labels: array (..., L); only its shape matters, because a penalty ignores the labels.
        edges: integer array (E, 2) of pairs (parent, child) in [0, L); this range is not checked.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: an edge counts if both ends do.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The penalty per sample in [0, E], without a unit: (...) with "none", else (). For coherent
        predictions it is 0 with zero gradient.

    Raises:
        TypeError: if edges are not integers.
        ValueError: if edges are not pairs.

    Reference:
        The squared hinge of p_child − p_parent; for hierarchies in regularisers see S. Gopal and
        Y. Yang, "Recursive Regularization for Large-scale Classification with Hierarchical and
        Graphical Dependencies", 2013 (KDD).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import hierarchy_penalty
        >>> logits, labels = jnp.array([[0.0, 2.0, -1.0]]), jnp.array([[1, 1, 0]])
        >>> print(f"{hierarchy_penalty(logits, labels, edges=jnp.array([[0, 1], [0, 2]])):.4f}")
        0.1450
    """
    inputs = loss_inputs(logits, labels, where)
    pairs = checks.array("edges", edges)
    if not jnp.issubdtype(pairs.dtype, jnp.integer):
        raise TypeError(f"edges must be an integer array, got {pairs.dtype}")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"edges must be pairs (parent, child), shape (E, 2), got {pairs.shape}")
    p, counted = sigmoid_pair(whole_rows(inputs.x))[0], whole_rows(inputs.counted())
    excess = jax.nn.relu(p[..., pairs[:, 1]] - p[..., pairs[:, 0]])
    counts = counted[..., pairs[:, 0]] & counted[..., pairs[:, 1]]
    losses = jnp.sum(jnp.where(counts, excess * excess, 0), axis=-1)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss()
def label_graph_penalty(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    affinity: ArrayLike,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Graph Laplacian penalty: labels that occur together should be predicted alike.

    Formula:
        ℓ = ½·Σ_{i,j} A_ij·(p_i − p_j)² = pᵀ·(D − A)·p,  p = σ(x),  D the row sums of A

    The penalty is added to a loss. (The second form assumes a symmetric A; only the symmetric part
    of A matters.)

    Args:
        logits: float array (..., L).
        labels: array (..., L); only its shape matters, because a penalty ignores the labels.
        affinity: A ≥ 0, array (L, L), such as how often two labels occur together.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: a pair counts if both labels do.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The penalty per sample, in the unit of A: (...) with "none", else (). If all p are equal,
        it is 0 up to rounding.

    Reference:
        M. Belkin and P. Niyogi, "Laplacian Eigenmaps for Dimensionality Reduction and Data
        Representation", 2003 (the quadratic form of a graph Laplacian).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import label_graph_penalty
        >>> logits, labels = jnp.array([[0.0, 2.0]]), jnp.array([[1, 1]])
        >>> affinity = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        >>> print(f"{label_graph_penalty(logits, labels, affinity=affinity):.4f}")
        0.1450
    """
    inputs = loss_inputs(logits, labels, where)
    pairs = checks.array("affinity", affinity).astype(inputs.x.dtype)
    _square("affinity", pairs, inputs.x)
    pairs = (pairs + pairs.T) / 2
    counted = inputs.counted().astype(inputs.x.dtype)
    p = sigmoid_pair(inputs.x)[0]
    # Subtracting what all p have in common does not change the form, and avoids cancellation.
    common = safe_divide(
        jnp.sum(counted * p, axis=-1, keepdims=True), jnp.sum(counted, axis=-1, keepdims=True)
    )
    p = counted * (p - jax.lax.stop_gradient(common))
    degrees = jnp.matmul(counted, pairs, precision="highest")
    terms = p * (degrees * p - jnp.matmul(p, pairs, precision="highest"))
    return reduce_samples(jnp.sum(terms, axis=-1), inputs.where, weights, reduction, axis_name)


def _square(name: str, value: Array, logits: Array) -> None:
    labels = logits.shape[-1]
    if value.shape != (labels, labels):
        raise ValueError(
            f"{name} must have a row and a column per label: expected {(labels, labels)}, "
            f"got {value.shape}"
        )
