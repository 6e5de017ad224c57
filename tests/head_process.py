"""One of two processes that train a head together: `python head_process.py PORT RANK FILE`.

Each holds half of the samples or, with its four devices, half of the labels. `test_heads_processes`
starts both and compares what they write with the answer of one process.
"""

import json
import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from mllosses_jax import heads

LABELS, FEATURES, BATCH, STEPS = 29, 4, 8, 3
OPTIONS = {"learning_rate": 0.3, "num_labels": LABELS, "chunk_size": 3}
SHAPES = {"samples": (2, 4), "labels": (1, 8)}


def batches():
    """Returns features and positives of each step."""
    rng = np.random.default_rng(0)
    return [
        (
            rng.normal(size=(BATCH, FEATURES)).astype(np.float32),
            rng.integers(-1, LABELS, (BATCH, 3)).astype(np.int32),
        )
        for _ in range(STEPS)
    ]


def first_kernel(rows=LABELS):
    """Returns a kernel whose rows beyond the last label are 0."""
    kernel = np.zeros((rows, FEATURES), np.float32)
    kernel[:LABELS] = np.random.default_rng(1).normal(size=(LABELS, FEATURES))
    return kernel


def train(shape, rank):
    """Trains on a mesh of this shape; returns the losses and this process's part of the kernel."""
    mesh = jax.make_mesh(shape, ("data", "label"), axis_types=(AxisType.Auto,) * 2)
    step = heads.shard_linear_head(heads.linear_head_sgd_step, mesh)
    loss = heads.shard_linear_head(heads.linear_head_loss, mesh)
    by_label, by_row = NamedSharding(mesh, P("label")), NamedSharding(mesh, P("data"))
    whole = first_kernel(heads.padded_rows(LABELS, mesh))
    kernel = jax.make_array_from_callback(whole.shape, by_label, lambda index: whole[index])
    state = heads.HeadState(kernel)
    per_process = BATCH // shape[0]
    rows = slice(rank * per_process, (rank + 1) * per_process) if shape[0] > 1 else slice(None)
    losses = []
    for batch in batches():
        local = [jax.make_array_from_process_local_data(by_row, x[rows]) for x in batch]
        before = loss(local[0], state.kernel, local[1], reduction="batchmean", num_labels=LABELS)
        state, value, _ = step(state, *local, **OPTIONS)
        losses.append((float(value), float(before)))
    parts = {
        str(shard.index[0].start or 0): np.asarray(shard.data).tolist()
        for shard in state.kernel.addressable_shards
    }
    return {"losses": losses, "parts": parts}


def main():
    port, rank, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 4)
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    results = {name: train(shape, rank) for name, shape in SHAPES.items()}
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(results, stream)


if __name__ == "__main__":
    main()
