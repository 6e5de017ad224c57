"""Models of the user's: NNX, Linen and plain functions beside the MLP and a straight loop."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import own_models
import pytest
from flax import nnx
from sklearn.metrics import average_precision_score

from mllosses_jax.compare import (
    Predictor,
    compare,
    mlp,
    steps_attempts,
    steps_search,
    steps_training,
)
from mllosses_jax.compare.bound_loss import bind
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Occupied
from mllosses_jax.compare.loading import load_data
from mllosses_jax.compare.own_model import resolve
from mllosses_jax.data import Dataset

FEATURES, LABELS = 6, 3
BINARY, OTHER = "sigmoid_binary_cross_entropy", "zlpr_loss"
HEADED = "multilabel_distillation_loss"  # has a head for each label besides the logits
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(scope="module", autouse=True)
def short():
    """Sets few and short rounds, small batches and a narrow layer, in a user's session."""
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        pytest.MonkeyPatch.context() as patch,
    ):
        for module, name, value in (
            (steps_attempts, "ROUNDS", 4),
            (steps_attempts, "STEPS", 10),
            (steps_attempts, "BATCH", 16),
            (steps_search, "FIRST", [(0, 0), (2, 0)]),
            (steps_search, "THEN", ()),
            (mlp, "HIDDEN", own_models.HIDDEN),
        ):
            patch.setattr(module, name, value)
        yield


def make_dataset(rows=120):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, FEATURES))
    y = x @ generator.normal(size=(FEATURES, LABELS)) + generator.normal(size=(rows, 1)) > 0.5
    return load_data(Dataset(name="toy", label_names=tuple("abc"), x_train=5 * x + 1, y_train=y))


@functools.cache
def comparison_of(kind):
    model = {
        "mlp": "mlp",
        "nnx": own_models.Mlp,
        "linen": own_models.LinenMlp(LABELS),
        "linen factory": own_models.linen_mlp,
        "pair": (own_models.init, own_models.apply),
    }[kind]
    return compare(make_dataset(), losses=BINARY, model=model, num_seeds=3)


def test_a_pair_that_starts_as_the_mlp_becomes_the_mlp():
    ours = comparison_of("mlp").outcomes[BINARY]
    own = comparison_of("pair").outcomes[BINARY]
    assert own.chosen == ours.chosen
    for name, expected in {
        "hidden/kernel": "hidden_kernel",
        "hidden/bias": "hidden_bias",
        "output/0": "kernel",
        "output/1": "bias",
    }.items():
        np.testing.assert_allclose(own.params[name], ours.params[expected], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own.test_scores, ours.test_scores, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["nnx", "linen", "linen factory"])
def test_modules_of_the_same_shape_are_as_good_as_the_mlp(kind):
    """The starts are drawn otherwise, so they agree within what seeds do."""
    ours = comparison_of("mlp").results[BINARY]["map"]
    own = comparison_of(kind).results[BINARY]["map"]
    spread = np.ptp([*ours["values"], *own["values"]])
    assert ours["mean"] > 0.8
    assert abs(own["mean"] - ours["mean"]) < max(2 * spread, 0.03)
    assert np.ptp(own["values"]) > 0  # seeds start apart


