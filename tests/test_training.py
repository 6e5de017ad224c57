import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

import mllosses_jax as mll
from mllosses_jax.training import TrainState, make_eval_step, make_train_step, sweep

FEATURES, LABELS, ROWS = 5, 3, 32


def own_loss(logits, labels, *, weights=None, where=None, gain=1.0):
    """A user's own loss: the masked and weighted mean of binary cross-entropy."""
    entry = jnp.logaddexp(jnp.zeros_like(logits), logits) - labels * logits
    entry = entry if weights is None else entry * weights
    count = entry.size if where is None else jnp.sum(where, dtype=jnp.float32)
    entry = entry if where is None else jnp.where(where, entry, 0)
    return gain * jnp.sum(entry) / count


def linear(params, inputs):
    return inputs @ params["w"] + params["b"][None, :]


def linear_params(key=0):
    return {
        "w": jax.random.normal(jax.random.key(key), (FEATURES, LABELS)),
        "b": jnp.zeros(LABELS),
    }


@pytest.fixture
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(ROWS, FEATURES)).astype(np.float32)
    labels = (inputs @ generator.normal(size=(FEATURES, LABELS)) > 0).astype(np.float32)
    return {"inputs": jnp.asarray(inputs), "labels": jnp.asarray(labels)}


def numpy_sgd(params, inputs, labels, rate, weights=1.0):
    """Takes one step of gradient descent on the mean binary cross-entropy, in float64."""
    w, b = np.asarray(params["w"], np.float64), np.asarray(params["b"], np.float64)
    inputs, labels = np.asarray(inputs, np.float64), np.asarray(labels, np.float64)
    slope = weights * (1 / (1 + np.exp(-(inputs @ w + b))) - labels) / labels.size
    return {"w": w - rate * inputs.T @ slope, "b": b - rate * slope.sum(0)}


def assert_tree_close(actual, expected, tolerance=1e-5):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_step_is_gradient_descent(data):
    optimizer = optax.sgd(0.5)
    params = linear_params()
    weights = jnp.asarray([[1.0, 2.0, 0.5]])
    step = make_train_step(linear, own_loss, optimizer)
    state, metrics = step(TrainState.create(params, optimizer), data | {"weights": weights})
    expected = numpy_sgd(params, data["inputs"], data["labels"], 0.5, np.asarray(weights))
    assert_tree_close(state.params, expected)
    assert int(state.step) == 1
    assert metrics["loss"].shape == ()


@pytest.mark.usefixtures("optax_promotion")
def test_step_equals_hand_written_optax_step(data):
    optimizer = optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(0.01, weight_decay=0.1))
    loss = functools.partial(own_loss, gain=2.0)
    step = make_train_step(linear, loss, optimizer)
    state = TrainState.create(linear_params(), optimizer)
    params = linear_params()
    opt_state = optimizer.init(params)
    for _ in range(3):
        state, metrics = step(state, data)
        value, gradient = jax.value_and_grad(
            lambda p: loss(linear(p, data["inputs"]), data["labels"])
        )(params)
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-6)
    assert_tree_close(state.params, params, 1e-6)
    assert_tree_close(state.opt_state, opt_state, 1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        own_loss,
        mll.sigmoid_binary_cross_entropy,
        functools.partial(mll.asymmetric_loss, gamma_neg=2.5),
        mll.softmax_cross_entropy,
        mll.soft_f1_loss,
        mll.two_way_loss,
    ],
)
def test_masked_rows_equal_deleted_rows(loss, data):
    optimizer = optax.sgd(0.5)
    step = make_train_step(linear, loss, optimizer)
    keep = np.arange(ROWS) % 3 != 0
    poisoned = data["inputs"].at[~keep].set(1e30)
    masked = {"inputs": poisoned, "labels": data["labels"], "where": jnp.asarray(keep)[:, None]}
    masked["where"] = jnp.broadcast_to(masked["where"], (ROWS, LABELS))
    deleted = {name: value[keep] for name, value in data.items()}
    one, _ = step(TrainState.create(linear_params(), optimizer), masked)
    other, _ = step(TrainState.create(linear_params(), optimizer), deleted)
    assert_tree_close(one.params, other.params, 1e-6)


