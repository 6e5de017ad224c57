"""A validation part of the user's own: everything is chosen on it, and on nothing else."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from comparison_inputs import fit_prior_alone
from own_models import Mlp
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from mllosses_jax.compare import compare, judgment, parts, steps_attempts, steps_search
from mllosses_jax.compare.card import data_card, fingerprint
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import Occupied
from mllosses_jax.compare.loading import load_data, thinned
from mllosses_jax.compare.notes import heading
from mllosses_jax.compare.page.verdict import python, shell
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import DataError, Dataset

LOSS = "sigmoid_binary_cross_entropy"
NAMES = ("sun", "sea", "sand")
WIDTH = 5
PARTS_OF_LABELS = ("y_train", "y_validation", "y_test")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Makes runs short, and lets them fail if they cut the training part."""
    monkeypatch.setattr(judgment, "NUM_RESAMPLES", 40)
    monkeypatch.setattr(steps_attempts, "ROUNDS", 3)
    monkeypatch.setattr(steps_search, "FIRST", steps_search.FIRST[:2])
    monkeypatch.setattr(steps_search, "THEN", ())

    def refuse(*_):
        raise AssertionError("the training part is cut, although there is a validation part")

    monkeypatch.setattr(parts, "_cut", refuse)
    # Adam in optax mixes its int32 count with float32, and modules broadcast their biases.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def rows(count, seed, masked=False):
    """Returns features, labels and which labels are known."""
    generator = np.random.default_rng(seed)
    x = 3 * generator.normal(size=(count, WIDTH)) + 1
    weights = np.random.default_rng(9).normal(size=(WIDTH, 3))
    y = (x - 1) @ weights + 3 * generator.normal(size=(count, 3)) > 1.0
    return x.astype(np.float32), y, generator.random(y.shape) < (0.8 if masked else 2)


def make(masked=False, validation=70, **changed):
    (x, y, known), (xt, yt, kt) = rows(90, 0, masked), rows(60, 1, masked)
    arrays = {"x_train": x, "y_train": y, "mask_train": known}
    arrays |= {"x_test": xt, "y_test": yt, "mask_test": kt}
    if validation:
        xv, yv, kv = rows(validation, 2, masked)
        arrays |= {"x_validation": xv, "y_validation": yv, "mask_validation": kv}
    return Dataset(name="toy", label_names=NAMES, **(arrays | changed))


@pytest.mark.parametrize("masked", [False, True])
def test_choices_of_the_linear_model_rest_on_the_validation_part(masked):
    data = make(masked)
    comparison = compare(data, losses=LOSS)
    outcome = comparison.outcomes[LOSS]
    mean, std = data.x_train.astype(float).mean(0), data.x_train.astype(float).std(0)
    kernel, bias = outcome.params["kernel"][0], outcome.params["bias"][0]
    scores = (data.x_validation - mean) / std @ kernel + bias
    # The scores that decide are those of a model of all training rows, with a looser tolerance.
    assert outcome.held.rows.tolist() == list(range(70))
    np.testing.assert_allclose(outcome.held.scores, scores, rtol=0.01, atol=0.02)
    known = np.ones_like(data.y_validation) if not masked else data.mask_validation
    held = outcome.held.scores
    by_label = [
        average_precision_score(data.y_validation[k, j], held[k, j]) for j, k in enumerate(known.T)
    ]
    by_row = [
        average_precision_score(y[k], s[k])
        for y, s, k in zip(data.y_validation, held, known, strict=True)
        if y[k].any()
    ]
    expected = (np.mean(by_label) + np.mean(by_row)) / 2
    assert outcome.quality == pytest.approx(expected, abs=1e-5)
    for j, threshold in enumerate(outcome.decisions.label_thresholds):
        truth, of_label = data.y_validation[known[:, j], j], held[known[:, j], j]
        best = max(f1_score(truth, of_label >= cut) for cut in of_label)
        assert f1_score(truth, of_label >= threshold) == pytest.approx(best)
    logistic = comparison.references["logistic regression"]
    assert 0.5 < logistic["map"]["mean"] <= 1


