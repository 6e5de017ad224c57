"""Averages, mixed precision, schedules and states of the training step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from training_inputs import (
    FEATURES,
    LABELS,
    ROWS,
    assert_close,
    cross_entropy_pair,
    linear,
    linear_params,
    make_data,
    masked_mean,
    one_update,
)

import mllosses_jax as mll
from mllosses_jax.training import TrainState, average_parameters, make_train_step, sweep


@pytest.fixture(autouse=True)
def standard_promotion():
    """The optimisers of optax mix dtypes, which the strict promotion of the tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def data():
    return make_data()


def test_average_follows_the_warm_up(data):
    optimizer, decay = optax.sgd(0.5), 0.3
    step = make_train_step(linear, cross_entropy_pair, optimizer, ema_decay=decay)
    state = TrainState.create(linear_params(), optimizer, ema=True)
    average = np.asarray(state.params["w"], np.float64)
    for number in range(1, 6):
        state, _ = step(state, data)
        now = min(decay, (1 + number) / (10 + number))
        average = now * average + (1 - now) * np.asarray(state.params["w"], np.float64)
        np.testing.assert_allclose(state.ema_params["w"], average, rtol=1e-6)
    assert (1 + 5) / (10 + 5) > decay > (1 + 2) / (10 + 2)  # both sides of the minimum were seen


def test_average_of_bfloat16_moves_in_float32():
    params = {"w": jnp.ones(2, jnp.bfloat16), "count": jnp.array(3)}
    average = TrainState.create(params, optax.sgd(0.1), ema=True).ema_params
    assert average["w"].dtype == jnp.float32
    new = {"w": jnp.full(2, 2, jnp.bfloat16), "count": jnp.array(4)}
    moved = average_parameters(average, new, step=10**6, decay=0.9999)
    np.testing.assert_allclose(moved["w"], 1.0001, rtol=1e-6)
    assert moved["count"] == 4


def test_models_compute_in_bfloat16_and_losses_in_float32(data):
    seen = {}

    def apply(params, inputs):
        seen["model"] = params["w"].dtype, inputs["x"].dtype, inputs["token"].dtype
        return linear(params, inputs["x"])

    def loss(logits, labels, *, where):
        seen["loss"] = logits.dtype
        return cross_entropy_pair(logits, labels, where=where)

    optimizer = optax.sgd(1.0)
    inputs = {"x": data["inputs"], "token": jnp.arange(ROWS)}
    step = make_train_step(apply, loss, optimizer, compute_dtype=jnp.bfloat16, micro_batches=2)
    state = TrainState.create(linear_params(), optimizer)
    taken, metrics = one_update(step, state, data | {"inputs": inputs})
    assert seen == {
        "model": (jnp.bfloat16, jnp.bfloat16, jnp.int32),
        "loss": jnp.float32,
    }
    assert metrics["loss"].dtype == taken["w"].dtype == jnp.float32
    assert_close(taken, masked_mean(data, linear_params()), 0.02)


def test_scheduled_parameters_are_traced(data):
    optimizer, traces = optax.sgd(0.5), []

    def loss(logits, labels, **arguments):
        traces.append(arguments.keys())
        return mll.sigmoid_focal_loss(logits, labels, **arguments)

    schedules = {"gamma": optax.linear_schedule(0.0, 2.0, 4), "alpha": lambda step: 0.25}
    step = make_train_step(linear, loss, optimizer, loss_schedules=schedules)
    state = TrainState.create(linear_params(), optimizer)
    for number in range(5):
        logits = np.asarray(linear(state.params, data["inputs"]), np.float64)
        state, metrics = step(state, data)
        p, y = 1 / (1 + np.exp(-logits)), np.asarray(data["labels"])
        p_true = np.where(y > 0, p, 1 - p)
        entries = -np.where(y > 0, 0.25, 0.75) * (1 - p_true) ** (number / 2) * np.log(p_true)
        expected = entries[np.asarray(data["where"])].mean()
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    assert len(traces) == 1


