"""Hierarchies of labels given by parent edges, and the sweep that carries values upward in them.

Labels lie on the first axis here, so that a label is one contiguous row.
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks

Flows = Callable[[Array, Array], Array]
Bounds = Callable[[Array, Array], tuple[Array, Array]]


class Hierarchy(NamedTuple):
    """A hierarchy of L labels, made by `labels.hierarchy` from parent edges.

    It is a pytree of arrays, so it may be an argument of a function under `jit`. The edges are in
    steps: all edges below a label lie in earlier steps than the edges above it.

    Attributes:
        heights: int32 (L,): the number of edges on the longest path from each label down to a
            label without children.
        parents: int32 (S, K): the parents in the K edges of each of S steps; L where there is none.
        children: int32 (S, K): their children.
    """

    heights: Array
    parents: Array
    children: Array


def hierarchy(edges: ArrayLike, num_labels: int) -> Hierarchy:
    """Makes a hierarchy from its parent edges, on the host.

    A label may have several parents, and need not have any. Make the hierarchy once, outside of
    the training step: it takes about a second for 80,000 edges, and the order in which they are
    visited depends on their values.

    Args:
        edges: integer array (E, 2) of pairs (parent, child) in [0, L). It may hold an edge twice.
        num_labels: the number L of labels.

    Returns:
        The hierarchy, for `hierarchical_coherence_loss`, `labels.with_ancestors` and
        `decisions.coherent_scores`.

    Raises:
        TypeError: if edges are not integers, or not known because they are traced.
        ValueError: if edges are not pairs of labels, or form a cycle.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import labels
        >>> animals = labels.hierarchy(np.array([[0, 1], [0, 2], [2, 3]]), num_labels=4)
        >>> print(animals.heights)
        [2 0 1 0]
    """
    checks.integer("num_labels", num_labels, least=1)
    pairs = _checked_edges(edges, num_labels)
    heights = np.zeros(num_labels, np.int32)
    for height, level in enumerate(_levels(pairs)):
        heights[level] = height
    # Edges are independent if their children have the same height. As a step has the average number
    # of edges per height, there are at most 2 steps per height, and at most as many places are
    # filled up as there are edges: neither a wide height nor a long chain costs more.
    of_edges = heights[pairs[:, 1]]
    order = np.lexsort((pairs[:, 0], of_edges))
    pairs, of_edges = pairs[order], of_edges[order]
    widths = np.bincount(of_edges, minlength=1)
    size = max(1, -(-len(pairs) // len(widths)))
    steps = -(-widths // size)
    place = np.arange(len(pairs)) - (np.cumsum(widths) - widths)[of_edges]
    slots = (np.cumsum(steps) - steps)[of_edges] * size + place
    padded = np.full((int(steps.sum()) * size, 2), num_labels, np.int32)
    padded[slots] = pairs
    parents, children = padded.T.reshape(2, -1, size)
    return Hierarchy(jnp.asarray(heights), jnp.asarray(parents), jnp.asarray(children))


def _checked_edges(edges: ArrayLike, num_labels: int) -> np.ndarray:
    if isinstance(edges, jax.core.Tracer):
        raise TypeError(
            "edges must be known: make the hierarchy outside of jit, vmap and grad, and pass it "
            "to the function or close over it"
        )
    given = np.asarray(edges)
    if not np.issubdtype(given.dtype, np.integer):
        raise TypeError(f"edges must be an integer array, got {given.dtype}")
    if given.ndim != 2 or given.shape[1] != 2:
        raise ValueError(f"edges must be pairs (parent, child), shape (E, 2), got {given.shape}")
    outside = np.any((given < 0) | (given >= num_labels), axis=1)
    if outside.any():
        place = int(outside.argmax())
        raise ValueError(
            f"edges must hold labels in [0, {num_labels}), got {given[place].tolist()} at {place}"
        )
    return np.unique(given.astype(np.int32), axis=0)


def _levels(pairs: np.ndarray) -> list[list[int]]:
    """Returns the labels of all edges by their height."""
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for parent, child in pairs.tolist():
        sorter.add(parent, child)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        cycle = " → ".join(map(str, reversed(error.args[1])))
        raise ValueError(f"edges must not form a cycle, got {cycle} (parent → child)") from None
    levels = []
    while sorter.is_active():
        levels.append(list(sorter.get_ready()))
        sorter.done(*levels[-1])
    return levels


def check_labels_of(hierarchy: Hierarchy, num_labels: int) -> None:
    """Raises unless the argument `hierarchy` is a hierarchy of that many labels."""
    if not isinstance(hierarchy, Hierarchy):
        raise TypeError(
            f"hierarchy must come from labels.hierarchy(edges, num_labels), "
            f"got {type(hierarchy).__name__}"
        )
    if hierarchy.heights.shape != (num_labels,):
        raise ValueError(
            f"the hierarchy must have as many labels as the last axis, {num_labels}, "
            f"got {hierarchy.heights.shape[0]}"
        )


def rows(values: Array, labels: Array) -> Array:
    """Returns the rows of some labels; for the filled-up places of a hierarchy, any row."""
    return values.at[labels].get(mode="clip")


def highest_below(values: Array, hierarchy: Hierarchy, bounds: Bounds | None = None) -> Array:
    """Returns for each label the largest row at or below it, entry by entry, (L, ...).

    Every edge is visited once, in steps of the same size, so time and memory are O(L + E) rows and
    the program does not grow with the hierarchy.

    Args:
        values: array (L, ...).
        hierarchy: the hierarchy.
        bounds: a function of K parents and K children that returns the bounds (K, ...) within which
            the children's values go up, so equal bounds replace them. (To choose between a value
            and a number would be a branch, which CPUs often mispredict.) None is no bound.
    """

    def step(top: Array, edges: tuple[Array, Array]) -> tuple[Array, None]:
        parents, children = edges
        below = rows(top, children)
        if bounds is not None:
            lowest, highest = bounds(parents, children)
            below = jax.lax.clamp(lowest, below, highest)
        return top.at[parents].max(below, mode="drop"), None

    return jax.lax.scan(step, values, (hierarchy.parents, hierarchy.children))[0]


def first_below(
    values: Array, top: Array, hierarchy: Hierarchy, flows: Flows | None = None
) -> Array:
    """Returns the first label at or below each label that attains its largest row, int32 (L, ...).

    If all rows at or below a label are -inf, it is the label itself.

    Args:
        values: float array (L, ...).
        top: the result of `highest_below`.
        hierarchy: the hierarchy.
        flows: a function of K parents and K children that returns whether the children's values
            went up, bool (K, ...); None if all did.
    """
    num_labels = len(values)
    label = jnp.arange(num_labels, dtype=jnp.int32).reshape(-1, *(1,) * (values.ndim - 1))

    def bounds(parents: Array, children: Array) -> tuple[Array, Array]:
        above, below = rows(top, parents), rows(top, children)
        attains = (above == below) & (above > -jnp.inf)
        attains = attains if flows is None else attains & flows(parents, children)
        highest = jnp.where(attains, num_labels, 0).astype(jnp.int32)
        return jnp.zeros_like(highest), highest

    # The largest number belongs to the first label, and 0 to none.
    first = highest_below(jnp.where(values == top, num_labels - label, 0), hierarchy, bounds)
    return jnp.where(first == 0, label, num_labels - first)
