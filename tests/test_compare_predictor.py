"""The predictor of a comparison: from raw features to scores, probabilities and label sets."""

import dataclasses
import functools
import shutil

import jax
import numpy as np
import pytest
from scipy.special import expit

from mllosses_jax.compare import Predictor, compare, mlp, predictor, steps_attempts
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.judgment import decide
from mllosses_jax.compare.loading import load_data
from mllosses_jax.data import DataError, Dataset

BINARY, OTHER = "sigmoid_binary_cross_entropy", "zlpr_loss"
NAMES = (*"abcde", "ß")
HEADED = "multilabel_distillation_loss"  # has a head for each label besides the logits
LEARNED = "adaptive_threshold_loss"  # has a head for the threshold of each row
pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(scope="module", autouse=True)
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def make_dataset(sparse=False):
    """Returns a data set with features of unequal scale, or mostly of 0."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 5))
    y = x @ generator.normal(size=(5, len(NAMES))) + generator.normal(size=(90, 1)) > 0.5
    x = 3 * np.maximum(x, 0) if sparse else 5 * x + np.arange(5)
    return Dataset(name="toy", label_names=NAMES, x_train=x, y_train=y, sparse=sparse)


def make(kind, out):
    """Returns a data set, its comparison and the folder of the latter."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (steps_attempts, "ROUNDS", 3),
            (steps_attempts, "STEPS", 5),
            (steps_attempts, "BATCH", 16),
            (mlp, "HIDDEN", 8),
        ):
            patch.setattr(module, name, value)
        patch.setattr("mllosses_jax.compare.plan.MANY_LABELS", 3 if kind == "head" else 2000)
        data = load_data(make_dataset(sparse=kind == "sparse"))
        losses = (BINARY, OTHER) if kind == "head" else (BINARY, HEADED, LEARNED)
        model = "mlp" if kind == "mlp" else "linear"
        return data, compare(data, losses=losses, model=model, num_seeds=2, out=out), out


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return functools.cache(lambda kind: make(kind, tmp_path_factory.mktemp(kind) / "out"))


@pytest.fixture(params=["linear", "sparse", "mlp", "head"])
def done(request, made):
    return made(request.param)


def first_scores(comparison, label):
    """Returns the test scores of the first model, with NaN for those that were not kept."""
    outcome, data = comparison.outcomes[label], comparison.dataset
    if comparison.settings.model != "linear_head":
        return outcome.test_scores[0]
    scores = np.full(data.y_test.shape, np.nan, np.float32)
    np.put_along_axis(scores, outcome.test[0].ids, outcome.test[0].scores, axis=1)
    return scores


def test_raw_features_give_the_scores_that_were_judged(done, monkeypatch):
    data, comparison, _ = done
    for label, outcome in comparison.outcomes.items():
        found = comparison.predictor(label)
        expected = first_scores(comparison, label)
        scores = found.scores(data.x_test)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
        assert found.scores(data.x_test[:0]).shape == (0, 6)
        monkeypatch.setattr(predictor, "ROWS", 5)  # blocks
        np.testing.assert_allclose(found.scores(data.x_test.tolist()), expected, atol=2e-5)
        common = expected >= (
            outcome.global_threshold
            if comparison.settings.model == "linear_head"
            else outcome.decisions.global_threshold
        )
        np.testing.assert_array_equal(found.predict(data.x_test, scope="global"), common)
        top = found.top_k(data.x_test, 2)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        np.testing.assert_array_equal(top.ids, order)
        np.testing.assert_allclose(top.scores, np.take_along_axis(scores, order, axis=1), atol=1e-5)
        if comparison.settings.model == "linear_head":
            np.testing.assert_array_equal(found.predict(data.x_test), common)
            with pytest.raises(ComparisonError, match=r"no calibrator .* 6 labels"):
                found.probabilities(data.x_test)
            with pytest.raises(ComparisonError, match=r"scope='global'"):
                found.predict(data.x_test, scope="label")
            continue
        sets = decide(outcome)
        np.testing.assert_array_equal(found.predict(data.x_test), sets["macro_f1_tuned"][0])
        np.testing.assert_array_equal(common, sets["micro_f1_tuned"][0])
        calibrator = outcome.decisions.calibrator
        slope, bias = np.asarray(calibrator.slope), np.asarray(calibrator.bias)
        np.testing.assert_allclose(
            found.probabilities(data.x_test), expit(slope * expected + bias), atol=1e-5
        )


def assert_same(found, expected, features):
    assert found.label_names == expected.label_names == NAMES
    assert (found.loss, found.model, repr(found)) == (
        expected.loss,
        expected.model,
        repr(expected),
    )
    np.testing.assert_array_equal(found.scores(features), expected.scores(features))
    np.testing.assert_array_equal(found.predict(features), expected.predict(features))
    if expected.calibrator is not None:
        np.testing.assert_array_equal(
            found.probabilities(features), expected.probabilities(features)
        )


