"""Models that were trained elsewhere, compared by their scores."""

import csv
import json

import numpy as np
import pytest
from comparison_inputs import draw_nothing, make_dataset, make_outcome
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, f1_score

from mllosses_jax.compare import compare_scores, judgment
from mllosses_jax.compare.comparison import Comparison
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Occupied
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import DataError
from mllosses_jax.data.score_folder import read_score_folder

NAMES = ("sun", "sea", "sand")
SKILLS = {"first": 1.0, "second": 3.0}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 40)


def make_scores(seeds=None, masked=False):
    """Returns the arguments of a comparison; the second model is better."""
    generator = np.random.default_rng(0)
    y = {"validation": generator.random((80, 3)) < 0.4, "test": generator.random((60, 3)) < 0.4}
    shape = () if seeds is None else (seeds,)
    given = {
        part: {
            model: skill * labels + generator.normal(size=(*shape, *labels.shape)) - 1
            for model, skill in SKILLS.items()
        }
        for part, labels in y.items()
    }
    given |= {f"y_{part}": labels for part, labels in y.items()}
    if masked:
        masks = {f"mask_{part}": generator.random(y[part].shape) < 0.8 for part in y}
        given |= masks
    return {**given, "inputs": "logits", "label_names": NAMES}


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("seeds", [None, 2])
def test_figures_are_those_of_scikit_learn(seeds, masked):
    given = make_scores(seeds, masked)
    comparison = compare_scores(**given)
    y, known = given["y_test"], given.get("mask_test", np.ones((60, 3), bool))
    yv, kv = given["y_validation"], given.get("mask_validation", np.ones((80, 3), bool))
    assert comparison.baseline == "first"
    assert comparison.recommended == "second"
    assert comparison.mark("second", "map") == "+"
    for model in SKILLS:
        scores = np.float32(given["test"][model]).reshape(-1, 60, 3)
        held = np.float32(given["validation"][model]).reshape(-1, 80, 3)
        thresholds = comparison.thresholds[model].by_label.thresholds
        for seed, of_seed in enumerate(scores):
            by_label = [
                average_precision_score(y[k, j], of_seed[k, j]) for j, k in enumerate(known.T)
            ]
            tuned = [
                f1_score(y[k, j], of_seed[k, j] >= thresholds[j]) for j, k in enumerate(known.T)
            ]
            found = comparison.results[model]
            assert found["map"]["values"][seed] == pytest.approx(np.mean(by_label), abs=1e-5)
            assert found["macro_f1_tuned"]["values"][seed] == pytest.approx(
                np.mean(tuned), abs=1e-6
            )
        # Each threshold is the best of all on the validation scores of all seeds together.
        for j, threshold in enumerate(thresholds):
            truth = np.concatenate([yv[kv[:, j], j]] * len(held))
            of_label = np.concatenate([each[kv[:, j], j] for each in held])
            best = max(f1_score(truth, of_label >= cut) for cut in of_label)
            assert f1_score(truth, of_label >= threshold) == pytest.approx(best)


def test_a_comparison_of_losses_has_the_same_figures():
    """The judgment is that of a comparison in which the scores come from training."""
    dataset = make_dataset(masked=True)
    outcomes = {name: make_outcome(dataset, seed=seed) for seed, name in enumerate(SKILLS)}
    found = compare_scores(
        validation={name: each.held.scores for name, each in outcomes.items()},
        test={name: each.test_scores for name, each in outcomes.items()},
        y_validation=dataset.y_train,
        mask_validation=dataset.mask_train,
        y_test=dataset.y_test,
        mask_test=dataset.mask_test,
        inputs="logits",
        label_names=dataset.label_names,
    )
    expected = Comparison(dataset, Settings(), baseline="first")
    for name, each in outcomes.items():
        expected.add(found.choices[name], each)
    for name in SKILLS:
        for metric in ("map", "roc_auc", "ranking_loss", "macro_f1_at_half", "calibration_error"):
            assert found.results[name][metric] == expected.results[name][metric]


def test_probabilities_become_log_odds():
    given = make_scores()
    exact = compare_scores(**given)
    for part in ("validation", "test"):
        given[part] = {name: expit(scores) for name, scores in given[part].items()}
    found = compare_scores(**given | {"inputs": "probabilities"})
    np.testing.assert_allclose(
        found.outcomes["first"].test_scores[0], exact.outcomes["first"].test_scores[0], atol=1e-5
    )
    given["test"]["first"][0] = [0, 1, 0.25]
    found = compare_scores(**given | {"inputs": "probabilities"})
    low, high, quarter = found.outcomes["first"].test_scores[0, 0]
    assert -100 < low < -80
    assert 30 < high < 40
    assert quarter == pytest.approx(logit(0.25))


