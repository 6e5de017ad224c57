"""Losses over a hierarchy or a graph of labels."""

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.straight.terms import both, softplus


def hierarchical_coherence_loss(
    x: Array, y: Array, where: Array | None = None, *, pairs: Array
) -> Array:
    ancestor, descendant = pairs[:, 0], pairs[:, 1]

    def largest(z: Array) -> Array:
        """Returns the largest entry among a label and its descendants."""
        rows = z.T[descendant]
        return jax.ops.segment_max(rows, ancestor, z.shape[-1]).T

    counted = x if where is None else jnp.where(where, x, -jnp.inf)
    explained = largest(jnp.where(both(y > 0, where), x, -jnp.inf))
    entries = jnp.where(
        y > 0,
        softplus(-jnp.where(jnp.isfinite(explained), explained, 0)),
        softplus(jnp.where(y > 0, 0, largest(counted))),
    )
    return jnp.mean(entries, where=where)


def hierarchy_penalty(x: Array, y: Array, where: Array | None = None, *, edges: Array) -> Array:
    p = jax.nn.sigmoid(x)
    excess = jax.nn.relu(p[:, edges[:, 1]] - p[:, edges[:, 0]])
    if where is not None:
        excess = excess * (where[:, edges[:, 1]] & where[:, edges[:, 0]])
    return jnp.mean(jnp.sum(excess**2, -1))


def label_graph_penalty(
    x: Array, y: Array, where: Array | None = None, *, affinity: Array
) -> Array:
    p = jax.nn.sigmoid(x)
    if where is None:
        weighted = jnp.sum((jnp.sum(affinity, 0) + jnp.sum(affinity, 1)) / 2 * p**2, -1)
        return jnp.mean(weighted - jnp.sum(p * (p @ affinity), -1))
    p, known = jnp.where(where, p, 0), where.astype(p.dtype)
    degrees = (known @ affinity + known @ affinity.T) / 2
    return jnp.mean(jnp.sum(degrees * p**2, -1) - jnp.sum(p * (p @ affinity), -1))