def test_other_validation_rows_lead_to_other_choices_and_the_same_model(monkeypatch):
    """With a penalty that is the same, the model does not depend on the validation part."""
    fit_prior_alone(monkeypatch)
    one, other = make(), make(validation=40)
    found = [compare(data, losses=LOSS).outcomes[LOSS] for data in (one, other)]
    assert len(found[1].held.rows) == 40
    assert not np.array_equal(*(each.decisions.label_thresholds for each in found))
    if found[0].chosen == found[1].chosen:
        np.testing.assert_array_equal(*(each.params["kernel"] for each in found))


@pytest.mark.parametrize("kind", ["mlp", "own", "linear_head"])
def test_every_model_takes_the_validation_part(kind, monkeypatch):
    fit_prior_alone(monkeypatch)
    if kind == "linear_head":
        monkeypatch.setattr("mllosses_jax.compare.plan.MANY_LABELS", 2)
    data = make(masked=kind == "mlp")
    if kind == "linear_head":  # which ranks five labels and more
        twice = {name: np.tile(getattr(data, name), 2) for name in PARTS_OF_LABELS}
        data = dataclasses.replace(data, label_names=tuple("abcdef"), **twice)
    model = {"mlp": "mlp", "own": Mlp, "linear_head": "linear"}[kind]
    comparison = compare(data, losses=LOSS, model=model, num_seeds=2)
    assert comparison.settings.model == kind
    outcome = comparison.outcomes[LOSS]
    held_rows = outcome.held_rows if kind == "linear_head" else outcome.held.rows
    assert held_rows.tolist() == list(range(70))
    assert comparison.results[LOSS]["ndcg_at_5" if kind == "linear_head" else "map"]["mean"] > 0.5
    if kind != "linear_head":  # scores of these rows, and of no others, tell their labels
        known = np.ones_like(data.y_validation) if kind == "own" else data.mask_validation
        auc = roc_auc_score(data.y_validation[known], outcome.held.scores[known])
        assert auc > 0.7
    said = " ".join(heading(comparison))
    assert "90 training rows, 70 validation rows, 60 test rows" in said
    assert "on the validation part" in said
    assert "folds" not in said
    assert "fitted again" not in said


