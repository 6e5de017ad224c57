"""Makes steps of heads so large that their weights alone nearly fill a machine of 24 GiB.

Each head has a process of its own, so that its peak of resident memory is its own: everything that
the process has held, with Python, JAX and what was compiled.
"""

import json
import sys
import time
from typing import Any

import jax

import mllosses_jax as mll
from benchmarks.alone import alone, peak_gib
from mllosses_jax import heads

BATCH, POSITIVES, STEPS = 16, 16, 2
LARGE = (("bfloat16", 10_000_000, 768), ("float8", 18_000_000, 768))


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns a row for each head: the time of its start and of a step, and its memory.

    Args:
        quick: whether to take small heads, to check the harness.
    """
    sizes = [(dtype, 20_000, 8) for dtype, *_ in LARGE] if quick else LARGE
    return [alone("benchmarks.large_steps", *size) for size in sizes]


def _steps(dtype: Any, num_labels: int, num_features: int) -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0), 3)
    h = jax.random.normal(keys[0], (BATCH, num_features))
    y = jax.random.randint(keys[1], (BATCH, POSITIVES), 0, num_labels)
    clock = [time.perf_counter()]
    state = heads.init_linear_head(keys[2], num_labels, num_features, dtype=dtype, bias=False)
    jax.block_until_ready(state)
    clock.append(time.perf_counter())
    losses = []
    for _ in range(STEPS):
        state, loss, _ = heads.linear_head_sgd_step(
            state, h, y, learning_rate=1.0, loss=mll.sigmoid_binary_cross_entropy
        )
        losses.append(float(loss))
        jax.block_until_ready(state)
        clock.append(time.perf_counter())
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(state.kernel))
    assert losses[-1] < losses[0]
    return {
        "kernel": dtype,
        "labels": num_labels,
        "features": num_features,
        "batch": BATCH,
        "start, s": clock[1] - clock[0],
        "first step, s": clock[2] - clock[1],
        "step, s": clock[-1] - clock[-2],
        "weights, GiB": weights / 2**30,
        "peak, GiB": peak_gib(),
        "first loss": losses[0],
        "last loss": losses[-1],
    }


if __name__ == "__main__":
    print(json.dumps(_steps(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