@pytest.mark.parametrize("parts", [1, 4])
def test_losses_carry_a_state(parts, data):
    """Running counts of the labels give the priors of a logit-adjusted loss."""

    def loss(logits, labels, *, where, state):
        known = jnp.sum(where, axis=0, dtype=jnp.float32)
        found = jnp.sum(where & (labels > 0), axis=0, dtype=jnp.float32)
        state = {"known": state["known"] + known, "found": state["found"] + found}
        prior = (state["found"] + 1) / (state["known"] + 2)
        value = mll.logit_adjusted_binary_cross_entropy(
            logits, labels, prior=prior, where=where, reduction="sum_and_count"
        )
        return value, state

    optimizer = optax.sgd(0.1)
    counts = {"known": jnp.zeros(LABELS), "found": jnp.zeros(LABELS)}
    step = make_train_step(linear, loss, optimizer, micro_batches=parts)
    state = TrainState.create(linear_params(), optimizer, loss_state=counts)
    for _ in range(3):
        state, _ = step(state, data)
    np.testing.assert_array_equal(state.loss_state["known"], 3 * data["where"].sum(0))
    np.testing.assert_array_equal(state.loss_state["found"], 3 * jnp.nansum(data["labels"], 0))


class Network(linen.Module):
    @linen.compact
    def __call__(self, inputs, *, train):
        hidden = linen.BatchNorm(use_running_average=not train, momentum=0.5)(inputs)
        return linen.Dense(LABELS)(linen.Dropout(0.5, deterministic=not train)(hidden))


