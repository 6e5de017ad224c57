"""The folder of a comparison: what it holds, what it takes over, and what it leaves alone."""

import dataclasses
import json
import re

import numpy as np
import pytest
from comparison_inputs import make_dataset, make_outcome

from mllosses_jax import calibration
from mllosses_jax.compare import resampling
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.choosing import choose, parse
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Folder, Occupied
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.thresholds import thresholds
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import ThresholdReport

FIRST, SECOND = parse("sigmoid_binary_cross_entropy"), parse("zlpr_loss")
BOTH = (FIRST, SECOND)


def identity(**config):
    return {"config": {"model": "linear", **config}, "data": {"sha256": "0"}}


def make_folder(path, choices=BOTH, *, force=False, **config):
    return Folder(path, identity(**config), choices, force)


def finish(folder, *choices, **config):
    """Writes results as if these losses were finished."""
    results = {choice.label: {} for choice in choices}
    folder.write({**folder.named(identity(**config)), "results": results}, [])


def results_of(path):
    return json.loads((path / "results.json").read_text())


# The files of a loss.


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("models", [1, 3])
def test_an_outcome_survives_its_files(models, masked, tmp_path):
    dataset = make_dataset(masked)
    outcome = make_outcome(dataset, models=models, at_edge=("strength",))
    outcome.save(tmp_path / "a", dataset, {"feature_scale": np.ones(2)})
    tests = ["test.npz"] if models == 1 else [f"test-{index}.npz" for index in range(models)]
    files = {file.name for file in (tmp_path / "a").iterdir()}
    assert files == {"model.npz", "validation.npz", *tests}
    assert_same(Outcome.load(tmp_path / "a", dataset), outcome)
    assert Outcome.load(tmp_path / "a", dataset).quality == 0.5
    with np.load(tmp_path / "a/model.npz") as model:
        np.testing.assert_array_equal(model["feature_scale"], [1, 1])
        assert model["label_names"].tolist() == list(dataset.label_names)

    # Scores are stored beside their labels.
    for name, scores in zip(tests, outcome.test_scores, strict=True):
        with np.load(tmp_path / "a" / name) as test:
            np.testing.assert_array_equal(test["scores"], scores)
            np.testing.assert_array_equal(test["labels"], dataset.y_test)
            assert ("where" in test.files) == masked
            assert not masked or np.array_equal(test["where"], dataset.mask_test)
            assert test["label_names"].tolist() == list(dataset.label_names)
            assert str(test["inputs"]) == "logits"
    with np.load(tmp_path / "a/validation.npz") as held:
        np.testing.assert_array_equal(held["labels"], dataset.y_train[held["rows"]])
        assert not masked or np.array_equal(held["where"], dataset.mask_train[held["rows"]])


def assert_same(found, expected):
    """Asserts that two outcomes are equal in every field, down to each array."""
    for field in dataclasses.fields(Outcome):
        left, right = (flat(getattr(each, field.name)) for each in (found, expected))
        assert left.keys() == right.keys()
        for name, value in right.items():
            np.testing.assert_array_equal(left[name], value, err_msg=f"{field.name} {name}")


def flat(value):
    if isinstance(value, dict):
        return value
    if hasattr(value, "_fields"):
        parts = {name: flat(part) for name, part in value._asdict().items()}
        return {f"{a}/{b}": entry for a, part in parts.items() for b, entry in part.items()}
    if isinstance(value, calibration.AffineCalibrator):
        return {"slope": value.slope, "bias": value.bias}
    return {"": value}


def test_a_loss_whose_model_is_missing_is_not_finished(tmp_path):
    """The model is written last."""
    dataset = make_dataset()
    folder = make_folder(tmp_path)
    folder.save(SECOND, make_outcome(dataset), dataset, {})
    assert folder.load(SECOND, dataset) is not None
    assert folder.load(FIRST, dataset) is None
    (tmp_path / "losses/zlpr_loss/model.npz").unlink()
    assert folder.load(SECOND, dataset) is None


@pytest.mark.parametrize("name", ["model.npz", "validation.npz", "test-1.npz"])
def test_damaged_files_are_named(name, tmp_path):
    dataset = make_dataset()
    folder = make_folder(tmp_path)
    folder.save(SECOND, make_outcome(dataset), dataset, {})
    (tmp_path / "losses/zlpr_loss" / name).write_bytes(b"PK123")
    with pytest.raises(ComparisonError, match=r"losses.zlpr_loss is damaged; remove it"):
        folder.load(SECOND, dataset)