def test_what_is_not_known_is_left_out_and_said(tmp_path):
    comparison = compare_scores(**make_scores(2), name="pets", out=tmp_path)
    text = str(comparison)
    assert "pets: 80 validation rows, 60 test rows, 3 labels; 2 models" in text
    assert "Without features there are no references" in " ".join(text.split())
    assert "There is one threshold for all labels" in " ".join(text.split())
    assert "nan" not in text
    assert "CPU s" not in text
    assert not comparison.references
    with pytest.raises(ComparisonError, match="only their scores are known, so there is no pred"):
        comparison.predictor()
    page, report = ((tmp_path / f"report.{end}").read_text() for end in ("html", "md"))
    assert ">nan<" not in page
    assert "Comparison of models" in page or "comparison of models" in page
    assert "# pets: comparison of models" in report
    assert "training" not in report.partition("## Checks")[0].replace("training part", "")
    with (tmp_path / "per_label.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == ["first"] * 3 + ["second"] * 3
    assert int(rows[0]["validation_positives"]) == make_scores(2)["y_validation"][:, 0].sum()
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["config"]["losses"] == ["first", "second"]
    assert results["results"]["first"]["seconds"]["mean"] is None
    assert results["data"]["validation_rows"] == 80
    assert "features" not in results["data"]
    with np.load(tmp_path / "predictions.npz") as file:
        expected = np.float32(make_scores(2)["test"]["second"][0])
        np.testing.assert_array_equal(file["scores"], expected)
    assert not (tmp_path / "predictor.npz").exists()
    assert (tmp_path / "thresholds.json").exists()


def test_a_folder_takes_the_same_scores_again_and_no_others(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    given = make_scores()
    compare_scores(**given, out=tmp_path)
    compare_scores(**given, out=tmp_path)
    given["test"]["first"] = given["test"]["first"] + 0.1
    with pytest.raises(Occupied, match=r"is from another run \(scores: sha256"):
        compare_scores(**given, out=tmp_path)
    compare_scores(**given, out=tmp_path, force=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": "odds"}, "inputs must be 'logits' or 'probabilities', got 'odds'"),
        (
            {"test": {"first": np.zeros((60, 3))}},
            "of the same models, one or more, got first",
        ),
        (
            {"test": {"first": np.zeros((60, 2)), "second": 0}},
            r"first: the test scores have shape",
        ),
        ({"inputs": "probabilities"}, "first: the validation scores go from -.*inputs='logits'"),
        ({"force": True}, "nothing to overwrite"),
        ({"ignore": "MLC999"}, "unknown check"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    with pytest.raises(ComparisonError, match=words):
        compare_scores(**make_scores() | change)


def test_labels_are_checked():
    with pytest.raises(DataError, match="no label of the test rows is known"):
        compare_scores(**make_scores() | {"mask_test": np.zeros((60, 3), bool)})
    with pytest.raises(DataError, match="y_validation has 2"):
        compare_scores(**make_scores() | {"y_validation": np.full((80, 3), 2)})
    given = make_scores(2)
    given["validation"]["first"] = np.zeros((3, 80, 3))
    with pytest.raises(ComparisonError, match="validation scores of 3 models and test scores of 2"):
        compare_scores(**given)


# Folders of files.


def write_folder(folder, given, *, seeds=1):
    """Writes a folder in which the first model has files of NumPy, and the second has tables."""
    for part in ("validation", "test"):
        labels = np.where(given[f"mask_{part}"], given[f"y_{part}"], np.nan)
        names = {"label_names": np.array(NAMES), "inputs": np.array("logits")}
        folder.mkdir(exist_ok=True)
        np.savez(folder / f"{part}_labels.npz", labels=labels, label_names=np.array(NAMES))
        for model, scores in given[part].items():
            place = folder / model
            place.mkdir(exist_ok=True)
            for seed, of_seed in enumerate(scores.reshape(-1, *labels.shape)):
                stem = f"{part}-{seed}" if seeds > 1 else part
                if model == "first":
                    np.savez(place / f"{stem}.npz", scores=of_seed, **names)
                    continue
                lines = [NAMES[::-1], *of_seed[:, ::-1].astype(str).tolist()]
                (place / f"{stem}.csv").write_text("\n".join(map(",".join, lines)) + "\n")


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_folder_is_read(tmp_path, seeds):
    given = make_scores(seeds, masked=True)
    write_folder(tmp_path / "scores", given, seeds=seeds)
    found = read_score_folder(tmp_path / "scores", inputs="logits")
    assert found.label_names == NAMES
    assert found.inputs == "logits"
    for part in ("validation", "test"):
        np.testing.assert_array_equal(found.masks[part], given[f"mask_{part}"])
        known = found.masks[part]
        np.testing.assert_array_equal(found.labels[part], given[f"y_{part}"] & known)
        assert list(found.scores[part]) == ["first", "second"]
        for model, scores in found.scores[part].items():
            assert scores.shape == (seeds, *known.shape)
            np.testing.assert_allclose(scores, given[part][model])


def test_the_folder_of_a_comparison_is_one(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    compare_scores(**make_scores(2, masked=True), out=tmp_path)
    found = read_score_folder(tmp_path / "losses")
    assert [name.rpartition("-")[0] for name in found.scores["test"]] == ["first", "second"]


def test_broken_folders_are_refused(tmp_path):
    given = make_scores(masked=True)
    folder = tmp_path / "scores"

    def refused(words):
        with pytest.raises(DataError, match=words):
            read_score_folder(folder, inputs="logits")

    refused("is no folder")
    folder.mkdir()
    refused("holds no scores; put validation.npz and test.npz")
    write_folder(folder, given)
    (folder / "second" / "test.csv").rename(folder / "second" / "else.csv")
    refused("second: holds no test.npz, .npy or .csv; add it")
    (folder / "second" / "else.csv").rename(folder / "second" / "test.csv")
    np.save(folder / "first" / "test.npy", np.zeros((60, 3)))
    refused("holds test.npy, test.npz, which mean the same")
    (folder / "first" / "test.npy").unlink()
    other = np.zeros((59, 3))
    np.savez(folder / "first" / "test.npz", scores=other, labels=other, inputs=np.array("logits"))
    (folder / "test_labels.npz").unlink()
    refused("second/test.csv: holds no labels")