def test_training_is_a_straight_loop_with_optax():
    """Each step is that of optax.adamw, with decay of matrices only, on the rows of the batch."""
    dataset = make_dataset().standardized()
    own = resolve(own_models.Mlp).network((FEATURES,), LABELS)
    bound = bind(BINARY, dataset)
    trainer = steps_training.Trainer(dataset, bound, own.network, jax.devices()[:1])
    rows = [np.arange(40)]
    start = state = trainer.start(rows, 0)
    [taken] = [next(steps_training.batches(rows, 0, num_steps=12, batch_size=16))]
    rates = steps_training.Rates(np.float32([0.01]), np.float32([3.0]))
    state = trainer.advance(state, taken, rates)

    params = jax.tree.map(lambda value: value[0], start.params)
    share = dataset.y_train[:40].mean(0)
    np.testing.assert_allclose(params["output"]["bias"], np.log(share / (1 - share)), rtol=1e-5)
    decays = jax.tree.map(lambda value: value.ndim == 2, params)
    adam = optax.adamw(0.01, eps=1e-15, weight_decay=3.0, mask=decays)
    memory = adam.init(params)

    def loss(params, x, y):
        hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
        logits = hidden @ params["output"]["kernel"] + params["output"]["bias"]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, y.astype(jnp.float32)))

    path, values = [], []
    for index in taken[:, 0]:
        batch = dataset.x_train[index], jnp.asarray(dataset.y_train[index])
        value, slope = jax.value_and_grad(loss)(params, *batch)
        values.append(value)
        updates, memory = adam.update(slope, memory, params)
        params = optax.apply_updates(params, updates)
        path.append(params)
    mean = jax.tree.map(lambda *values: sum(values) / len(values), *path)
    for found, expected in ((state.params, params), (state.average, mean)):
        flat = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
        for ours, theirs in flat:
            np.testing.assert_allclose(ours[0], theirs, rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(state.loss, [np.mean(values)], rtol=1e-4)  # of the round


def test_an_ordinary_loop_with_the_chosen_settings_is_no_better():
    """The same module, optax.adamw on everything, and neither an average nor a start of the bias.

    Its mean test mAP over three seeds, by scikit-learn, is at most 0.02 above that of the command.
    """
    comparison = compare(make_dataset(600), losses=BINARY, model=own_models.Mlp, num_seeds=3)
    outcome, data = comparison.outcomes[BINARY], comparison.dataset
    x, y = data.x_train, data.y_train.astype(np.float32)
    rates = outcome.chosen["learning_rate"], outcome.chosen["decay"]

    @nnx.jit
    def step(model, optimizer, x, y):
        def loss(model):
            return optax.sigmoid_binary_cross_entropy(model(x), y).mean()

        optimizer.update(model, nnx.grad(loss)(model))

    found = []
    for seed in range(3):
        generator = np.random.default_rng(seed)
        model = own_models.Mlp(FEATURES, LABELS, nnx.Rngs(seed))
        adamw = optax.adamw(rates[0], weight_decay=rates[1])
        optimizer = nnx.Optimizer(model, adamw, wrt=nnx.Param)
        for _ in range(int(outcome.chosen["steps"])):
            rows = generator.choice(len(x), 16, replace=False)
            step(model, optimizer, x[rows], y[rows])
        found.append(average_precision_score(data.y_test, model(data.x_test)))
    ours = [average_precision_score(data.y_test, scores) for scores in outcome.test_scores]
    assert np.mean(found) > 0.8  # it learns
    assert np.mean(ours) > np.mean(found) - 0.02


def test_curves_of_learning_are_those_of_the_chosen_settings():
    outcome = comparison_of("nnx").outcomes[BINARY]
    curves = outcome.curves
    np.testing.assert_array_equal(curves["steps"], 10 * np.arange(1, len(curves["steps"]) + 1))
    assert len(curves["training_loss"]) == len(curves["score"]) == len(curves["steps"]) <= 4
    assert curves["score"].max() == outcome.quality
    best = int(np.argmax(curves["score"]))
    assert curves["steps"][best] == outcome.chosen["steps"]
    assert len(curves["final_loss"]) == best + 1
    for losses in (curves["training_loss"], curves["final_loss"]):
        assert np.all(np.diff(losses) < 0)
        assert 0 < losses[0] < np.log(2) + 0.1  # that of a model that has not learnt


def make_pictures():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(80, 4, 5)).astype(np.float32)
    y = np.stack([x[:, 0].sum(1) > 0, x[:, :, 2].sum(1) > 0, x[:, 3, 3] > 0.5], axis=1)
    return load_data(Dataset(name="toy", label_names=tuple("abc"), x_train=x, y_train=y))


@functools.cache
def of_pictures():
    return compare(make_pictures(), losses=[BINARY, HEADED], model=own_models.Pictures, num_seeds=2)


