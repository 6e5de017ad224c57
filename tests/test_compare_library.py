"""The experiment as a library: what `compare` takes, returns, reports, writes and refuses."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from comparison_inputs import draw_nothing

from mllosses_jax import compare as library
from mllosses_jax.compare import Comparison, compare, markdown
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Occupied
from mllosses_jax.compare.loading import load_data
from mllosses_jax.compare.page import whole as page
from mllosses_jax.data import DataError, Dataset

LOSSES = ("sigmoid_binary_cross_entropy", "zlpr_loss")
REFERENCES = ("prior only", "logistic regression", "random forest")
ADDED = "asymmetric_loss(gamma_neg=2)"


@pytest.fixture(scope="module", autouse=True)
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def make_dataset(rows=90, **parts):
    """Returns a data set with features of unequal scale and a tenth of its labels unknown."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, 5))
    y = x @ generator.normal(size=(5, 4)) + generator.normal(size=(rows, 1)) > 0.5
    parts = {"mask_train": generator.random(y.shape) < 0.9} | parts
    x = (5 * x + np.arange(5)).astype(np.float32)
    return Dataset(name="toy", label_names=tuple("abcd"), x_train=x, y_train=y, **parts)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A comparison, the progress it reported, and the folder it was written to."""
    told, out = [], tmp_path_factory.mktemp("library") / "out"
    comparison = compare(
        make_dataset(),
        losses=LOSSES,
        num_seeds=2,
        out=out,
        on_progress=lambda *now: told.append(now),
    )
    return comparison, told, out


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_package_names_what_it_holds():
    names = {"Comparison", "Predictor", "compare", "compare_scores"}
    assert set(library.__all__) == names <= set(dir(library))
    with pytest.raises(AttributeError, match="no attribute 'comparision'"):
        library.comparision  # noqa: B018


def test_what_is_returned(done):
    comparison, _, _ = done
    assert isinstance(comparison, Comparison)
    assert comparison.baseline == LOSSES[0]
    for by_loss in (comparison.results, comparison.thresholds, comparison.outcomes):
        assert tuple(by_loss) == LOSSES
    assert list(comparison.differences) == ["zlpr_loss"]
    assert comparison.best in LOSSES
    assert comparison.recommended in LOSSES
    assert comparison.dataset.y_test.shape == (18, 4)  # a fifth of the rows
    for outcome in comparison.outcomes.values():
        assert len(outcome.test_scores) == 1  # the start does not matter to them
        assert not outcome.varies
        assert np.all(outcome.residuals <= comparison.settings.tolerance)
        assert outcome.quality > 0.7
        assert outcome.held.scores.shape == comparison.dataset.y_train.shape


def test_progress_is_told_from_the_first_pass_to_the_last(done):
    _, told, _ = done
    passes, totals, texts = zip(*told, strict=True)
    [total] = set(totals)
    assert total % 2 == 0
    assert list(passes) == sorted(passes)
    assert passes[0] == 0
    assert total / 2 < passes[-1] <= total
    names = [text.split(" (about")[0] for text in texts]
    assert list(dict.fromkeys(names)) == [
        *(f"training: {name}" for name in LOSSES),
        *(f"fitting: {name}" for name in REFERENCES),
    ]
    assert names[-3:] == [f"fitting: {name}" for name in REFERENCES]
    assert passes[names.index("training: zlpr_loss")] == total / 2


def test_the_folder_holds_what_is_returned_and_gives_it_back(done):
    comparison, _, out = done
    written = json.loads((out / "results.json").read_text())
    assert written["results"] == comparison.results
    assert written["best_on_validation"] == comparison.best
    assert written["recommended"] == comparison.recommended
    assert written["config"]["losses"] == list(LOSSES)
    decisions = ["thresholds.json", "global_threshold.json", "calibrator.json"]
    of_loss = ["model.npz", "validation.npz", "test.npz", *decisions]
    assert {str(path.relative_to(out)) for path in contents(out)} == {
        *("results.json", "results.csv", "report.md", "report.html", *decisions),
        *("per_label.csv", "predictions.npz", "predictor.npz"),
        *(f"losses/{name}/{file}" for name in LOSSES for file in of_loss),
        *(
            f"references/{name.replace(' ', '_')}/{file}"
            for name in REFERENCES
            for file in of_loss[:3]
        ),
    }
    for file in decisions:
        recommended = out / "losses" / comparison.recommended / file
        assert (out / file).read_bytes() == recommended.read_bytes()
    before = contents(out)
    told = []
    again = compare(
        make_dataset(),
        losses=LOSSES,
        num_seeds=2,
        out=out,
        on_progress=lambda *now: told.append(now[-1]),
    )
    assert told == [f"finished before: {name}" for name in LOSSES]
    assert again.results == comparison.results
    assert again.differences == comparison.differences
    assert again.simultaneous == comparison.simultaneous
    assert list(again.references) == list(REFERENCES)
    assert again.references == comparison.references == written["references"]
    assert contents(out) == before
    assert len(repr(again)) < 200
    assert markdown.text(again) == (out / "report.md").read_text()
    assert page.html(again) == (out / "report.html").read_text()
    assert "Verdict: " in str(again)


def test_a_written_model_is_the_one_that_was_judged(done):
    """It takes raw features, and the file holds their scaling, which is that of training rows."""
    comparison, _, out = done
    data = load_data(make_dataset())
    for name in LOSSES:
        with np.load(out / "losses" / name / "model.npz") as model:
            shift, scale = model["feature_shift"], model["feature_scale"]
            np.testing.assert_allclose(shift, data.x_train.mean(0), rtol=1e-4)
            np.testing.assert_allclose(scale, 1 / data.x_train.std(0), rtol=1e-4)
            logits = (data.x_test - shift) * scale @ model["params/kernel"][0]
            logits += model["params/bias"][0]
        np.testing.assert_allclose(
            comparison.outcomes[name].test_scores[0], logits, atol=1e-4, rtol=1e-4
        )


def test_without_a_folder_nothing_is_written_and_nothing_is_ever_printed(
    done, tmp_path, monkeypatch, capfd
):
    """The model is the same, whatever the unknown labels and the test part hold."""
    monkeypatch.chdir(tmp_path)
    data = load_data(make_dataset())
    other = dataclasses.replace(
        data,
        y_train=np.where(data.mask_train, data.y_train, 1),
        x_test=-3 * data.x_test,
        y_test=~data.y_test,
    )
    again = compare(other, losses="zlpr_loss", num_seeds=2)
    before, after = done[0].outcomes["zlpr_loss"], again.outcomes["zlpr_loss"]
    assert again.baseline == "zlpr_loss"
    assert after.chosen == before.chosen
    for name, values in before.params.items():
        np.testing.assert_array_equal(after.params[name], values)
    np.testing.assert_array_equal(after.held.scores, before.held.scores)
    for found, expected in zip(after.decisions[:2], before.decisions[:2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(after.test_scores, before.test_scores)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_run_that_ends_before_its_report_is_completed(tmp_path, monkeypatch):
    """Nothing is trained again. Until then there is no report, and other runs are kept out."""
    draw_nothing(monkeypatch)
    out = tmp_path / "out"

    def killed(*_, **__):
        with pytest.raises(Occupied, match="another run is writing to"):
            compare(make_dataset(), losses=LOSSES[0], num_seeds=2, out=out)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mllosses_jax.compare.markdown.text", killed)
        with pytest.raises(KeyboardInterrupt):
            compare(make_dataset(), losses=LOSSES[0], num_seeds=2, out=out)
    assert not (out / "report.md").exists()
    assert set(json.loads((out / "results.json").read_text())["results"]) == {LOSSES[0]}
    before, told = contents(out), []
    compare(
        make_dataset(),
        losses=LOSSES[0],
        num_seeds=2,
        out=out,
        on_progress=lambda *now: told.append(now[-1]),
    )
    assert told == [f"finished before: {LOSSES[0]}"]
    after = contents(out)
    new = {path.name for path in after.keys() - before.keys()}
    assert new == {"report.md"}


def test_a_loss_is_added_to_a_finished_folder(done, monkeypatch):
    """Only the new loss is trained; it is compared with those that were there."""
    draw_nothing(monkeypatch)
    comparison, _, out = done
    before, told = contents(out), []
    larger = compare(
        make_dataset(),
        losses=[ADDED, "zlpr_loss"],
        num_seeds=2,
        out=out,
        on_progress=lambda *now: told.append(now[-1]),
    )
    assert list(dict.fromkeys(text.split(" (about")[0] for text in told)) == [
        *(f"finished before: {name}" for name in LOSSES),
        f"training: {ADDED}",
    ]
    assert list(larger.results) == [*LOSSES, ADDED]
    assert {name: larger.results[name] for name in LOSSES} == comparison.results
    assert larger.differences["zlpr_loss"] == comparison.differences["zlpr_loss"]
    assert larger.baseline == LOSSES[0]
    written = json.loads((out / "results.json").read_text())
    assert written["config"]["losses"] == [*LOSSES, ADDED]
    assert written["results"] == larger.results
    after = contents(out)
    kept = [path for path in before if path.suffix == ".npz" and path.parent != out]
    assert len(kept) == 3 * len(LOSSES) + 3 * len(REFERENCES)
    assert all(after[path] == before[path] for path in kept)
    new = {str(path.relative_to(out / "losses").parent) for path in after.keys() - before.keys()}
    assert new == {"asymmetric_loss-gamma_neg=2"}
    assert "4 labels; 3 losses" in " ".join((out / "report.md").read_text().split())
    assert list(compare(make_dataset(), losses=ADDED, num_seeds=2, out=out).results) == [
        *LOSSES,
        ADDED,
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"losses": "zlpr"}, "did you mean zlpr_loss"),
        ({"losses": ()}, "no loss is named"),
        ({"losses": "asymmetric_loss(gama_neg=2)"}, "no parameter 'gama_neg'.*gamma_neg"),
        ({"losses": "hinge_loss(margin=[1, 2])"}, "margin has 2 values for 4 labels"),
        ({"model": "forest"}, "'forest'.*linear, mlp"),
        ({"num_seeds": 0}, "num_seeds"),
        ({"num_seeds": 2.5}, r"whole number of at least 1 \(num_seeds\), got 2.5"),
        ({"num_seeds": True}, r"\(num_seeds\), got True"),
        ({"num_seeds": "5"}, r"\(num_seeds\), got '5'"),
        ({"losses": 5}, r"names, functions or Choices \(losses\), got 5"),
        ({"losses": [None]}, r"names, functions or Choices \(losses\), got \[None\]"),
        ({"out": 5}, r"must be a path \(out\), got 5"),
        ({"data": None}, "a path or a name, got NoneType"),
        ({"force": True}, "force.*out"),
        ({"labels": 2}, "toy names its labels itself"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ComparisonError, match=words):
        compare(**{"data": make_dataset()} | options)


@pytest.mark.parametrize("losses", ["zlpr", "hinge_loss(margin=[1, 2])"])
def test_a_mistake_costs_nothing_that_is_there(losses, tmp_path):
    """This holds even with `force`; and a new folder is not even created."""
    (tmp_path / "results.json").write_text("mine")
    for out, force in ((tmp_path, True), (tmp_path / "new", False)):
        with pytest.raises(ComparisonError):
            compare(make_dataset(), losses=losses, out=out, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_text() == "mine"


def test_parts_that_are_empty_or_too_small_are_refused():
    unknown = make_dataset(mask_train=np.zeros((90, 4), bool))
    with pytest.raises(DataError, match="no label of the training part is known"):
        compare(unknown)
    data = load_data(make_dataset())
    blind = dataclasses.replace(data, mask_test=np.zeros_like(data.y_test))
    with pytest.raises(DataError, match="no label of the test part is known"):
        compare(blind)
    with pytest.raises(ComparisonError, match="toy has 8 training rows; at least 10"):
        compare(make_dataset(rows=10))


def test_labels_and_features_that_say_nothing():
    """A label that no row has, one that all have, and a constant feature leave figures finite."""
    data = make_dataset(mask_train=None)
    y = data.y_train.copy()
    y[:, 0], y[:, 1] = False, True
    x = data.x_train.copy()
    x[:, 2] = 7
    comparison = compare(dataclasses.replace(data, x_train=x, y_train=y), losses=LOSSES[0])
    [outcome] = comparison.outcomes.values()
    assert np.all(np.isfinite(outcome.test_scores))
    assert np.all(outcome.params["kernel"][0, 2] == 0)
    assert len(outcome.test_scores) == 1
    figures = comparison.results[LOSSES[0]]
    assert all(0 <= figures[name]["low"] <= figures[name]["high"] <= 1 for name in ("map", "lrap"))
    assert figures["map"]["mean"] > 0.7


def test_features_that_are_all_constant():
    """Each loss still finds its best constant scores."""
    data = make_dataset(mask_train=None)
    comparison = compare(
        dataclasses.replace(data, x_train=np.ones_like(data.x_train)), losses=LOSSES[0]
    )
    [outcome] = comparison.outcomes.values()
    share = comparison.dataset.y_train.mean(0)
    expected = np.tile(np.log(share / (1 - share)), (18, 1))
    np.testing.assert_allclose(outcome.test_scores[0], expected, rtol=1e-3)
    assert not outcome.varies


def test_data_without_a_positive_has_one_model_and_no_map():
    """Having nothing to learn is not divergence, and every start leads to the same model."""
    data = make_dataset(mask_train=None)
    comparison = compare(
        dataclasses.replace(data, y_train=np.zeros_like(data.y_train)),
        losses=LOSSES[0],
        num_seeds=2,
    )
    [outcome] = comparison.outcomes.values()
    assert np.all(np.isfinite(outcome.test_scores))
    assert np.isnan(comparison.results[LOSSES[0]]["map"]["mean"])
    assert comparison.results[LOSSES[0]]["micro_f1_tuned"]["mean"] == 0
    assert not outcome.varies