def test_decisions_of_a_loss_and_the_recommended_ones(tmp_path):
    dataset, weights = make_dataset(), resampling.draw(20, 60)
    folder = make_folder(tmp_path)
    for seed, choice in enumerate((FIRST, SECOND, None)):
        outcome = make_outcome(dataset, seed=seed)
        if choice is not None:
            folder.save(choice, outcome, dataset, {})
        report = thresholds(outcome, dataset, weights, loss="a")
        folder.write_decisions(choice, report, outcome)
        place = tmp_path if choice is None else tmp_path / "losses" / choice.file_name
        found = ThresholdReport.load(place / "thresholds.json")
        np.testing.assert_array_equal(found.thresholds, outcome.decisions.label_thresholds)
        common = ThresholdReport.load(place / "global_threshold.json")
        np.testing.assert_array_equal(common.thresholds, outcome.decisions.global_threshold)
        calibrator = calibration.load(place / "calibrator.json", dataset.label_names)
        np.testing.assert_array_equal(calibrator.slope, outcome.decisions.calibrator.slope)
        np.testing.assert_array_equal(calibrator.bias, outcome.decisions.calibrator.bias)


def test_losses_with_parameters_have_folders_of_their_own(tmp_path):
    dataset = make_dataset()
    choices = choose("asymmetric_loss,asymmetric_loss(gamma_neg=2),asymmetric_loss(gamma_neg=2.0)")
    folder = make_folder(tmp_path, choices)
    for models, choice in enumerate(choices, 1):
        folder.save(choice, make_outcome(dataset, models=models), dataset, {})
    names = {path.name for path in (tmp_path / "losses").iterdir()}
    assert names == {
        *("asymmetric_loss", "asymmetric_loss-gamma_neg=2", "asymmetric_loss-gamma_neg=2.0")
    }
    assert [len(folder.load(choice, dataset).residuals) for choice in choices] == [1, 2, 3]
    for choice in choices:
        with np.load(tmp_path / "losses" / choice.file_name / "model.npz") as model:
            assert str(model["loss"]) == choice.label
    assert results_of(tmp_path)["config"]["losses"] == [choice.label for choice in choices]


# Ownership of a folder.


def test_a_folder_is_resumed_by_its_own_run_alone(tmp_path):
    out = tmp_path / "out"
    finish(make_folder(out), FIRST)
    assert results_of(out)["config"] == {
        "losses": [FIRST.label, SECOND.label],
        "model": "linear",
    }
    assert make_folder(out).choices == BOTH
    with pytest.raises(Occupied, match=r"another run \(config: model is linear there and mlp"):
        make_folder(out, model="mlp")
    with pytest.raises(Occupied, match=r"another run \(config: num_seeds is None there and 3"):
        make_folder(out, num_seeds=3)
    finish(make_folder(out), FIRST, SECOND)
    (out / "report.md").write_text("the report")
    assert make_folder(out, [SECOND]).choices == BOTH  # nothing new is asked for


def test_losses_are_added_to_those_of_the_folder(tmp_path):
    finish(make_folder(tmp_path, [SECOND]), SECOND)
    third = parse("hinge_loss(margin=2)")
    folder = make_folder(tmp_path, [third, FIRST, SECOND])
    assert folder.choices == (SECOND, third, FIRST)
    assert list(results_of(tmp_path)["results"]) == [SECOND.label]  # nothing is lost meanwhile
    assert folder.named(identity())["config"]["losses"] == [str(each) for each in folder.choices]


def test_what_was_said_of_fewer_losses_is_taken_back(tmp_path):
    """A report and recommended decisions exist if and only if they cover all losses."""
    folder = make_folder(tmp_path, [FIRST])
    finish(folder, FIRST)
    of_all = [
        tmp_path / name for name in ("report.md", "report.html", "per_label.csv", "predictions.npz")
    ]
    of_all += [tmp_path / name for name in ("thresholds.json", "calibrator.json")]
    leftover = tmp_path / ".0123.partial"  # left by a run that was killed
    for path in (*of_all, leftover):
        path.write_text("before")
    make_folder(tmp_path, BOTH)
    assert not any(path.exists() for path in (*of_all, leftover))


def test_label_names_are_part_of_a_run(tmp_path):
    names = {"label_names": ["sea", "sunset"]}
    Folder(tmp_path, {**identity(), "data": names}, BOTH, force=False)
    for others, words in (
        (["sea", "mountain"], r"label_names\[1\] is sunset there and mountain here"),
        (["sunset", "sea"], r"label_names\[0\] is sea there and sunset here"),
    ):
        with pytest.raises(Occupied, match=words):
            Folder(tmp_path, {**identity(), "data": {"label_names": others}}, BOTH, force=False)
    assert data_card(make_dataset())["label_names"] == [f"label {j}" for j in range(4)]


