"""Losses that know how labels relate: hierarchies, and graphs of labels that go together.

The penalties look only at the predictions and are meant to be added to a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec as Spec
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.hierarchy import (
    Hierarchy,
    check_labels_of,
    first_below,
    highest_below,
    rows,
)
from mllosses_jax._core.masking import LossInputs, loss_inputs
from mllosses_jax._core.numerics import pair_of_tail, sigmoid_pair, signed_tail, with_slope
from mllosses_jax._core.reduction import reduce_elements, reduce_samples, safe_divide
from mllosses_jax._core.sharding import on_shards, spec_of, whole_rows
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import cross_entropy

__all__ = ["hierarchical_coherence_loss", "hierarchy_penalty", "label_graph_penalty"]


def _largest_in_matrix(x: Array, positive: Array, counted: Array, ancestors: Array) -> Array:
    """Returns the label of the largest logit at or below each label, int32 (L, ...).

    For a positive label, only its positive descendants are considered. In round k, each label goes
    to the k-th of its ancestors, so there are as many rounds as a label has ancestors at most, and
    no array is larger than the logits or the matrix.
    """
    num_labels = len(x)
    above = ancestors | jnp.eye(num_labels, dtype=bool)
    rounds = jnp.max(jnp.sum(above, axis=0))
    labels = jnp.arange(num_labels, dtype=jnp.int32)
    own = labels.reshape(-1, *(1,) * (x.ndim - 1))

    def next_ancestor(last: Array) -> tuple[Array, Array]:
        """Returns the ancestor of each label after the last, or L, and what may explain it."""
        later = above & (labels[:, None] > last[None])
        label = jnp.argmax(later, axis=0).astype(jnp.int32)
        label = jnp.where(jnp.any(later, axis=0), label, num_labels)
        return label, counted & (positive | ~rows(positive, label))

    def raise_top(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        top, last = state
        label, explains = next_ancestor(last)
        return top.at[label].max(jnp.where(explains, x, -jnp.inf), mode="drop"), label

    def lower_first(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        first, last = state
        label, explains = next_ancestor(last)
        attains = explains & (x == rows(top, label)) & (x > -jnp.inf)
        return first.at[label].min(jnp.where(attains, own, num_labels), mode="drop"), label

    lowest, none = jnp.full_like(x, -jnp.inf), jnp.full_like(x, num_labels, dtype=jnp.int32)
    start = jnp.full_like(above[0], -1, dtype=jnp.int32)
    top, _ = jax.lax.fori_loop(0, rounds, raise_top, (lowest, start))
    first, _ = jax.lax.fori_loop(0, rounds, lower_first, (none, start))
    return jnp.where(first == num_labels, own, first)


def _largest_in_hierarchy(x: Array, positive: Array, counted: Array, hierarchy: Hierarchy) -> Array:
    """Returns the same as `_largest_in_matrix` for parent edges.

    Where labels obey the hierarchy, no positive lies below a negative, and what explains a label is
    joined to it by labels of its own kind. So one sweep over the largest logits and one over their
    labels suffice; otherwise each kind needs two.
    """
    x = jnp.where(counted, x, -jnp.inf)

    def kinds(parents: Array, children: Array) -> tuple[Array, Array]:
        return rows(positive, parents), rows(positive, children)

    def bounds(parents: Array, children: Array) -> tuple[Array, Array]:
        above, below = kinds(parents, children)
        infinite = jnp.asarray(jnp.inf, x.dtype)
        # A negative does not explain a positive; a positive below a negative raises an alarm.
        return (
            jnp.where(below & ~above, infinite, -infinite),
            jnp.where(above & ~below, -infinite, infinite),
        )

    top = highest_below(x, hierarchy, bounds)

    def of_one_kind() -> Array:
        return first_below(x, top, hierarchy, lambda *edges: jnp.equal(*kinds(*edges)))

    def of_both_kinds() -> Array:
        alone = jnp.where(positive, x, -jnp.inf)
        first, first_alone = (
            first_below(values, highest_below(values, hierarchy), hierarchy)
            for values in (x, alone)
        )
        return jnp.where(positive, first_alone, first)

    alarm = jnp.any(top == jnp.inf)
    index: Array = jax.lax.cond(alarm, of_both_kinds, of_one_kind)
    return index


def _by_label(find: Callable[..., Array], x: Array, *others: Any) -> Array:
    """Returns find(x, positive, counted, ancestors), which wants labels on the first axis."""

    def on_rows(*arrays: Any) -> Array:
        *given, ancestors = arrays
        index = find(*(jnp.moveaxis(a, -1, 0) for a in given), ancestors)
        return jnp.moveaxis(index, 0, -1)

    spec = Spec(*spec_of(x))
    found: Array = on_shards(on_rows, (x, *others), [spec] * 3 + [Spec()], spec)
    return found


@compiled_loss()
def hierarchical_coherence_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    ancestors: ArrayLike | Hierarchy,
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
    logit among itself and its descendants, as from `decisions.coherent_scores`.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive where above 0. They should obey
            the hierarchy: the ancestors of a positive label are positive.
        ancestors: a hierarchy made from parent edges by `labels.hierarchy`, or a bool array (L, L)
            whose entry [a, b] says that a is an ancestor of b at any distance (the transitive
            closure; the diagonal counts as true). Any directed acyclic graph is allowed.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count; one that does
            not count is not a descendant either.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (). The gradient of a term goes to the entry
        with the largest logit, and to the first one if several are equal. The authors' code is
        "mean", or "weighted_mean" with weight 0 for labels that are not evaluated. With a hierarchy
        of E edges, time and memory are O(L + E) per sample; with a matrix, time is O(L) per entry
        and ancestor of a label, and memory that of the logits and the matrix.

    Raises:
        TypeError: if ancestors is neither a hierarchy nor a bool array.

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
    inputs = jax.tree.map(whole_rows, inputs)
    x, positive = inputs.x, inputs.positives()
    find: Callable[..., Array] = _largest_in_hierarchy
    if isinstance(ancestors, Hierarchy):
        check_labels_of(ancestors, x.shape[-1])
    else:
        find, ancestors = _largest_in_matrix, checks.array("ancestors", ancestors)
        if ancestors.dtype != jnp.bool_:
            raise TypeError(
                f"ancestors must be a bool array, got {ancestors.dtype}; write ancestors > 0, or "
                f"make a hierarchy from parent edges by labels.hierarchy(edges, num_labels)"
            )
        _square("ancestors", ancestors, x)
    if x.size > 0:
        index = _by_label(find, jax.lax.stop_gradient(x), positive, inputs.counted(), ancestors)
        x = jnp.take_along_axis(x, index, axis=-1, mode="promise_in_bounds")
    losses = cross_entropy(LossInputs(x, positive, None, x))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


def _sigmoid_slope(x: Array) -> Array:
    p, q = sigmoid_pair(x)
    return p * q


@with_slope(_sigmoid_slope)
def _sigmoid(x: Array) -> Array:
    """Returns p alone, which XLA writes out, while it would recompute a pair wherever p is read."""
    return jax.nn.sigmoid(x)


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
    parents, children = pairs[:, 0], pairs[:, 1]
    p = _sigmoid(whole_rows(inputs.x))
    excess = jax.nn.relu(p[..., children] - p[..., parents])
    if inputs.where is not None:
        counted = whole_rows(inputs.where)
        excess = jnp.where(counted[..., parents] & counted[..., children], excess, 0)
    losses = jnp.sum(excess * excess, axis=-1)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


def _pulls(x: Array, where: Array | None, affinity: Array) -> tuple[Array, Array]:
    """Returns centred probabilities q and (D − A)·q for the symmetric part of A, 0 where masked.

    Besides the product with A, (B, L) arrays are passed over for p, its mean, q, the slope and the
    sum.
    """
    affinity = (affinity + affinity.T) / 2
    p, _ = pair_of_tail(signed_tail(x))
    # Subtracting what all p have in common does not change the form, and avoids cancellation.
    if where is None:
        q = p - jax.lax.stop_gradient(jnp.mean(p, axis=-1, keepdims=True))
        degrees = jnp.broadcast_to(jnp.sum(affinity, axis=0), x.shape)
        return q, degrees * q - jnp.matmul(q, affinity, precision="highest")
    counted = where.astype(x.dtype)
    number = jnp.sum(counted, axis=-1, keepdims=True)
    common = safe_divide(jnp.sum(counted * p, axis=-1, keepdims=True), number)
    q = counted * (p - jax.lax.stop_gradient(common))
    degrees = jnp.matmul(counted, affinity, precision="highest")
    return q, counted * (degrees * q - jnp.matmul(q, affinity, precision="highest"))


def _roughness_slope(x: Array, where: Array | None, affinity: Array) -> Array:
    tail = signed_tail(x)
    return (jnp.abs(tail) - tail * tail) * (2 * _pulls(x, where, affinity)[1])


@with_slope(_roughness_slope, share=True, over_labels=True)
def _roughness(x: Array, where: Array | None, affinity: Array) -> Array:
    """Returns qᵀ·(D − A)·q; value and slope share the product with A."""
    q, pulls = _pulls(x, where, affinity)
    return jnp.sum(q * pulls, axis=-1)


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
    losses = _roughness(inputs.x, inputs.where, pairs)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


def _square(name: str, value: Array, logits: Array) -> None:
    labels = logits.shape[-1]
    if value.shape != (labels, labels):
        raise ValueError(
            f"{name} must have a row and a column per label: expected {(labels, labels)}, "
            f"got {value.shape}"
        )