def test_the_report_and_the_files_say_so(tmp_path):
    data = make()
    compare(data, losses=LOSS, out=tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["data"]["validation_rows"] == 70
    report, page = ((tmp_path / f"report.{end}").read_text() for end in ("md", "html"))
    for text in (report, page):
        assert "70 validation rows" in text
        assert "chosen on the validation part" in text
        assert "tuned on scores of the validation part" in text
    with np.load(tmp_path / "losses" / LOSS / "validation.npz") as file:
        np.testing.assert_array_equal(file["labels"], data.y_validation)
    again = compare(data, losses=LOSS, out=tmp_path)
    assert again.recommended == LOSS
    other = make(validation=69)
    assert fingerprint(other) != fingerprint(data) != fingerprint(make(validation=0))
    with pytest.raises(Occupied, match="validation_rows is 70 there and 69 here"):
        compare(other, losses=LOSS, out=tmp_path)
    assert "validation_rows" not in data_card(make(validation=0))


def test_rows_are_thinned_in_every_part():
    few = thinned(make(masked=True), 50)
    assert [len(few.x_train), len(few.x_validation), len(few.x_test)] == [50, 50, 50]
    whole = make(masked=True)
    for part in ("train", "validation", "test"):
        at = getattr(few, f"rows_{part}")
        for kind in "xy":
            name = f"{kind}_{part}"
            np.testing.assert_array_equal(getattr(few, name), getattr(whole, name)[at])


# Where the rows come from.


def write_csv(path, x, y, known, colors, *, reverse=False):
    """Writes rows with a column of texts and a missing number in every tenth row."""
    names = [*(f"x{j}" for j in range(WIDTH)), "color", *(f"label:{name}" for name in NAMES)]
    lines = []
    for i, (features, labels, there, color) in enumerate(zip(x, y, known, colors, strict=True)):
        numbers = ["" if i % 10 == 3 and j == 2 else f"{v:.6f}" for j, v in enumerate(features)]
        cells = [str(int(v)) if k else "?" for v, k in zip(labels, there, strict=True)]
        lines.append([*numbers, color, *cells])
    order = slice(None, None, -1 if reverse else 1)
    path.write_text("\n".join(",".join(line[order]) for line in (names, *lines)) + "\n")


def test_a_table_goes_through_the_encoder_of_the_training_rows(tmp_path):
    train, held = rows(120, 0, masked=True), rows(70, 2, masked=True)
    write_csv(tmp_path / "train.csv", *train, ["red", "blue", "green"] * 40)
    write_csv(tmp_path / "held.csv", *held, ["blue", "pink"] * 35, reverse=True)
    data = load_data(tmp_path / "train.csv", validation=tmp_path / "held.csv")
    names = list(data.feature_names)
    # The medians are those of the rows that stayed in the training part.
    missing = data.rows_train % 10 == 3
    median = np.median(np.float32([f"{v:.6f}" for v in train[0][data.rows_train, 2]])[~missing])
    column = data.x_validation[:, names.index("x2")]
    np.testing.assert_allclose(column[np.arange(70) % 10 == 3], median)
    np.testing.assert_allclose(data.x_validation[:, 0], held[0][:, 0], atol=1e-5)
    assert data.x_validation[:, names.index("color=blue")].tolist() == [1, 0] * 35
    assert not data.x_validation[:, [names.index(f"color={c}") for c in ("red", "green")]].any()
    np.testing.assert_array_equal(data.mask_validation, held[2])
    np.testing.assert_array_equal(data.y_validation, held[1] & held[2])


def test_labels_are_found_by_name(tmp_path):
    (tmp_path / "train.csv").write_text("a,topics\n" + "1,sea;sun\n2,sand\n3,;\n" * 10)
    (tmp_path / "held.csv").write_text("topics,a\nsand;sea,1\n?,2\n;,4\n")
    data = load_data(tmp_path / "train.csv", labels=["topics"], validation=tmp_path / "held.csv")
    assert data.label_names == ("sand", "sea", "sun")
    assert data.y_validation.tolist() == [[True, True, False], [False] * 3, [False] * 3]
    assert data.mask_validation.tolist() == [[True] * 3, [False] * 3, [True] * 3]
    (tmp_path / "held.csv").write_text("topics,a\nsnow,1\n")
    with pytest.raises(DataError, match="'snow' is only there"):
        load_data(tmp_path / "train.csv", labels=["topics"], validation=tmp_path / "held.csv")


def test_other_formats_and_arrays(tmp_path):
    base, (x, y, known) = make(validation=0), rows(70, 2, masked=True)
    expected = np.where(known, y, np.nan)
    np.savez(tmp_path / "held.npz", X=x, y=expected)
    arrays = {"x_train": base.x_train, "y_train": base.y_train, "x_test": base.x_test}
    arrays |= {"Y_test": base.y_test, "label_names": np.array(NAMES)}
    for ending in ("val", "validation"):
        held = {f"X_{ending}": x, f"Y_{ending}": y, f"mask_{ending}": known}
        np.savez(tmp_path / f"{ending}.npz", **arrays, **held)
    given = [
        load_data(base, validation=tmp_path / "held.npz"),
        load_data(base, validation=(x, expected)),
        load_data(base, validation=[x, y, known]),
        load_data(base, validation=base.with_validation(x, y, mask=known)),
        load_data(tmp_path / "val.npz"),
        load_data(tmp_path / "validation.npz"),
    ]
    for data in given:
        np.testing.assert_array_equal(data.x_validation, x)
        np.testing.assert_array_equal(data.y_validation, y & known)
        np.testing.assert_array_equal(data.mask_validation, known)


def test_svmlight_lists_its_labels(tmp_path):
    (tmp_path / "train.svm").write_text("0,2 1:0.5 4:2\n1 2:1.5\n2 3:1\n" * 5)
    (tmp_path / "held.svm").write_text("2 1:1\n? 2:3\n 4:1\n")
    data = load_data(tmp_path / "train.svm", validation=tmp_path / "held.svm")
    assert data.y_validation.tolist() == [[False, False, True], [False] * 3, [False] * 3]
    assert data.known_train.all()
    assert data.mask_validation.all(1).tolist() == [True, False, True]
    assert data.x_validation[2].tolist() == [0, 0, 0, 1]


def test_arff_is_found_by_name(tmp_path):
    head = (
        "@relation 'r: -C 1'\n@attribute cat {0,1}\n@attribute a real\n@attribute b {x,y}\n@data\n"
    )
    (tmp_path / "r.arff").write_text(head + "1,2,x\n0,3,y\n" * 8)
    other = "@relation r\n@attribute b {x,y}\n@attribute a real\n@attribute cat {0,1}\n@data\n"
    (tmp_path / "held.arff").write_text(other + "y,5,1\nx,6,?\n")
    data = load_data(tmp_path / "r.arff", validation=tmp_path / "held.arff")
    assert data.x_validation.tolist() == [[5, 1], [6, 0]]
    assert data.mask_validation.tolist() == [[True], [False]]


# Groups.


def test_a_group_in_both_parts_is_refused(monkeypatch):
    fit_prior_alone(monkeypatch)
    data = make().with_groups(np.arange(90) // 3)
    x, y, _ = rows(6, 2)
    apart = data.with_validation(x, y, groups=[*range(30, 36)])
    assert parts.check_groups(apart, Settings()) is None
    both = data.with_validation(x, y, groups=[30, 31, 7, 7, 32, 9])
    told = "2 groups of the validation part are in the training part too, first in validation row 2"
    with pytest.raises(ComparisonError, match=told):
        compare(both, losses=LOSS)
    comparison = compare(data.with_validation(x, y), losses=LOSS)
    assert any(
        "groups of the validation part are not known" in each for each in heading(comparison)
    )


def test_groups_of_files_go_by_their_names(tmp_path, monkeypatch):
    fit_prior_alone(monkeypatch)

    def write(name, patients):
        lines = [f"{p},{i},{i % 2},{i % 3 == 0:d}" for i, p in enumerate(patients)]
        (tmp_path / name).write_text("\n".join(["patient,x,label:a,label:b", *lines]) + "\n")

    write("train.csv", [f"p{i // 4}" for i in range(80)])
    write("held.csv", ["q1", "q2", "p3", "q1"])
    files = {"validation": tmp_path / "held.csv", "groups": "patient"}
    data = load_data(tmp_path / "train.csv", **files)
    assert data.feature_names == ("x",)
    names = np.array(data.group_names)
    assert names[data.groups_validation].tolist() == ["q1", "q2", "p3", "q1"]
    assert names[data.groups_train].tolist() == [f"p{row // 4}" for row in data.rows_train]
    in_test = {f"p{row // 4}" for row in data.rows_test}
    assert set(names[data.groups_test]) == in_test
    if "p3" not in in_test:
        with pytest.raises(ComparisonError, match="1 group of the validation part is in the tr"):
            compare(tmp_path / "train.csv", losses=LOSS, **files)
    write("held.csv", ["q1", "q2", "q3", "q1"] * 3)
    comparison = compare(tmp_path / "train.csv", losses=LOSS, **files)
    assert " --groups patient --validation " in shell(comparison)
    assert '    groups="patient",\n    validation="' in python(comparison)


# What is refused.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"validation": 5}, r"the validation part must be a file.*got int \(validation\)"),
        ({"validation": (np.ones((4, 3)), np.ones((4, 3)))}, "x_train has 5 features but x_valid"),
        (
            {"validation": (np.ones((4, 5)), np.ones((4, 2)))},
            "3 label names for the 2 columns",
        ),
        (
            {"validation": (np.ones((4, 5)), np.ones((3, 3)))},
            "x_validation has 4 rows but y_v",
        ),
        (
            {"validation": (np.ones((4, 5)), np.full((4, 3), np.nan))},
            "no label of the validation part is known",
        ),
        ({"validation": (np.ones((4, 5)), np.full((4, 3), 2))}, "y_validation has 2 at row 0"),
        ({"validation": "nowhere.csv"}, "no such file"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    with pytest.raises(DataError, match=words):
        compare(make(validation=0), losses=LOSS, **change)


def test_other_labels_are_named():
    data, (x, y, _) = make(validation=0), rows(8, 2)
    other = Dataset(name="other", label_names=("sun", "sea", "snow"), x_train=x, y_train=y)
    with pytest.raises(DataError, match="'snow' is only there and 'sand' is missing"):
        load_data(data, validation=other)
    turned = dataclasses.replace(other, label_names=("sand", "sea", "sun"))
    np.testing.assert_array_equal(load_data(data, validation=turned).y_validation, y[:, ::-1])
    with pytest.raises(DataError, match="mask_validation without x_validation"):
        dataclasses.replace(data, mask_validation=y)