def test_features_of_any_shape_batch_statistics_and_dropout():
    data, comparison = make_pictures(), of_pictures()
    np.testing.assert_array_equal(comparison.dataset.x_train, data.x_train)  # as they are
    assert "4 x 5 features" in " ".join(str(comparison).split())
    assert comparison.results[BINARY]["map"]["mean"] > 0.7
    params = comparison.outcomes[BINARY].params
    assert params["output/bias"].shape == (2, 3)
    assert comparison.outcomes[HEADED].params["output/bias"].shape == (2, 6)
    mean = next(value for name, value in params.items() if name.endswith("norm/mean"))
    assert mean.shape == (2, 4)
    assert np.all(mean != 0)  # statistics were carried
    assert not np.array_equal(mean[0], mean[1])
    for label in (BINARY, HEADED):
        found = comparison.predictor(label)
        scores = found.scores(data.x_test)
        expected = comparison.outcomes[label].test_scores[0]
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
        # No row depends on the others, and dropout is off.
        np.testing.assert_allclose(found.scores(data.x_test[:1]), scores[:1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ComparisonError, match=r"\(16, 20\).*\(rows, 4, 5\)"):
        found.scores(data.x_test.reshape(16, 20))


def test_linen_modules_carry_their_collections():
    model = own_models.LinenWithState(LABELS)
    comparison = compare(make_dataset(), losses=BINARY, model=model, num_seeds=2)
    outcome = comparison.outcomes[BINARY]
    [mean] = [value for name, value in outcome.params.items() if name.endswith("/mean")]
    assert np.all(mean != 0)
    scores = comparison.predictor().scores(make_dataset().x_test)
    np.testing.assert_allclose(scores, outcome.test_scores[0], rtol=1e-4, atol=1e-5)
    assert comparison.results[BINARY]["map"]["mean"] > 0.7


def test_a_run_is_resumed_and_its_predictor_loaded(tmp_path):
    data, out, told = make_dataset(), tmp_path / "out", []
    options = {"model": "own_models:Mlp", "num_seeds": 2, "out": out}
    first = compare(data, losses=BINARY, **options)
    again = compare(
        data,
        losses=[BINARY, OTHER],
        **options | {"model": own_models.Mlp},  # the same by its name
        on_progress=lambda *now: told.append(now[-1].split(" (about")[0]),
    )
    assert list(dict.fromkeys(told)) == [f"finished before: {BINARY}", f"training: {OTHER}"]
    assert again.results[BINARY] == first.results[BINARY]
    config = json.loads((out / "results.json").read_text())["config"]
    assert config["own_model"] == "own_models:Mlp"
    assert "hidden/kernel (6, 8)" in config["parameters"]
    with pytest.raises(Occupied, match="own_model is own_models:Mlp there"):
        compare(data, losses=BINARY, **options | {"model": own_models.linen_mlp})
    for loss in (BINARY, OTHER):
        expected = again.predictor(loss).scores(data.x_test)
        for model in (None, own_models.Mlp, "own_models:Mlp"):
            found = Predictor.load(out, loss=loss, model=model)
            np.testing.assert_array_equal(found.scores(data.x_test), expected)
    again.predictor(OTHER).save(tmp_path / "mine.npz")
    found = Predictor.load(tmp_path / "mine.npz")
    np.testing.assert_array_equal(found.scores(data.x_test), expected)
    assert "own_models:Mlp model trained with zlpr_loss" in repr(found)
    with pytest.raises(
        ComparisonError,
        match=r"another model was trained: its output/0 was missing, and is \(8, 3\)",
    ):
        Predictor.load(tmp_path / "mine.npz", model=(own_models.init, own_models.apply))


def test_a_model_without_a_name_is_given_again(tmp_path):
    comparison = comparison_of("pair")
    comparison.predictor().save(tmp_path / "mine.npz")
    with pytest.raises(ComparisonError, match=r"own_models:init and .*, which cannot be"):
        Predictor.load(tmp_path / "mine.npz")
    found = Predictor.load(tmp_path / "mine.npz", model=(own_models.init, own_models.apply))
    x = make_dataset().x_test
    np.testing.assert_array_equal(found.scores(x), comparison.predictor().scores(x))
    comparison_of("mlp").predictor().save(tmp_path / "ours.npz")
    with pytest.raises(ComparisonError, match="has the mlp model of this package"):
        Predictor.load(tmp_path / "ours.npz", model=own_models.Mlp)


def test_a_model_with_other_settings_is_another_run():
    """Names tell apart what the shapes of parameters do not."""
    names = {
        resolve(functools.partial(own_models.Mlp, rate=0.5)).name: "own_models:Mlp(rate=0.5)",
        resolve(own_models.LinenMlp(LABELS)).name: "LinenMlp(num_outputs=3)",
        resolve(own_models.Mlp).name: "own_models:Mlp",
        resolve("own_models:linen_mlp").name: "own_models:linen_mlp",
        resolve((own_models.init, own_models.apply)).name: "own_models:init and own_models:apply",
    }
    assert list(names) == list(names.values())
    for_heads = resolve(own_models.LinenMlp(2 * LABELS))  # whatever the number of labels
    assert "Dense_1/bias (6,)" in for_heads.parameters((FEATURES,), LABELS)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (own_models.too_wide, r"own_models:too_wide returns float32 \(3, 4\) .* \(3, 3\)"),
        (own_models.nothing, "own_models:nothing returns int; it must return a Flax"),
        (own_models.broken, r"broken .*own_models\.py, line \d+ .*RuntimeError: no such layer"),
        (own_models.FailsInCall, r"own_models\.py, line \d+ \(return self\.output\(x @ jnp"),
        (5, r"must be one of linear, mlp; or .* got int"),
        ("forest", r"unknown model 'forest' \(model\); known: linear, mlp"),
        ("own_models:Mlpp", "has no 'Mlpp'; did you mean Mlp"),
        ("no_such_module:Mlp", "no module 'no_such_module'"),
        ("own_models:number", "must be a function, got int"),
        ((own_models.init, 5), "must be one of linear, mlp"),
        ((lambda key, x: {"n": jnp.zeros(3, int)}, own_models.apply), "has int32 parameters"),
        ((lambda key, x: {}, own_models.apply), "has no parameters"),
    ],
)
def test_mistakes_are_told_before_training(model, words, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr(steps_attempts.Experiment, "attempts", fail)
    with pytest.raises(ComparisonError, match=words) as raised:
        compare(make_dataset(), losses=BINARY, model=model)
    assert len(str(raised.value).splitlines()) == 1


def test_built_in_models_take_one_axis():
    with pytest.raises(ComparisonError, match="a row has 4 x 5 features, but the mlp model"):
        compare(make_pictures(), losses=BINARY, model="mlp")


def test_a_started_module_is_refused():
    from flax import nnx

    module = own_models.Mlp(FEATURES, LABELS, nnx.Rngs(0))
    with pytest.raises(ComparisonError, match="is an NNX module, which is started already"):
        compare(make_dataset(), losses=BINARY, model=module)
