"""Accumulators: metrics of more data than fits in memory at once, on one device or many.

An accumulator is an immutable pytree of integers made by `init`. `update` returns it with a batch
added, `merge` adds two of them, and `compute` and the methods named after metrics read it. All
arrays in it are additive, so that batches may be split, ordered and merged in any way with the same
result, and `jax.lax.psum` of an accumulator is the accumulator of all devices. Any pytree, such as
a dictionary, can hold several accumulators, and each serves many metrics:

    >>> from functools import partial
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from mllosses_jax import metrics
    >>> from mllosses_jax.metrics import streaming
    >>> empty = {
    ...     "counts": streaming.ConfusionCounts.init(3),
    ...     "scores": streaming.ScoreHistogram.init(3, inputs="logits"),
    ...     "samples": streaming.SampleMeans.init(
    ...         lrap=metrics.label_ranking_average_precision,
    ...         precision_at_1=partial(metrics.precision_at_k, k=1),
    ...     ),
    ... }
    >>> def update(states, logits, labels):
    ...     return {
    ...         "counts": states["counts"].update(logits > 0, labels),
    ...         "scores": states["scores"].update(logits, labels),
    ...         "samples": states["samples"].update(logits, labels),
    ...     }

Batches sharded over devices need nothing else under `jit`:

    >>> from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    >>> mesh = Mesh(jax.devices(), "batch")
    >>> logits = jax.random.normal(jax.random.key(0), (16, 3))
    >>> labels = jax.random.bernoulli(jax.random.key(1), 0.5, (16, 3))
    >>> sharded = jax.device_put((logits, labels), NamedSharding(mesh, P("batch")))
    >>> states = jax.jit(update)(empty, *sharded)
    >>> print(jnp.allclose(states["counts"].f1(), metrics.f1(logits > 0, labels)))
    True
    >>> bounds = states["scores"].roc_auc()
    >>> print(bounds.lower <= metrics.roc_auc(logits, labels) <= bounds.upper)
    True

Inside `shard_map`, sum the accumulators of the devices:

    >>> @jax.jit
    ... @partial(jax.shard_map, mesh=mesh, in_specs=(P("batch"), P("batch")), out_specs=P())
    ... def evaluate(logits, labels):
    ...     return jax.lax.psum(update(empty, logits, labels), "batch")
    >>> again = evaluate(logits, labels)
    >>> print(jnp.array_equal(again["scores"].counts, states["scores"].counts))
    True
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.metrics.streaming._bounds import Bracket
from mllosses_jax.metrics.streaming.adapters import as_clu, as_nnx
from mllosses_jax.metrics.streaming.counts import ConfusionCounts
from mllosses_jax.metrics.streaming.histogram import BinnedCurve, ScoreHistogram
from mllosses_jax.metrics.streaming.means import SampleMeans

__all__ = [
    "BinnedCurve",
    "Bracket",
    "ConfusionCounts",
    "SampleMeans",
    "ScoreHistogram",
    "as_clu",
    "as_nnx",
]

show_public_names(__name__)