def test_what_is_saved_is_loaded_again(done, tmp_path):
    data, comparison, out = done
    recommended = comparison.predictor()
    assert recommended.loss == comparison.recommended
    assert_same(Predictor.load(out), recommended, data.x_test)
    assert_same(Predictor.load(out / "predictor.npz"), recommended, data.x_test)
    for label in comparison.choices:
        assert_same(Predictor.load(out, loss=label), comparison.predictor(label), data.x_test)
    file = tmp_path / "mine.npz"
    recommended.save(file)
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match=r"mine\.npz exists"):
        comparison.predictor(BINARY).save(file)
    assert file.read_bytes() == before
    recommended.save(file, force=True)
    assert_same(Predictor.load(file), recommended, data.x_test)


@pytest.fixture
def linear(made):
    return made("linear")[1].predictor(BINARY)


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (np.zeros((3, 4)), r"\(3, 4\).*\(rows, 5\)"),
        (np.zeros(5), r"\(5,\).*\(rows, 5\)"),
        (np.zeros((1, 1, 5)), r"\(1, 1, 5\).*\(rows, 5\)"),
        ([["x"] * 5], "must be numbers"),
        ([[0, 0, np.nan, 0, 0]], "row 0, place 2"),
        (np.full((1, 5), 1e300), "NaN or infinite at row 0, place 0"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, words, linear):
    for method in (linear.scores, linear.predict, linear.probabilities):
        with pytest.raises(ComparisonError, match=words):
            method(features)


def test_losses_that_are_there_are_named_as_they_are_given(made, tmp_path):
    _, _, out = made("linear")
    shutil.copytree(out / "losses" / BINARY, tmp_path / "losses" / "my_losses-squared-4a8a")
    with pytest.raises(ComparisonError, match=f"'dice_loss' is in .*; there are: {BINARY}$"):
        Predictor.load(tmp_path, loss="dice_loss")


def test_other_mistakes_are_named(linear, tmp_path):
    with pytest.raises(ComparisonError, match="from 1 to 6, got 7"):
        linear.top_k(np.zeros((1, 5)), 7)
    with pytest.raises(ComparisonError, match="'label' or 'global', got 'all'"):
        linear.predict(np.zeros((1, 5)), scope="all")
    with pytest.raises(ComparisonError, match="holds no predictor"):
        Predictor.load(tmp_path)
    with pytest.raises(ComparisonError, match=r"'hill_loss' is in .* \(loss\); there are: none"):
        Predictor.load(tmp_path, loss="hill_loss")
    other = tmp_path / "other.npz"
    np.savez(other, X=np.zeros(3))
    with pytest.raises(DataError, match=r"other\.npz: is not a predictor: it has no label_names"):
        Predictor.load(other)
    other.write_text("no archive")
    with pytest.raises(DataError, match=r"other\.npz: is not an \.npz archive"):
        Predictor.load(other)
    names = dataclasses.replace(linear, label_names=(*"abcdefg",), label_thresholds=None)
    names = dataclasses.replace(names, calibrator=None)
    names.save(other, force=True)
    with pytest.raises(DataError, match="do not fit the labels"):
        Predictor.load(other)


def test_a_loss_that_was_not_compared_is_refused(done):
    with pytest.raises(ComparisonError, match=f"no loss 'hill_loss' .* {BINARY}"):
        done[1].predictor("hill_loss")


def test_a_model_that_diverged_predicts_nothing_silently(linear):
    params = {name: value * np.float32(np.nan) for name, value in linear.params.items()}
    with pytest.raises(ComparisonError, match="not finite: its training diverged"):
        dataclasses.replace(linear, params=params).predict(np.zeros((2, 5)))


def test_a_learned_threshold_decides_without_tuning(made, tmp_path):
    data, comparison, out = made("linear")
    found = comparison.predictor(LEARNED)
    assert not np.any(found.label_thresholds)
    assert found.global_threshold == 0
    x = (data.x_test - found.preprocessing.shift) * found.preprocessing.scale
    outputs = x @ found.params["kernel"] + found.params["bias"]
    logits, threshold = outputs[:, : len(NAMES)], outputs[:, len(NAMES) :]
    np.testing.assert_allclose(found.scores(data.x_test), logits - threshold, atol=1e-4)
    wanted = logits > threshold
    for each in (found, Predictor.load(out, loss=LEARNED)):
        np.testing.assert_array_equal(each.predict(data.x_test), wanted)
    found.save(tmp_path / "learned.npz")
    loaded = Predictor.load(tmp_path / "learned.npz")
    np.testing.assert_array_equal(loaded.predict(data.x_test), wanted)
    assert not comparison.predictor(BINARY).learns_threshold
    assert np.any(comparison.predictor(BINARY).label_thresholds)