class LinenMLP(linen.Module):
    @linen.compact
    def __call__(self, inputs):
        return linen.Dense(LABELS)(linen.relu(linen.Dense(16)(inputs)))


def linen_model():
    model = LinenMLP()
    return model.apply, model.init(jax.random.key(0), jnp.zeros((1, FEATURES)))


def nnx_model():
    layers = nnx.List([nnx.Linear(FEATURES, 16, rngs=nnx.Rngs(0))])

    class Model(nnx.Module):
        def __init__(self):
            self.layers = layers
            self.out = nnx.Linear(16, LABELS, rngs=nnx.Rngs(1))

        def __call__(self, inputs):
            return self.out(nnx.relu(self.layers[0](inputs)))

    graph, params = nnx.split(Model())
    return (lambda params, inputs: nnx.merge(graph, params)(inputs)), params


@pytest.mark.usefixtures("optax_promotion")
@pytest.mark.parametrize("model", [linen_model, nnx_model, lambda: (linear, linear_params())])
def test_loss_falls(model, data):
    apply, params = model()
    optimizer = optax.adam(0.02)
    step = make_train_step(apply, own_loss, optimizer)
    state = TrainState.create(params, optimizer)
    losses = []
    for _ in range(150):
        state, metrics = step(state, data)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.4 * losses[0]


@pytest.mark.usefixtures("optax_promotion")
def test_state_is_donated_and_the_callers_parameters_are_not(data):
    optimizer = optax.adam(0.1)
    params = linear_params()
    state = TrainState.create(params, optimizer)
    make_train_step(linear, own_loss, optimizer)(state, data)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(params))

    state = TrainState.create(params, optimizer)
    make_train_step(linear, own_loss, optimizer, donate=False)(state, data)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.contrib.prodigy(),  # keeps the first parameters
        optax.lbfgs(),  # tries steps on the objective
        optax.polyak_sgd(),  # asks for the value
        optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau()),
    ],
    ids=["prodigy", "lbfgs", "polyak_sgd", "reduce_on_plateau"],
)
def test_optimisers_that_ask_for_more_than_a_gradient(optimizer, data, optax_promotion):
    step = make_train_step(linear, own_loss, optimizer)
    state = TrainState.create(linear_params(), optimizer)
    losses = []
    for _ in range(5):
        state, metrics = step(state, data)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0]


@pytest.mark.usefixtures("optax_promotion")
def test_steps_do_not_recompile(data):
    traces = 0

    def counted(logits, labels, **kwargs):
        nonlocal traces
        traces += 1
        return own_loss(logits, labels, **kwargs)

    optimizer = optax.adam(optax.cosine_decay_schedule(0.1, 10))
    step = make_train_step(linear, counted, optimizer)
    state = TrainState.create(linear_params(), optimizer)
    for _ in range(5):
        state, _ = step(state, data)
    assert traces == 1


def test_eval_step_is_additive_over_batches(data):
    def sum_and_count(logits, labels, *, where):
        entry = jnp.logaddexp(jnp.zeros_like(logits), logits) - labels * logits
        return jnp.sum(jnp.where(where, entry, 0)), jnp.sum(where, dtype=jnp.float32)

    where = jnp.asarray(np.random.default_rng(1).random((ROWS, LABELS)) < 0.7)
    step = make_eval_step(linear, {"loss": sum_and_count})
    params = linear_params()
    parts = [
        step(params, {name: value[rows] for name, value in (data | {"where": where}).items()})
        for rows in (slice(0, 20), slice(20, ROWS))
    ]
    total = sum(part["loss"][0] for part in parts) / sum(part["loss"][1] for part in parts)
    logits = np.asarray(data["inputs"], np.float64) @ np.asarray(params["w"], np.float64)
    entry = np.log1p(np.exp(logits)) - np.asarray(data["labels"]) * logits
    np.testing.assert_allclose(total, entry[np.asarray(where)].mean(), rtol=1e-5)
    np.testing.assert_allclose(
        np.concatenate([part["logits"] for part in parts]), logits, rtol=1e-4, atol=1e-5
    )


