"""Measures linear heads over many labels beside their three matrix products and dense autodiff.

Times are quotients of the time of the three matrix products alone, chunk by chunk, in the same
rounds. They are those that one pass needs: the logits and the gradients of features and kernel. A
loss of two sweeps computes the logits twice and so needs four, yet is measured in the same three.
The memory of programs that are too large to run is read from what was compiled.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

import mllosses_jax as mll
from benchmarks import bars
from benchmarks.bars import Bar
from benchmarks.timing import interleaved
from mllosses_jax import heads

BATCH, POSITIVES = 128, 16
SECONDS = 40.0  # for a group of calls
PRODUCTS = "three matrix products"
ONE_PASS: dict[str, Callable[..., Any]] = {
    "binary cross-entropy": mll.sigmoid_binary_cross_entropy,
    "asymmetric loss": mll.asymmetric_loss,
}
TWO_SWEEPS: dict[str, Callable[..., Any]] = {
    "softmax cross-entropy": mll.softmax_cross_entropy,
    "ZLPR loss": mll.zlpr_loss,
}
DENSE = "binary cross-entropy, dense autodiff"
UPDATES = {
    "float32": "update in float32",
    "bfloat16": "update in bfloat16, rounded at random",
    "float8": "update in float8, rounded at random",
}
SIZES = ((131_072, 128), (262_144, 128), (1_000_000, 128), (131_072, 768))
LARGE = (1_000_000, 10_000_000, 18_000_000)

# The bars: the time of one pass in that of its products, that of dense autodiff in that of one
# pass with a million labels, and the bytes per parameter of an update.
MOST_PRODUCTS, LEAST_OF_DENSE = 1.4, 2.0
MOST_BYTES = {"bfloat16": 2.15, "float8": 1.15}


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns rows of times, then rows of memory.

    Args:
        quick: whether to take tiny arrays, to check the harness.
    """
    rows = []
    for num_labels, num_features in ((1000, 8),) if quick else SIZES:
        rows += _times(num_labels, num_features)
    for num_labels, num_features in ((2000, 8),) if quick else [(number, 768) for number in LARGE]:
        rows += _memory(num_labels, num_features)
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Returns which bars are met and which are missed."""
    return bars.report(bars_of(rows))


def bars_of(rows: Sequence[dict[str, Any]]) -> list[Bar]:
    """Returns the bars that the figures of a run have."""
    one_pass = [_of_gradients(name) for name in ONE_PASS]
    found, ms = [], {}
    for row in rows:
        place = f"{row['what']}, {row['labels']} labels, {row['features']} features"
        if row["what"] in one_pass and row["features"] in (128, 768):
            found.append(Bar(f"{place}, of the products", row["of the products"], MOST_PRODUCTS))
        if "bytes per parameter" in row:
            most = next(MOST_BYTES[dtype] for dtype in MOST_BYTES if row["what"] == UPDATES[dtype])
            found.append(Bar(f"{place}, bytes per parameter", row["bytes per parameter"], most))
        elif (row["labels"], row["features"]) == (1_000_000, 128):
            ms[row["what"]] = row["ms"]
    if ms:
        quotient = ms[DENSE] / ms[_of_gradients("binary cross-entropy")]
        what = f"{DENSE}, 1000000 labels, 128 features, of one pass"
        found.append(Bar(what, quotient, LEAST_OF_DENSE, at_least=True))
    return found


def _of_gradients(loss: str) -> str:
    return f"{loss}, loss and gradients"


def _times(num_labels: int, num_features: int) -> list[dict[str, Any]]:
    keys = jax.random.split(jax.random.key(0), 3)
    h = jax.random.normal(keys[0], (BATCH, num_features))
    w = jax.random.normal(keys[1], (num_labels, num_features)) / num_features**0.5
    y = jax.random.randint(keys[2], (BATCH, POSITIVES), 0, num_labels)
    calls: dict[str, Callable[[], Any]] = {
        PRODUCTS: functools.partial(jax.jit(_products), h, w),
        "top 5": functools.partial(heads.linear_head_top_k, h, w, 5),
    }
    products = {"top 5": 1} | {_of_gradients(name): 4 for name in TWO_SWEEPS}
    for name, loss in (ONE_PASS | TWO_SWEEPS).items():
        implementation = "one_pass" if name in ONE_PASS else "recompute"
        ours = functools.partial(
            heads.linear_head_value_and_grad, loss=loss, implementation=implementation
        )
        calls[_of_gradients(name)] = functools.partial(jax.jit(ours), h, w, y)
    dense = functools.partial(heads.dense_head_loss, loss=mll.sigmoid_binary_cross_entropy)
    calls[DENSE] = functools.partial(jax.jit(jax.value_and_grad(dense, (0, 1))), h, w, y)
    for dtype, name in UPDATES.items():
        calls[name] = _Steps(num_labels, num_features, dtype, h, y)
    times = interleaved(calls, 50, SECONDS)
    return [
        {"labels": num_labels, "features": num_features, "what": name}
        | {"matrix products": products.get(name, 3)}
        | {"ms": ms, "of the products": ms / times[PRODUCTS]}
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
    for dtype in MOST_BYTES:
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
                "what": UPDATES[dtype],
                "temporary MiB": analysis.temp_size_in_bytes / 2**20,
                "bytes per parameter": held / (num_labels * num_features),
            }
        )
    return rows


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
