"""Micro-batches: sums and counts are added up and divided once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_inputs import (
    FEATURES,
    LABELS,
    ROWS,
    assert_close,
    cross_entropy_over_positives,
    cross_entropy_pair,
    linear,
    linear_params,
    make_data,
    masked_mean,
    one_update,
    over_positives,
    slopes,
)

import mllosses_jax as mll
from mllosses_jax.training import TrainState, make_train_step

NORMALIZED = pytest.mark.parametrize(
    ("loss", "gradient"),
    [(cross_entropy_pair, masked_mean), (cross_entropy_over_positives, over_positives)],
)


@pytest.fixture(autouse=True)
def standard_promotion():
    """The optimisers of optax mix dtypes, which the strict promotion of the tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def data():
    return make_data()


@NORMALIZED
@pytest.mark.parametrize("parts", [1, 2, 4, ROWS])
def test_micro_batches_give_the_gradient_of_the_batch(loss, gradient, parts, data):
    optimizer = optax.sgd(1.0)
    step = make_train_step(linear, loss, optimizer, micro_batches=parts)
    taken, metrics = one_update(step, TrainState.create(linear_params(), optimizer), data)
    assert_close(taken, gradient(data, linear_params()))
    whole = loss(linear(linear_params(), data["inputs"]), data["labels"], where=data["where"])
    np.testing.assert_allclose(metrics["loss"], whole[0] / whole[1], rtol=1e-5)


@NORMALIZED
def test_the_mean_of_micro_batches_is_another_gradient(loss, gradient, data):
    """On its own, optax.MultiSteps averages the means of the parts."""
    parts = 2
    optimizer = optax.MultiSteps(optax.sgd(1.0), parts)

    def mean(logits, labels, *, where):
        total, count = loss(logits, labels, where=where)
        return total / count

    step = make_train_step(linear, mean, optimizer)
    state = TrainState.create(linear_params(), optimizer)
    for index in range(parts):
        rows = slice(index * ROWS // parts, (index + 1) * ROWS // parts)
        state, _ = step(state, {name: value[rows] for name, value in data.items()})
    expected = gradient(data, linear_params())
    moved = np.asarray(linear_params()["w"] - state.params["w"])
    assert np.max(np.abs(moved - expected["w"])) > 0.1 * np.max(np.abs(expected["w"]))


def test_masks_that_all_rows_share_go_to_every_part(data):
    optimizer = optax.sgd(1.0)
    where = jnp.array([[True, False, True]])
    shared = data | {"where": where, "labels": jnp.nan_to_num(data["labels"])}
    full = shared | {"where": jnp.broadcast_to(where, (ROWS, LABELS))}
    step = make_train_step(linear, cross_entropy_pair, optimizer, micro_batches=4)
    taken, _ = one_update(step, TrainState.create(linear_params(), optimizer), shared)
    assert_close(taken, masked_mean(full, linear_params()))


def test_inputs_may_hold_what_has_no_rows(data):
    def apply(params, inputs):
        return linear(params, inputs["x"] * inputs["scale"] + inputs["shift"])

    optimizer = optax.sgd(1.0)
    inputs = {"x": data["inputs"] / 2, "scale": jnp.float32(2), "shift": jnp.zeros((1, FEATURES))}
    step = make_train_step(apply, cross_entropy_pair, optimizer, micro_batches=4)
    state = TrainState.create(linear_params(), optimizer)
    taken, _ = one_update(step, state, data | {"inputs": inputs})
    assert_close(taken, masked_mean(data, linear_params()))


@pytest.mark.parametrize("shape", [(LABELS,), (1, LABELS), (ROWS, 1), (ROWS, LABELS)])
def test_weights_of_micro_batches(shape, data):
    def loss(logits, labels, *, weights, where):
        total = mll.sigmoid_binary_cross_entropy(
            logits, labels, weights=weights, where=where, reduction="sum"
        )
        return total, logits.shape[0]

    weights = np.random.default_rng(3).random(shape)
    optimizer = optax.sgd(1.0)
    step = make_train_step(linear, loss, optimizer, micro_batches=4)
    batch = data | {"weights": jnp.asarray(weights, jnp.float32)}
    taken, _ = one_update(step, TrainState.create(linear_params(), optimizer), batch)
    inputs, residual = slopes(data, linear_params())
    residual = residual * weights / ROWS
    assert_close(taken, {"w": inputs.T @ residual, "b": residual.sum(0)})


def test_gradients_of_bfloat16_are_added_up_in_float32():
    """512 equal slopes of 1/2 add up to 256; in bfloat16 their sum would stop at 128."""
    optimizer = optax.sgd(1.0)

    def loss(logits, labels):
        return jnp.sum(logits.astype(jnp.float32)) / 2, 1

    step = make_train_step(lambda params, x: x * params, loss, optimizer, micro_batches=512)
    state = TrainState.create(jnp.zeros((1, 1), jnp.bfloat16), optimizer)
    batch = {"inputs": jnp.ones((512, 1), jnp.bfloat16), "labels": jnp.ones((512, 1))}
    state, _ = step(state, batch)
    assert state.params.dtype == jnp.bfloat16
    assert state.params[0, 0] == -0.5  # the mean of the 512


def test_a_batch_in_which_nothing_counts_changes_nothing(data):
    optimizer = optax.sgd(1.0)
    nothing = data | {"where": jnp.zeros((ROWS, LABELS), bool)}
    step = make_train_step(linear, cross_entropy_pair, optimizer, micro_batches=2)
    taken, metrics = one_update(step, TrainState.create(linear_params(), optimizer), nothing)
    assert_close(taken, jax.tree.map(np.zeros_like, taken), 0)
    assert metrics["loss"] == 0


def test_line_search_sees_the_loss_of_all_micro_batches(data):
    optimizer = optax.lbfgs()
    states = []
    for parts in (1, 4):
        step = make_train_step(linear, cross_entropy_pair, optimizer, micro_batches=parts)
        state = TrainState.create(linear_params(), optimizer)
        for _ in range(3):
            state, metrics = step(state, data)
        states.append((state.params, metrics["loss"]))
    assert_close(states[0], states[1], 1e-4)