def test_sweep_equals_each_run_alone(data):
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)
    step = make_train_step(linear, own_loss, optimizer)

    def init(run):
        state = TrainState.create(jax.tree.map(lambda p: p[0], run["params"]), optimizer)
        state.opt_state.hyperparams["learning_rate"] = run["rate"]
        return state

    def batch(data, run, index):
        rows = run["rows"][index]
        return {"inputs": data["inputs"][rows], "labels": data["labels"][rows]}

    rates = jnp.asarray([0.05, 0.5, 0.1])
    rows = jnp.asarray(np.random.default_rng(2).integers(0, ROWS, (3, 4, 8)))
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves)[:, None], *map(linear_params, range(3)))
    runs = {"rate": rates, "rows": rows, "params": params}
    states, metrics = sweep(init, step, batch, runs, data, num_steps=4)
    assert metrics["loss"].shape == (3, 4)
    assert states.step.tolist() == [4, 4, 4]
    for run in range(3):
        expected = linear_params(run)
        for index in range(4):
            chosen = np.asarray(rows[run, index])
            expected = numpy_sgd(
                expected, data["inputs"][chosen], data["labels"][chosen], float(rates[run])
            )
        assert_tree_close(jax.tree.map(lambda leaf, r=run: leaf[r], states.params), expected)


def test_sweep_compiles_once(data):
    traces = 0

    def counted(logits, labels):
        nonlocal traces
        traces += 1
        return own_loss(logits, labels)

    optimizer = optax.sgd(0.1)
    step = make_train_step(linear, counted, optimizer)

    def init(key):
        params = {"w": jax.random.normal(key, (FEATURES, LABELS)), "b": jnp.zeros(LABELS)}
        return TrainState.create(params, optimizer)

    def batch(data, key, index):
        return data

    for seed in range(3):
        keys = jax.random.split(jax.random.key(seed), 4)
        states, _ = sweep(init, step, batch, keys, data, num_steps=2)
    assert traces == 1
    assert len({float(w) for w in states.params["w"][:, 0, 0]}) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [({"inputs": None}, r"lacks \['inputs'\]"), ({"labels": None}, r"lacks \['labels'\]")],
)
@pytest.mark.parametrize("make", ["train", "eval"])
def test_bad_batch_is_named(make, change, message, data):
    batch = {name: value for name, value in (data | change).items() if value is not None}
    optimizer = optax.sgd(0.1)
    state = TrainState.create(linear_params(), optimizer)
    train, evaluate = make_train_step(linear, own_loss, optimizer), make_eval_step(linear, {})
    with pytest.raises(ValueError, match=message):
        train(state, batch) if make == "train" else evaluate(state.params, batch)


def test_a_batch_is_a_dict(data):
    optimizer = optax.sgd(0.1)
    state = TrainState.create(linear_params(), optimizer)
    train, evaluate = make_train_step(linear, own_loss, optimizer), make_eval_step(linear, {})
    pair = data["inputs"], data["labels"]
    for call in (lambda: train(state, pair), lambda: evaluate(state.params, pair)):
        with pytest.raises(TypeError, match=r"batch must be a dict .* got a tuple"):
            call()


def test_loss_must_be_scalar(data):
    optimizer = optax.sgd(0.1)
    step = make_train_step(linear, lambda logits, labels: logits - labels, optimizer)
    with pytest.raises(ValueError, match=r"must return a scalar .* got shape \(32, 3\)"):
        step(TrainState.create(linear_params(), optimizer), data)


def test_logits_is_not_a_metric_name():
    with pytest.raises(ValueError, match='"logits"'):
        make_eval_step(linear, {"logits": own_loss})