def test_force_leaves_nothing_of_another_run(tmp_path):
    """Files of an interrupted loss go too, even if the removal itself was interrupted."""
    dataset = make_dataset()
    folder = make_folder(tmp_path)
    for choice in BOTH:
        folder.save(choice, make_outcome(dataset), dataset, {})
    (tmp_path / "losses/zlpr_loss/model.npz").unlink()
    finish(folder, FIRST)
    thesis = tmp_path / "losses/zlpr_loss/thesis.tex"
    thesis.write_text("mine")
    make_folder(tmp_path, [FIRST], force=True, model="mlp")
    assert [path.name for path in (tmp_path / "losses").iterdir()] == ["zlpr_loss"]
    assert list((tmp_path / "losses/zlpr_loss").iterdir()) == [thesis]  # the user's own
    assert {path.name for path in tmp_path.iterdir()} == {"losses", "results.json"}


def test_force_begins_anew(tmp_path):
    """Nothing of the previous run is left, not even losses that are not requested again."""
    dataset = make_dataset()
    folder = make_folder(tmp_path)
    for choice in BOTH:
        folder.save(choice, make_outcome(dataset), dataset, {})
    (tmp_path / "report.md").write_text("an old report")
    finish(folder, *BOTH)
    folder = make_folder(tmp_path, [FIRST], force=True, model="mlp")
    assert folder.load(FIRST, dataset) is None
    assert results_of(tmp_path)["config"] == {"losses": [FIRST.label], "model": "mlp"}
    assert results_of(tmp_path)["results"] == {}
    assert make_folder(tmp_path, BOTH, model="mlp").load(SECOND, dataset) is None
    assert not (tmp_path / "report.md").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no json", "not the result of a comparison"),
        ("[]", "not the result of a comparison"),
        ('{"results": {}}', "not the result of a comparison"),
        ('{"results": {}, "config": [1], "data": {}}', "not the result of a comparison"),
        (
            '{"results": {}, "config": {"losses": ["no_loss"], "model": "linear"}, "data": {}}',
            "from another run",
        ),
    ],
)
def test_a_foreign_file_is_left_alone(text, reason, tmp_path):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(Occupied, match=reason):
        make_folder(tmp_path)
    assert (tmp_path / "results.json").read_text() == text


def test_results_without_their_configuration_are_left_alone(tmp_path):
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(Occupied, match=r"exists, but results\.json does not"):
        make_folder(tmp_path)
    (tmp_path / "results.csv").unlink()
    dataset = make_dataset()
    make_folder(tmp_path).save(FIRST, make_outcome(dataset), dataset, {})
    (tmp_path / "results.json").unlink()
    with pytest.raises(Occupied, match=r"exists, but results\.json does not"):
        make_folder(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "report.md",
        "report.html",
        "per_label.csv",
        "predictions.npz",
        "predictor.npz",
        "thresholds.json",
        "global_threshold.json",
        "calibrator.json",
    ],
)
def test_files_of_others_are_not_overwritten(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(Occupied, match=rf"{re.escape(name)} exists, .*\(out\), or .*\(force\)"):
        make_folder(tmp_path)
    assert (tmp_path / name).read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ComparisonError, match=r"cannot write to .*file.out \(.*\(out\)"):
        make_folder(tmp_path / "file" / "out")


def test_json_has_no_nan(tmp_path):
    folder = make_folder(tmp_path)
    folder.write({"results": {"a": [float("nan"), (1.0, float("inf"))]}}, [])
    assert results_of(tmp_path) == {"results": {"a": [None, [1.0, "inf"]]}}


# The data card.


def test_data_card():
    dataset = Dataset(
        name="toy",
        label_names=tuple("abc"),
        x_train=np.zeros((4, 2)),
        y_train=[[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]],
        mask_train=[[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1]],
    )
    card = data_card(dataset)
    assert card["cardinality"] == 1.0  # 4 positives in 4 rows
    assert card["density"] == 0.4  # 4 of 10 known entries
    assert card["mean_imbalance_ratio"] == 2.0  # the mean of 3/3 and 3/1
    assert card["labels_with_fewer_than_10_positives"] == 3
    assert card["labels_without_a_positive"] == 1
    assert card["rows_without_a_label"] == 1
    assert card["unknown_entries"] == 2
    assert card["test_rows"] == 0


def test_the_fingerprint_tells_data_apart():
    one = make_dataset()
    assert fingerprint(one) == fingerprint(make_dataset())
    other = one.y_test.copy()
    other[0, 0] ^= True
    different = [make_dataset(masked=True), dataclasses.replace(one, y_test=other)]
    assert len({fingerprint(each) for each in [one, *different]}) == 3
    # The values of unknown labels are not part of the data.
    masked = make_dataset(masked=True)
    garbage = np.where(masked.mask_train, masked.y_train, 1)
    assert fingerprint(dataclasses.replace(masked, y_train=garbage)) == fingerprint(masked)
