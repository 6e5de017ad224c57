"""Measures losses and helpers on a hierarchy of the size of the Gene Ontology.

It has 40,000 labels and 80,000 edges, labels with several parents, a chain of 1,000 labels, and
equal logits. Times are also given in passes A of one exp and one log1p over the logits.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import mllosses_jax as mll
from benchmarks.timing import interleaved


def edges_of(num_labels: int, num_edges: int, chain: int) -> NDArray[np.int32]:
    """Returns random edges (parent, child): a chain of the first labels, and lower parents."""
    rng = np.random.default_rng(0)
    first = np.where(
        np.arange(1, num_labels) < chain,
        np.arange(num_labels - 1),
        rng.integers(0, np.arange(1, num_labels)),
    )
    more = rng.integers(chain, num_labels, num_edges - num_labels + 1)
    parents = np.concatenate([first, rng.integers(0, more)])
    children = np.concatenate([np.arange(1, num_labels), more])
    return np.stack([parents, children], axis=1).astype(np.int32)


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per function: time, passes A, temporary memory and time to compile.

    Args:
        quick: whether to take 400 labels instead of 40,000.
    """
    samples, num_labels, chain = (4, 400, 50) if quick else (32, 40_000, 1_000)
    edges = edges_of(num_labels, 2 * num_labels, chain)
    start = time.perf_counter()
    hierarchy = jax.block_until_ready(mll.labels.hierarchy(edges, num_labels))
    on_host = time.perf_counter() - start
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.integers(-24, 24, (samples, num_labels)) / 8, jnp.float32)
    anything = jnp.asarray(rng.random(x.shape) < 1e-3)
    obedient = mll.labels.with_ancestors(anything, hierarchy)

    def coherence(x: jax.Array, y: jax.Array) -> jax.Array:
        return mll.hierarchical_coherence_loss(x, y, ancestors=hierarchy)

    def penalty(x: jax.Array, y: jax.Array) -> jax.Array:
        return mll.hierarchy_penalty(x, y, edges=jnp.asarray(edges))

    functions: dict[str, tuple[Callable[..., Any], jax.Array]] = {
        "A": (lambda x, y: jnp.log1p(jnp.exp(-jnp.abs(x))), obedient),
        "hierarchical_coherence_loss": (jax.value_and_grad(coherence), obedient),
        "the same, labels that do not obey": (jax.value_and_grad(coherence), anything),
        "hierarchy_penalty": (jax.value_and_grad(penalty), obedient),
        "labels.with_ancestors": (lambda x, y: mll.labels.with_ancestors(y, hierarchy), anything),
        "decisions.coherent_scores": (
            lambda x, y: mll.decisions.coherent_scores(x, hierarchy),
            anything,
        ),
    }
    calls: dict[str, Callable[[], Any]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for name, (function, y) in functions.items():
        start = time.perf_counter()
        program = jax.jit(function).lower(x, y).compile()
        compiling = time.perf_counter() - start
        analysis = program.memory_analysis()
        rows[name] = {
            "function": name,
            "labels": num_labels,
            "edges": len(edges),
            "temporary MiB": analysis.temp_size_in_bytes / 2**20 if analysis else None,
            "compile s": compiling,
            "hierarchy s": on_host,
        }
        calls[name] = lambda program=program, y=y: program(x, y)  # type: ignore[misc]
    times = interleaved(calls, rounds=2 if quick else 21)
    for name, elapsed in times.items():
        rows[name] |= {"ms": elapsed, "A": elapsed / times["A"]}
    return list(rows.values())
