"""Measures linear heads over many labels beside their three matrix products and dense autodiff.

Times are quotients of the time of the three matrix products alone, chunk by chunk, in the same
rounds. The memory of programs that are too large to run is read from what was compiled.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

import mllosses_jax as mll
from benchmarks.timing import interleaved
from mllosses_jax import heads

BATCH, POSITIVES = 128, 16
SECONDS = 20.0  # for a group of calls
LOSSES: dict[str, Callable[..., Any]] = {
    "binary cross-entropy": mll.sigmoid_binary_cross_entropy,
    "asymmetric loss": mll.asymmetric_loss,
}
LARGE = (1_000_000, 10_000_000, 18_000_000)


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns rows of times, then rows of memory.

    Args:
        quick: whether to take tiny arrays, to check the harness.
    """
    if quick:
        return [*_times(1000, 8, dense=True), *_memory(2000, 8)]
    rows = []
    for num_labels, dense in ((131_072, True), (262_144, False), (1_000_000, True)):
        rows += _times(num_labels, 128, dense)
    rows += _times(131_072, 768, dense=True)
    for num_labels in LARGE:
        rows += _memory(num_labels, 768)
    return rows


def _times(num_labels: int, num_features: int, dense: bool) -> list[dict[str, Any]]:
    keys = jax.random.split(jax.random.key(0), 3)
    h = jax.random.normal(keys[0], (BATCH, num_features))
    w = jax.random.normal(keys[1], (num_labels, num_features)) / num_features**0.5
    y = jax.random.randint(keys[2], (BATCH, POSITIVES), 0, num_labels)
    calls: dict[str, Callable[[], Any]] = {
        "three matrix products": functools.partial(jax.jit(_products), h, w),
        "top 5": functools.partial(heads.linear_head_top_k, h, w, 5),
    }
    for name, loss in LOSSES.items():
        one_pass = functools.partial(_value_and_grad, loss=loss, implementation="one_pass")
        calls[f"{name}, loss and gradients"] = functools.partial(jax.jit(one_pass), h, w, y)
    if dense:
        name, loss = next(iter(LOSSES.items()))
        dense_loss = functools.partial(heads.dense_head_loss, loss=loss)
        calls[f"{name}, dense autodiff"] = functools.partial(
            jax.jit(jax.value_and_grad(dense_loss, (0, 1))), h, w, y
        )
    for title, dtype in (
        ("update in float32", "float32"),
        ("update in bfloat16, rounded at random", "bfloat16"),
        ("update in float8, rounded at random", "float8"),
    ):
        calls[title] = _Steps(num_labels, num_features, dtype, h, y)
    times = interleaved(calls, 50, SECONDS)
    products = times["three matrix products"]
    return [
        {"labels": num_labels, "features": num_features, "what": name, "ms": ms}
        | {"of the products": ms / products}
        for name, ms in times.items()
    ]


class _Steps:
    """Steps of a head that updates itself, each from where the last one ended."""

    def __init__(self, num_labels: int, num_features: int, dtype: Any, h: Array, y: Array) -> None:
        key = jax.random.key(1)
        self.state = heads.init_linear_head(key, num_labels, num_features, dtype=dtype, bias=False)
        self.h, self.y = h, y

    def __call__(self) -> Array:
        loss = mll.sigmoid_binary_cross_entropy
        self.state, value, _ = heads.linear_head_sgd_step(
            self.state, self.h, self.y, learning_rate=1e-3, loss=loss
        )
        return value


def _memory(num_labels: int, num_features: int) -> list[dict[str, Any]]:
    like = jax.ShapeDtypeStruct
    h = like((BATCH, num_features), jnp.float32)
    y = like((BATCH, POSITIVES), jnp.int32)
    rows = []
    for dtype in ("bfloat16", "float8"):
        make = functools.partial(
            heads.init_linear_head, jax.random.key(0), num_labels, num_features
        )
        state = jax.eval_shape(functools.partial(make, dtype=dtype, bias=False))
        step = functools.partial(
            heads.linear_head_sgd_step, learning_rate=1.0, loss=mll.sigmoid_binary_cross_entropy
        )
        analysis = jax.jit(step, donate_argnums=0).lower(state, h, y).compile().memory_analysis()
        assert analysis is not None
        held = (
            analysis.argument_size_in_bytes
            + analysis.output_size_in_bytes
            - analysis.alias_size_in_bytes
            + analysis.temp_size_in_bytes
        )
        rows.append(
            {
                "labels": num_labels,
                "features": num_features,
                "what": f"update in {dtype}, rounded at random",
                "temporary MiB": analysis.temp_size_in_bytes / 2**20,
                "bytes per parameter": held / (num_labels * num_features),
            }
        )
    return rows


def _value_and_grad(h: Array, w: Array, y: Array, **options: Any) -> Any:
    return heads.linear_head_value_and_grad(h, w, y, **options)


def _products(h: Array, w: Array) -> tuple[Array, Array]:
    """The products of a pass: logits, and the gradients of features and kernel, of the logits."""
    size = heads.choose_chunk_size(BATCH, len(w))

    def chunk(start: Array | int, size: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        of_features, of_kernel = carry
        rows = lax.dynamic_slice_in_dim(w, start, size)
        logits = h @ rows.T
        of_rows = logits.T @ h
        return of_features + logits @ rows, lax.dynamic_update_slice_in_dim(
            of_kernel, of_rows, start, 0
        )

    carry = jnp.zeros_like(h), jnp.zeros_like(w)
    number, left = divmod(len(w), size)
    carry = lax.fori_loop(0, number, lambda i, carry: chunk(i * size, size, carry), carry)
    return chunk(number * size, left, carry) if left else carry
