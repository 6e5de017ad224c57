"""Training on eight devices follows the trajectory of one."""

import functools
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import mllosses_jax as mll
from mllosses_jax.training import TrainState, make_train_step

FEATURES, LABELS, ROWS, STEPS = 6, 5, 32, 6
LOSSES = {
    "element": functools.partial(mll.asymmetric_loss, reduction="sum_and_count"),
    "sample": functools.partial(mll.softmax_cross_entropy, reduction="sum_and_count"),
    "label": mll.soft_f1_loss,
    "batch": mll.two_way_loss,
}


@pytest.fixture(autouse=True)
def standard_promotion():
    """The optimisers of optax mix dtypes, which the strict promotion of the tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def apply(params, inputs):
    return jnp.tanh(inputs @ params["in"]) @ params["out"]


def first_state(optimizer):
    one, other = jax.random.split(jax.random.key(0))
    params = {
        "in": jax.random.normal(one, (FEATURES, 8)),
        "out": jax.random.normal(other, (8, LABELS)),
    }
    return TrainState.create(params, optimizer, ema=True)


@pytest.fixture(scope="module")
def batches():
    """Batches whose masks differ from device to device; some rows are all padding."""
    generator = np.random.default_rng(0)
    known = generator.random((STEPS, ROWS, LABELS)) < np.linspace(0, 1, ROWS)[:, None]
    return [
        {
            "inputs": generator.normal(size=(ROWS, FEATURES)).astype(np.float32),
            "labels": generator.random((ROWS, LABELS)) < 0.4,
            "where": where,
        }
        for where in known
    ]


def training(loss, parts=1):
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(0.05))
    step = make_train_step(apply, loss, optimizer, micro_batches=parts, ema_decay=0.9)
    return step, first_state(optimizer)


def trajectory(step, state, batches):
    losses = []
    for batch in batches:
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))  # eight devices on one CPU cannot run ahead
    return {"losses": np.array(losses), "params": state.params, "average": state.ema_params}


def mesh(kind):
    return jax.make_mesh((8,), ("data",), axis_types=(kind,))


def assert_same(actual, expected):
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


CASES = [(name, 1) for name in LOSSES] + [("element", 4)]


@pytest.mark.parametrize(("name", "parts"), CASES)
def test_named_sharding(name, parts, batches):
    alone = trajectory(*training(LOSSES[name], parts), batches)
    rows = NamedSharding(mesh(AxisType.Auto), P("data"))
    sharded = [jax.tree.map(lambda leaf: jax.device_put(leaf, rows), batch) for batch in batches]
    assert_same(trajectory(*training(LOSSES[name], parts), sharded), alone)


@pytest.mark.parametrize("parts", [1, 2])
def test_sharded_parameters_on_an_explicit_mesh(parts, batches):
    alone = trajectory(*training(LOSSES["element"], parts), batches)
    devices = jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)
    step, state = training(LOSSES["element"], parts)
    columns = NamedSharding(devices, P(None, "model"))
    whole = NamedSharding(devices, P())
    state = jax.tree.map(
        lambda leaf: jax.device_put(leaf, columns if leaf.shape == (FEATURES, 8) else whole), state
    )
    rows = NamedSharding(devices, P("data"))
    sharded = [jax.tree.map(lambda leaf: jax.device_put(leaf, rows), batch) for batch in batches]
    with jax.set_mesh(devices):
        assert_same(trajectory(step, state, sharded), alone)


def test_dropout_differs_between_devices_by_their_index():
    """All devices get the key of the step; folding in the index, as documented, separates them."""
    devices = mesh(AxisType.Auto)

    def apply(params, inputs, *, key):
        key = jax.random.fold_in(key, jax.lax.axis_index("data"))
        return params * inputs * jax.random.bernoulli(key, 0.5, inputs.shape)

    def loss(logits, labels):
        return jax.lax.psum(jnp.sum(logits * labels), "data")

    optimizer = optax.sgd(1.0)
    state = TrainState.create(jnp.zeros((1, 64)), optimizer, key=jax.random.key(0))
    mapped = jax.shard_map(
        make_train_step(apply, loss, optimizer),
        mesh=devices,
        in_specs=(P(), P("data")),
        out_specs=P(),
    )
    # Each device adds its own bit to the sums: all are 0 or all 1 if the masks are the same.
    bits = 2.0 ** jnp.arange(8)[:, None] * jnp.ones((8, 64))
    state, _ = jax.jit(mapped)(state, {"inputs": jnp.ones((8, 64)), "labels": bits})
    assert len(np.unique(state.params)) > 20


@pytest.mark.parametrize(("name", "parts"), CASES)
def test_shard_map(name, parts, batches):
    alone = trajectory(*training(LOSSES[name], parts), batches)
    step, state = training(functools.partial(LOSSES[name], axis_name="data"), parts)
    devices = mesh(AxisType.Auto)
    mapped = jax.shard_map(
        step, mesh=devices, in_specs=(P(), P("data")), out_specs=P(), check_vma=True
    )
    assert_same(trajectory(jax.jit(mapped), state, batches), alone)


def test_local_means_would_give_another_trajectory(batches):
    """Without the axis name the devices' means are averaged, so the check above can fail."""
    alone = trajectory(*training(LOSSES["element"]), batches)
    step, state = training(lambda *a, **k: jax.lax.pmean(mll.asymmetric_loss(*a, **k), "data"))
    mapped = jax.shard_map(step, mesh=mesh(AxisType.Auto), in_specs=(P(), P("data")), out_specs=P())
    other = trajectory(jax.jit(mapped), state, batches)
    assert np.max(np.abs(other["losses"] - alone["losses"])) > 1e-2


class NoCheckpoints:
    """A checkpoint manager that keeps nothing."""

    def save(self, step, args):
        pass

    def wait_until_finished(self):
        pass


def test_recipe_resumes_as_if_never_interrupted():
    recipe = runpy.run_path(str(Path(__file__).parent.parent / "recipes/sharded_training.py"))
    with jax.numpy_rank_promotion("allow"):
        state, quality = recipe["main"]()
        alone = recipe["train"](recipe["first_state"](), NoCheckpoints(), recipe["STEPS"])
    assert int(state.step) == recipe["STEPS"]
    np.testing.assert_array_equal(jax.random.key_data(state.key), jax.random.key_data(alone.key))
    assert_same((state.params, state.ema_params), (alone.params, alone.ema_params))
    assert quality > 0.5
