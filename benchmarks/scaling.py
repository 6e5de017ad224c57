"""Shows how losses over pairs scale with the labels, against arrays of pairs, rax and PyTorch.

Each row has the time and the temporary memory of value and gradient, for one sample of L labels, of
which 5 % are positive.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import mllosses_jax as mll
from benchmarks.timing import interleaved

Loss = Callable[[Array, Array], Array]
_LARGEST_NAIVE = 10_000
_IN_RAX = ("pairwise_hinge_loss", "pairwise_logistic_loss")


def _of_pairs(function: Callable[[Array], Array], outer: Callable[[Array], Array]) -> Loss:
    """Returns a loss that computes all pairs in an array: outer(sum of function(x_j - x_i))."""

    def loss(x: Array, y: Array) -> Array:
        pairs = y[:, :, None] & ~y[:, None, :]
        terms = function(x[:, None, :] - x[:, :, None])
        return jnp.mean(outer(jnp.sum(jnp.where(pairs, terms, 0.0), axis=(1, 2))))

    return loss


def _naive_warp(x: Array, y: Array) -> Array:
    pairs = y[:, :, None] & ~y[:, None, :]
    hinges = jnp.where(pairs, jnp.maximum(1 + x[:, None, :] - x[:, :, None], 0), 0.0)
    ranks = jnp.sum(hinges > 0, axis=2)
    harmonic = jnp.cumsum(1 / jnp.arange(1, x.shape[1] + 1))
    weights = jnp.where(ranks > 0, harmonic[jnp.maximum(ranks, 1) - 1] / jnp.maximum(ranks, 1), 0)
    return jnp.mean(jnp.sum(weights * jnp.sum(hinges, axis=2), axis=1))


def _in_rax(public: str) -> Loss:
    loss = getattr(importlib.import_module("rax"), public)
    return lambda x, y: loss(x, y.astype(x.dtype))


def _same(total: Array) -> Array:
    return total


def _hinge(difference: Array) -> Array:
    return jnp.maximum(1 + difference, 0)


def _exp_of_tanh(x: Array, y: Array) -> Array:
    return _of_pairs(jnp.exp, _same)(jnp.tanh(x), y)


LOSSES: dict[str, tuple[str, Loss | None]] = {
    "LSEP": ("lsep_loss", _of_pairs(jnp.exp, jnp.log1p)),
    "ZLPR": ("zlpr_loss", None),
    "two-way, samples": ("two_way_sample_loss", None),
    "BP-MLL": ("bp_mll_loss", _exp_of_tanh),
    "multi-label margin": ("multilabel_margin_loss", _of_pairs(_hinge, _same)),
    "pairwise hinge": ("pairwise_hinge_loss", _of_pairs(_hinge, _same)),
    "pairwise logistic": ("pairwise_logistic_loss", _of_pairs(jax.nn.softplus, _same)),
    "WARP": ("warp_loss", _naive_warp),
    "Lovász hinge": ("lovasz_hinge_loss", None),
}


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per loss, number of labels and implementation.

    `x growth` is the time divided by that for the next smaller number of labels; `x ours` and
    `x ours, memory` are the time and the memory divided by ours.

    Args:
        quick: whether to take 16 and 64 labels instead of 100 to 100,000.
    """
    rows: list[dict[str, Any]] = []
    earlier: dict[tuple[str, str], float] = {}
    for size in (16, 64) if quick else (100, 1_000, 10_000, 100_000):
        for row in _rows(size, rounds=2 if quick else 11):
            key = row["loss"], row["implementation"]
            row["x growth"] = row["ms"] / earlier[key] if key in earlier else None
            earlier[key] = row["ms"]
            rows.append(row)
    return rows


def _rows(size: int, rounds: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((1, size)), jnp.float32)
    y = jnp.asarray(np.arange(size)[None, :] % 20 == 0)
    result = []
    for name, (public, naive) in LOSSES.items():
        if not hasattr(mll, public):
            continue
        losses: dict[str, Loss] = {"ours": getattr(mll, public)}
        if naive is not None and size <= _LARGEST_NAIVE:
            losses["all pairs"] = naive
        if public in _IN_RAX and size <= _LARGEST_NAIVE and importlib.util.find_spec("rax"):
            losses["rax"] = _in_rax(public)
        calls: dict[str, Callable[[], Any]] = {}
        memory: dict[str, float] = {}
        for implementation, loss in losses.items():
            program = jax.jit(jax.value_and_grad(loss)).lower(x, y).compile()
            analysis = program.memory_analysis()
            memory[implementation] = analysis.temp_size_in_bytes if analysis else float("nan")
            calls[implementation] = lambda program=program: program(x, y)  # type: ignore[misc]
        if public == "multilabel_margin_loss" and importlib.util.find_spec("torch") is not None:
            from benchmarks.peers_torch import calls as torch_calls

            calls["torch"] = torch_calls(public, np.asarray(x), np.asarray(y))["torch"]
        times = interleaved(calls, rounds)
        for implementation, elapsed in times.items():
            held = memory.get(implementation)
            result.append(
                {
                    "loss": name,
                    "labels": size,
                    "implementation": implementation,
                    "ms": elapsed,
                    "temporary MiB": None if held is None else held / 2**20,
                    "x ours": elapsed / times["ours"],
                    "x ours, memory": None if held is None else held / max(memory["ours"], 1),
                }
            )
    return result
