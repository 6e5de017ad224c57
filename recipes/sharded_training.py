"""Trains on all devices with the training helpers, and resumes from checkpoints."""

import functools
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding, PartitionSpec

import mllosses_jax as mll
from mllosses_jax.metrics.streaming import ScoreHistogram
from mllosses_jax.training import TrainState, make_eval_step, make_train_step

STEPS, ROWS, HIDDEN = 120, 256, 64
DATA = mll.data.load("mosaics").standardized()
NUM_FEATURES, NUM_LABELS = DATA.x_train.shape[1], DATA.y_train.shape[1]
MESH = jax.make_mesh((jax.device_count(),), ("data",))
BY_ROW, EVERYWHERE = (NamedSharding(MESH, PartitionSpec(*axes)) for axes in (("data",), ()))


def apply(params, inputs, *, key=None):
    hidden = jax.nn.relu(inputs @ params["in"])
    if key is not None:  # dropout, in training only
        hidden = jnp.where(jax.random.bernoulli(key, 0.8, hidden.shape), hidden / 0.8, 0)
    return hidden @ params["out"]


OPTIMIZER = optax.chain(
    optax.clip_by_global_norm(1.0),
    optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 5e-3, 10, STEPS)),
)
train_step = make_train_step(
    apply,
    functools.partial(mll.asymmetric_loss, reduction="sum_and_count"),
    OPTIMIZER,
    micro_batches=2,
    loss_schedules={"gamma_neg": optax.linear_schedule(1.0, 4.0, STEPS)},
    compute_dtype=jnp.bfloat16,
    ema_decay=0.99,
)


def first_state():
    key, first, last = jax.random.split(jax.random.key(0), 3)
    params = {
        "in": jax.random.normal(first, (NUM_FEATURES, HIDDEN)) / NUM_FEATURES**0.5,
        "out": jax.random.normal(last, (HIDDEN, NUM_LABELS)) / HIDDEN**0.5,
    }
    state = TrainState.create(params, OPTIMIZER, key=key, ema=True)
    return jax.device_put(state, EVERYWHERE)


def batch(x, y, rows):
    """Returns rows of the data, split over the devices; rows beyond the last are masked."""
    some, known = np.minimum(rows, len(x) - 1), rows[:, None] < len(x)
    arrays = {"inputs": x[some], "labels": y[some], "where": np.tile(known, NUM_LABELS)}
    return jax.device_put(arrays, BY_ROW)


def train(state, checkpoints, until):
    for number in range(int(state.step), until):  # the rows of a step depend on its number alone
        rows = np.random.default_rng(number).integers(len(DATA.x_train), size=ROWS)
        state, metrics = train_step(state, batch(DATA.x_train, DATA.y_train, rows))
        jax.block_until_ready(metrics)  # devices made of one CPU cannot run steps ahead
        if (number + 1) % 50 == 0:
            checkpoints.save(number + 1, args=ocp.args.StandardSave(state))
    checkpoints.wait_until_finished()
    return state


def evaluate(params):
    def histogram(logits, labels, *, where):
        empty = ScoreHistogram.init(NUM_LABELS, inputs="logits")
        return empty.update(logits, labels, where=where)

    step, total = make_eval_step(apply, {"histogram": histogram}), None
    for start in range(0, len(DATA.x_test), ROWS):
        rows = np.arange(start, start + ROWS)
        part = step(params, batch(DATA.x_test, DATA.y_test, rows))["histogram"]
        total = part if total is None else total.merge(part)
    return total.average_precision()


def main():
    with tempfile.TemporaryDirectory() as folder, ocp.CheckpointManager(folder) as checkpoints:
        train(first_state(), checkpoints, until=70)  # training is interrupted here
        template = ocp.args.StandardRestore(first_state())
        state = checkpoints.restore(checkpoints.latest_step(), args=template)
        print(f"resumes from step {int(state.step)} on {jax.device_count()} devices")
        state = train(state, checkpoints, until=STEPS)
    quality = evaluate(state.ema_params)
    print(f"test mAP between {quality.lower:.3f} and {quality.upper:.3f}")
    return state, float(quality.estimate)


if __name__ == "__main__":
    main()