@pytest.mark.parametrize("parts", [1, 2])
def test_models_have_batch_statistics_and_dropout(parts, data):
    model, keys = Network(), []

    def apply(params, inputs, *, model_state, key):
        jax.debug.callback(lambda bits: keys.append(tuple(bits.tolist())), jax.random.key_data(key))
        logits, changed = model.apply(
            {"params": params, "batch_stats": model_state},
            inputs,
            train=True,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        return logits, changed["batch_stats"]

    variables = model.init(jax.random.key(0), data["inputs"], train=False)
    optimizer = optax.sgd(0.1)
    step = make_train_step(apply, cross_entropy_pair, optimizer, micro_batches=parts)
    state = TrainState.create(
        variables["params"],
        optimizer,
        model_state=variables["batch_stats"],
        key=jax.random.key(1),
    )
    for _ in range(2):
        state, _ = step(state, data)
    jax.effects_barrier()
    assert len(set(keys)) == len(keys) == 2 * parts
    mean = np.zeros(FEATURES)
    for part in 2 * [data["inputs"][index::parts] for index in range(parts)]:
        mean = 0.5 * mean + 0.5 * np.asarray(part, np.float64).mean(0)
    np.testing.assert_allclose(state.model_state["BatchNorm_0"]["mean"], mean, rtol=1e-4, atol=1e-6)


def test_everything_at_once_under_a_sweep(data):
    """Keys, averages and micro-batches pass through vmap and scan."""
    optimizer = optax.adam(0.05)

    def apply(params, inputs, *, key):
        return linear(params, inputs) * jax.random.bernoulli(key, 0.9, (1, LABELS))

    step = make_train_step(
        apply, cross_entropy_pair, optimizer, micro_batches=2, ema_decay=0.9, donate=False
    )

    def init(key):
        return TrainState.create(linear_params(), optimizer, key=key, ema=True)

    def batch(data, key, index):
        return data

    keys = jax.random.split(jax.random.key(0), 3)
    states, metrics = sweep(init, step, batch, keys, data, num_steps=4)
    assert metrics["loss"].shape == (3, 4)
    for run in range(3):
        state = init(keys[run])
        for _ in range(4):
            state, _ = step(state, data)
        assert_close(
            jax.tree.map(lambda leaf, run=run: leaf[run], states.ema_params), state.ema_params
        )


def test_nnx_models_with_batch_statistics(data):
    class Model(nnx.Module):
        def __init__(self):
            self.norm = nnx.BatchNorm(FEATURES, momentum=0.5, rngs=nnx.Rngs(0))
            self.out = nnx.Linear(FEATURES, LABELS, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.out(self.norm(x))

    graph, params, statistics = nnx.split(Model(), nnx.Param, ...)

    def apply(params, inputs, *, model_state):
        model = nnx.merge(graph, params, model_state, copy=True)
        logits = model(inputs)
        return logits, nnx.split(model, nnx.Param, ...)[2]

    optimizer = optax.sgd(0.1)
    step = make_train_step(apply, cross_entropy_pair, optimizer, compute_dtype=jnp.bfloat16)
    state = TrainState.create(params, optimizer, model_state=statistics)
    state, _ = step(state, data)
    moved = state.model_state["norm"]["mean"][...]
    assert moved.dtype == jnp.float32
    expected = 0.5 * np.asarray(data["inputs"], np.float64).mean(0)
    np.testing.assert_allclose(moved, expected, rtol=0.05, atol=5e-3)


@pytest.mark.parametrize("wrong", ["loss", "no state of the loss", "no state of the model"])
def test_what_apply_and_loss_must_return(wrong, data):
    def loss(logits, labels, *, where, state=None):
        total, count = cross_entropy_pair(logits, labels, where=where)
        return (total, count, 0) if wrong == "loss" else total / count

    def apply(params, inputs, model_state=None):
        return linear(params, inputs)

    optimizer = optax.sgd(0.1)
    states = {
        "loss": {},
        "no state of the loss": {"loss_state": jnp.zeros(())},
        "no state of the model": {"model_state": jnp.zeros(())},
    }
    name = "apply" if "model" in wrong else "loss"
    with pytest.raises(TypeError, match=rf"{name} must return .*got"):
        make_train_step(apply, loss, optimizer)(
            TrainState.create(linear_params(), optimizer, **states[wrong]), data
        )


def test_per_sample_and_per_label_are_told_apart(data):
    optimizer = optax.sgd(0.1)
    square = {name: value[:LABELS] for name, value in data.items()}
    step = make_train_step(linear, cross_entropy_pair, optimizer, micro_batches=3)
    state = TrainState.create(linear_params(), optimizer)
    with pytest.raises(ValueError, match=r"'weights'.* may be per sample or per label"):
        step(state, square | {"weights": jnp.ones(LABELS)})


def test_averages_have_the_shapes_of_parameters():
    with pytest.raises(ValueError, match="must have the shapes of average"):
        average_parameters(jnp.zeros(1), jnp.zeros(3), 1, 0.9)
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\], got 2"):
        average_parameters(jnp.zeros(1), jnp.zeros(1), 1, 2)


def test_unknown_arguments_are_named(data):
    optimizer = optax.sgd(0.1)
    step = make_train_step(linear, mll.asymmetric_loss, optimizer)
    with pytest.raises(TypeError, match=r"asymmetric_loss: got an unexpected .*'mask'"):
        step(TrainState.create(linear_params(), optimizer), data | {"mask": data["where"]})


@pytest.mark.parametrize(
    ("options", "ema", "message"),
    [
        ({"micro_batches": 3}, False, "must divide the batch: 16 rows, 3 micro-batches"),
        ({"micro_batches": 2, "loss": mll.asymmetric_loss}, False, 'reduction="sum_and_count"'),
        ({"micro_batches": 0}, False, "micro_batches must be at least 1, got 0"),
        ({"ema_decay": 2}, False, r"ema_decay must lie in \[0, 1\], got 2"),
        ({"compute_dtype": jnp.float16}, False, "compute_dtype must be bfloat16 or wider"),
        ({"loss_schedules": {"where": lambda step: 0}}, False, r"both give \['where'\]"),
        ({"ema_decay": 0.9}, False, "ema_decay=0.9, and the state has no average"),
        ({}, True, "ema_decay=None, and the state has an average"),
        ({"loss": functools.partial(mll.asymmetric_loss, reduction="none")}, False, "scalar"),
    ],
)
def test_incompatible_options_are_named(options, ema, message, data):
    optimizer = optax.sgd(0.1)
    options = {"loss": cross_entropy_pair} | options
    state = TrainState.create(linear_params(), optimizer, ema=ema)
    with pytest.raises(ValueError, match=message):
        make_train_step(linear, options.pop("loss"), optimizer, **options)(state, data)
