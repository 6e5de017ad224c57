"""The commands on files of scores, against scikit-learn on the arrays the files were made from."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from mllosses_jax import calibration
from mllosses_jax.cli.main import main
from mllosses_jax.cli.score_report import tuning_text
from mllosses_jax.decisions import ThresholdReport
from mllosses_jax.decisions.threshold_file import Gain

NAMES = ("sun", "sea", "sand", "snow", "none")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def arrays():
    """Logits, labels of which the last never occurs, and which labels are known."""
    generator = np.random.default_rng(0)
    y = generator.random((120, 5)) < [0.5, 0.3, 0.2, 0.15, 0]
    x = 2 * generator.normal(size=y.shape) + 3 * y - 1
    known = generator.random(y.shape) < 0.9
    known[:, 1] = True
    return x, y, known


@pytest.fixture(scope="module")
def files(arrays, tmp_path_factory):
    """The same data in every kind of file; the .csv of labels has another order."""
    x, y, known = arrays
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "x.npy", x)
    np.save(folder / "x32.npy", x.astype(np.float32))
    np.save(folder / "p.npy", sigmoid(x))
    np.save(folder / "y.npy", y)
    np.save(folder / "y_nan.npy", np.where(known, y, np.nan))
    np.savez(folder / "x.npz", x, label_names=np.array(NAMES))
    np.savez(folder / "y.npz", labels=y.astype(int), where=known, label_names=np.array(NAMES))
    hidden = np.where(known, x, np.nan)  # unknown entries need no score
    np.savez(folder / "both.npz", scores=hidden, labels=y, mask=known, label_names=np.array(NAMES))
    write_csv(folder / "x.csv", NAMES, [map(repr, row.tolist()) for row in x])
    write_csv(
        folder / "y.csv",
        NAMES[::-1],
        [
            [str(int(v)) if k else "" for v, k in zip(*row, strict=True)]
            for row in flipped(y, known)
        ],
    )
    return folder


def flipped(*arrays):
    return zip(*(array[:, ::-1] for array in arrays), strict=True)


def write_csv(path, names, rows):
    path.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")


@pytest.fixture
def mllosses(files, tmp_path, monkeypatch, capsys):
    """Runs a command; a first word of a file of `files` stands for its path."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        real = [files / a if (files / str(a)).is_file() else a for a in arguments]
        status = main([str(argument) for argument in real])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def assert_refused(done, *words):
    """Exit status 2 and one line on stderr that holds the words."""
    status, out, err = done
    assert status == 2, out
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("mllosses: ")
    for word in words:
        assert str(word) in line


def test_evaluate_equals_scikit_learn(mllosses, arrays, tmp_path):
    x, y, _ = arrays
    arguments = ["evaluate", "x.npy", "y.npy", "--inputs", "logits", "--threshold", 0.5]
    status, out, err = mllosses(*arguments, "--per-label", "--out", "out")
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    occurs = y.any(0)
    ap = [sk.average_precision_score(y[:, j], x[:, j]) for j in np.flatnonzero(occurs)]
    auc = [sk.roc_auc_score(y[:, j], x[:, j]) for j in np.flatnonzero(occurs)]
    rows = y.any(1)
    best = x.argmax(1)
    p = sigmoid(x)
    expected = {
        "map": np.mean(ap),
        "map_micro": sk.average_precision_score(y, x, average="micro"),
        "map_weighted": np.average(ap, weights=y.sum(0)[occurs]),
        "roc_auc": np.mean(auc),
        "lrap": sk.label_ranking_average_precision_score(y, x),
        "ranking_loss": sk.label_ranking_loss(y, x),
        "coverage_error": sk.coverage_error(y, x),
        "one_error": np.mean(~y[np.arange(len(y)), best]),
        "precision_at_1": np.mean(y[np.arange(len(y)), best]),
        "ndcg_at_3": sk.ndcg_score(y[rows], x[rows], k=3) * rows.mean(),
        "log_loss": -np.mean(np.where(y, np.log(p), np.log1p(-p))),
        "brier_score": np.mean((p - y) ** 2),
    }
    for name, value in expected.items():
        assert found["metrics"][name] == pytest.approx(value, rel=1e-9), name
    order = np.argsort(-x, axis=1)
    for k in (3, 5):
        hits = np.take_along_axis(y, order[:, :k], 1).sum(1)
        assert found["metrics"][f"precision_at_{k}"] == pytest.approx(np.mean(hits) / k)
        best_hits = np.clip(y.sum(1), 1, k)
        assert found["metrics"][f"r_precision_at_{k}"] == pytest.approx(np.mean(hits / best_hits))

    sets = x >= 0.5
    decided = found["decisions"]
    for average in ("micro", "macro", "weighted", "samples"):
        values = sk.precision_recall_fscore_support(y, sets, average=average, zero_division=0)
        for name, value in zip(("precision", "recall", "f1"), values, strict=False):
            assert decided[f"{name}_{average}"] == pytest.approx(value)
    assert decided["hamming_loss"] == pytest.approx(sk.hamming_loss(y, sets))
    assert decided["subset_accuracy"] == pytest.approx(sk.accuracy_score(y, sets))
    assert decided["OF1"] == pytest.approx(100 * sk.f1_score(y, sets, average="micro"))
    cp = sk.precision_score(y, sets, average="macro", zero_division=0)
    cr = sk.recall_score(y, sets, average="macro", zero_division=0)
    assert decided["CF1"] == pytest.approx(100 * 2 * cp * cr / (cp + cr))

    with (tmp_path / "out/per_label.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    assert [row["label"] for row in labels] == list("01234")
    assert [int(row["support"]) for row in labels] == y.sum(0).tolist()
    f1 = sk.f1_score(y, sets, average=None, zero_division=0)
    assert [float(row["f1"]) for row in labels] == pytest.approx(f1)
    assert [float(row["average_precision"]) for row in labels[:-1]] == pytest.approx(ap)
    assert [float(row["roc_auc"]) for row in labels[:-1]] == pytest.approx(auc)
    assert found["per_label"]["4"]["average_precision"] is None
    assert [float(row["brier_score"]) for row in labels] == pytest.approx(((p - y) ** 2).mean(0))
    assert found["data"]["labels_without_positives"] == 1
    assert found["data"]["rows_without_positives"] == (~rows).sum()

    text = " ".join(out.split())
    assert f"mAP, macro {np.mean(ap):.4f}" in text
    assert "at threshold 0.5 micro macro weighted samples" in text
    assert f"0 {y[:, 0].sum()} 0.5000 {ap[0]:.4f} {auc[0]:.4f}" in text
    assert "whose AP, AUC and ECE / prevalence are undefined" in text
    assert "\x1b" not in out

    before = (tmp_path / "out/metrics.json").read_bytes()
    assert_refused(mllosses(*arguments, "--out", "out"), "metrics.json exists", "--force")
    assert (tmp_path / "out/metrics.json").read_bytes() == before
    assert mllosses(*arguments, "--out", "out", "--force")[0] == 0


def test_every_kind_of_file_gives_the_same(mllosses, arrays, tmp_path):
    x, y, known = arrays
    results = {}
    for scores, labels in (
        ("x.npy", "y_nan.npy"),
        ("x.npz", "y.npz"),
        ("x.csv", "y.csv"),
        ("x.npy", "y.npz"),
        ("both.npz", "both.npz"),
    ):
        out = f"{scores} {labels}"
        done = mllosses("evaluate", scores, labels, "--inputs", "logits", "--out", out)
        assert done[0] == 0, done[2]
        results[out] = json.loads((tmp_path / out / "metrics.json").read_text())
    assert list(results["x.csv y.csv"]["per_label"]) == list(NAMES)
    assert list(results["x.npy y.npz"]["per_label"]) == list(NAMES)
    first, *others = results.values()
    assert first["data"]["unknown_entries"] == (~known).sum()
    for label, row in enumerate(first["per_label"].values()):
        seen = known[:, label]
        if y[seen, label].any():
            ap = sk.average_precision_score(y[seen, label], x[seen, label])
            assert row["average_precision"] == pytest.approx(ap)
        assert row["brier_score"] == pytest.approx(
            np.mean((sigmoid(x[seen, label]) - y[seen, label]) ** 2)
        )
    for other in others:
        assert other["data"] == first["data"]
        assert list(other["per_label"].values()) == list(first["per_label"].values())
        assert other["metrics"] == pytest.approx(first["metrics"], nan_ok=True)
        assert other["decisions"] == first["decisions"]


def test_scores_keep_the_precision_of_their_file(mllosses, tmp_path):
    p = np.array([[1 - 1e-12], [1e-12], [0.5]])  # in float32 the first is 1
    np.save(tmp_path / "p.npy", p)
    np.save(tmp_path / "y.npy", [[0], [1], [1]])
    files = [tmp_path / "p.npy", tmp_path / "y.npy"]
    done = mllosses("evaluate", *files, "--inputs", "probabilities", "--out", "out")
    assert done[0] == 0, done[2]
    found = json.loads((tmp_path / "out/metrics.json").read_text())["metrics"]["log_loss"]
    assert found == pytest.approx((2 * 27.631021 + np.log(2)) / 3, rel=1e-5)


def test_tuned_thresholds_go_through_a_file(mllosses, arrays, tmp_path):
    x, y, _ = arrays
    options = ["--inputs", "logits", "--min-positives", 1]
    status, out, err = mllosses("tune", "x.csv", "y.csv", *options)
    assert (status, err) == (0, "")
    report = ThresholdReport.load(tmp_path / "thresholds.json")
    assert report.label_names == NAMES
    assert report.settings["scope"] == "label"
    text = " ".join(out.split())
    assert "held out at 0 tuned gain 95 % interval" in text
    assert f"macro F1 {report.macro.baseline:.4f} {report.macro.tuned:.4f}" in text
    # Label 1 is known everywhere: its threshold is the best of all cut-offs.
    best = max(sk.f1_score(y[:, 1], x[:, 1] >= t) for t in x[:, 1])
    assert sk.f1_score(y[:, 1], x[:, 1] >= report.thresholds[1]) == pytest.approx(best)
    # They are found by name when the scores come in another order.
    backwards = {name: array[:, ::-1] for name, array in (("x", x), ("y", y))}
    np.savez(tmp_path / "x2.npz", backwards["x"], label_names=np.array(NAMES[::-1]))
    arguments = [tmp_path / "x2.npz", "y.npy", "--inputs", "logits"]
    np.savez(tmp_path / "y2.npz", backwards["y"])
    arguments[1] = tmp_path / "y2.npz"
    evaluate = ["evaluate", *arguments, "--thresholds", "thresholds.json"]
    assert mllosses(*evaluate, "--out", "out")[0] == 0
    found = json.loads((tmp_path / "out/metrics.json").read_text())["per_label"]
    f1 = sk.f1_score(y, x >= report.thresholds, average=None, zero_division=0)
    assert [found[name]["f1"] for name in NAMES] == pytest.approx(f1)

    before = (tmp_path / "thresholds.json").read_bytes()
    assert_refused(mllosses("tune", "x.csv", "y.csv", *options), "thresholds.json exists")
    assert (tmp_path / "thresholds.json").read_bytes() == before
    wrong = ["--inputs", "probabilities", "--thresholds", "thresholds.json"]
    assert_refused(mllosses("evaluate", "p.npy", "y.npz", *wrong), "tuned on logits")
    wrong[1] = "logits"
    assert_refused(
        mllosses("evaluate", "x.npy", "y.npy", *wrong), "'sun'", "give them some", "label_names"
    )


def test_tune_options(mllosses, arrays, tmp_path):
    x, y, _ = arrays
    options = ["--inputs", "probabilities", "--scope", "global", "--out", "one.json"]
    options += ["--objective", "fbeta", "--beta", 2, "--folds", 3, "--seed", 1]
    status, out, err = mllosses("tune", "p.npy", "y.npy", *options)
    assert (status, err) == (0, "")
    report = ThresholdReport.load(tmp_path / "one.json")
    assert (report.settings["folds"], report.settings["beta"]) == (3, 2.0)
    p = sigmoid(x)
    best = max(sk.fbeta_score(y, p >= t, beta=2, average="micro") for t in p.ravel())
    found = sk.fbeta_score(y, p >= report.thresholds, beta=2, average="micro")
    assert found == pytest.approx(best)
    assert len(set(report.thresholds)) == 1
    assert "held out at 0.5" in " ".join(out.split())
    assert "macro F2" in out
    assert f"all {y.sum()}" in " ".join(out.split())


def test_of_many_labels_the_frequent_ones_are_printed():
    column = np.linspace(0, 1, 40)
    report = ThresholdReport(
        label_names=tuple(f"label{j}" for j in range(40)),
        **dict.fromkeys(("thresholds", "std", "low", "high", "f", "baseline_f"), column),
        positives=np.arange(40),
        macro=Gain(0.5, 0.25, 0.1, 0.4),
        micro=Gain(0.5, 0.25, 0.1, 0.4),
        settings={"beta": 1.0, "baseline": 0.5, "folds": 5, "scope": "label"},
    )
    text = tuning_text(report)
    lines = text.splitlines()
    assert "macro F1  0.2500  0.5000  +0.2500  +0.1000 to +0.4000" in text
    assert [line.split()[0] for line in lines if line.startswith("label")][1:] == [
        f"label{j}" for j in range(10, 40)
    ]
    assert "... 10 rarer ones" in text


def test_calibrator_goes_through_a_file(mllosses, arrays, tmp_path):
    x, y, known = arrays
    status, out, err = mllosses(
        "calibrate", "x.csv", "y.csv", "--inputs", "logits", "--shrinkage", 0
    )
    assert (status, err) == (0, "")
    calibrator = calibration.load(tmp_path / "calibrator.json", NAMES)
    fit = LogisticRegression(C=np.inf).fit(x[:, 1:2], y[:, 1])
    assert calibrator.slope[1] == pytest.approx(fit.coef_[0, 0], rel=1e-3)
    # Before: the scores as they are; after: each fold by a fit to the others.
    figures = dict(line.rsplit("  ", 1) for line in out.splitlines() if "  " in line)
    seen = sigmoid(x)[known], y[known]
    brier = next(name for name in figures if name.startswith("Brier"))
    assert float(brier.split()[-1]) == pytest.approx(np.mean((seen[0] - seen[1]) ** 2), abs=1e-4)
    fold = np.random.default_rng(0).permutation(len(x)) % 5
    held_out = np.empty_like(x)
    for k in range(5):
        rest = calibration.fit_platt(
            x[fold != k], y[fold != k], shrinkage=0.0, where=known[fold != k]
        )
        held_out[fold == k] = rest(x[fold == k])
    assert float(figures[brier]) == pytest.approx(
        np.mean((held_out[known] - y[known]) ** 2), abs=1e-4
    )

    # Applied by name to scores in another order.
    np.savez(tmp_path / "x2.npz", x[:, ::-1], label_names=np.array(NAMES[::-1]))
    apply = ["calibrate", tmp_path / "x2.npz", "--inputs", "logits", "--apply", "calibrator.json"]
    assert mllosses(*apply)[0] == 0
    probabilities = np.load(tmp_path / "probabilities.npz")["scores"]
    np.testing.assert_allclose(probabilities[:, ::-1], calibrator(x), rtol=1e-5, atol=1e-30)
    assert mllosses(*apply, "--out", "named.npz")[0] == 0
    with np.load(tmp_path / "named.npz") as named:
        assert named["label_names"].tolist() == list(NAMES[::-1])
    judge = ["calibrate", "x.csv", "y.csv", *apply[2:], "--out", "again.npy"]
    status, out, _ = mllosses(*judge)
    assert status == 0
    assert "these rows" in out
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy")[:, ::-1], probabilities)

    assert_refused(mllosses(*apply), "probabilities.npz exists", "--force")
    again = ["calibrate", "x.csv", "y.csv", "--inputs", "logits"]
    assert_refused(mllosses(*again), "calibrator.json exists", "--force")
    apply[1] = "x.npy"
    assert_refused(
        mllosses(*apply, "--out", "new.npy"), "calibrator.json", "give them some", "label_names"
    )


@pytest.mark.parametrize("method", ["temperature", "bias", "beta", "isotonic"])
def test_calibrate_probabilities_by_each_method(method, mllosses, arrays, tmp_path):
    x, y, _ = arrays
    p = sigmoid(x)
    p[0], p[1] = 0, 1
    np.save(tmp_path / "p.npy", p)
    options = ["--inputs", "probabilities", "--method", method, "--scope", "global", "--folds", 3]
    status, out, err = mllosses("calibrate", tmp_path / "p.npy", "y.npy", *options)
    assert (status, err) == (0, "")
    assert "10 probabilities are 0 or 1: their logits count as -40 and 40" in out
    calibrator = calibration.load(tmp_path / "calibrator.json", NAMES)
    logits = x.copy()
    logits[0], logits[1] = -40, 40
    fit = getattr(calibration, f"fit_{method}")(logits, y, scope="global")
    np.testing.assert_allclose(calibrator(x), fit(x), rtol=2e-3, atol=1e-5)


@pytest.fixture(scope="module")
def compared(arrays, files):
    """Files as `mllosses compare` writes them, once with unknown labels and once without."""
    x, y, known = arrays
    content = {
        "scores": x.astype(np.float32),
        "labels": y,
        "label_names": np.array(NAMES),
        "inputs": np.array("logits"),
        "rows": np.arange(len(x)),
    }
    np.savez(files / "test.npz", **content, where=known)
    np.savez(files / "validation.npz", **content)
    return content


def figures_of(folder):
    found = json.loads((folder / "metrics.json").read_text())
    return found["data"], found["metrics"], found["decisions"], found["per_label"]


def test_files_of_a_comparison_say_all_by_themselves(mllosses, arrays, compared, tmp_path):
    x, y, known = arrays
    assert mllosses("evaluate", "test.npz", "--out", "alone")[0] == 0
    apart = ["x32.npy", "y.npz", "--inputs", "logits"]
    assert mllosses("evaluate", *apart, "--out", "apart")[0] == 0
    assert figures_of(tmp_path / "alone") == figures_of(tmp_path / "apart")
    config = json.loads((tmp_path / "alone/metrics.json").read_text())["config"]
    assert config["inputs"] == "logits"
    assert config["labels"] == config["scores"]

    assert mllosses("tune", "validation.npz")[0] == 0
    report = ThresholdReport.load(tmp_path / "thresholds.json")
    assert report.label_names == NAMES
    assert report.settings["inputs"] == "logits"
    best = max(sk.f1_score(y[:, 1], x[:, 1] >= t) for t in x[:, 1])
    assert sk.f1_score(y[:, 1], x[:, 1] >= report.thresholds[1]) == pytest.approx(best)
    at = ["--thresholds", "thresholds.json", "--inputs", "logits", "--out", "tuned"]
    assert mllosses("evaluate", "test.npz", *at)[0] == 0
    f1 = [sk.f1_score(y[k, j], x[k, j] >= report.thresholds[j]) for j, k in enumerate(known.T[:4])]
    per_label = figures_of(tmp_path / "tuned")[-1]
    assert [per_label[name]["f1"] for name in NAMES[:4]] == pytest.approx(f1)


def test_calibrated_files_of_a_comparison_go_on(mllosses, compared, tmp_path):
    status, out, _ = mllosses("calibrate", "validation.npz")
    assert status == 0
    assert "held out" in out
    calibrator = calibration.load(tmp_path / "calibrator.json", NAMES)
    apply = ["calibrate", "test.npz", "--apply", "calibrator.json", "--out", "p.npz"]
    status, out, _ = mllosses(*apply)
    assert status == 0
    assert "these rows" in out  # judged by the labels of the file
    with np.load(tmp_path / "p.npz") as made:
        np.testing.assert_allclose(made["scores"], calibrator(compared["scores"]), rtol=1e-6)
        assert made["label_names"].tolist() == list(NAMES)
    # The probabilities say what they are; labels come from the other file.
    assert mllosses("evaluate", tmp_path / "p.npz", "test.npz", "--out", "after")[0] == 0
    assert mllosses("evaluate", "test.npz", "--out", "before")[0] == 0
    (data, after, *_), (data_before, before, *_) = map(
        figures_of, (tmp_path / "after", tmp_path / "before")
    )
    assert data == data_before
    assert after["log_loss"] < before["log_loss"]


def test_labels_that_are_given_are_used(mllosses, arrays, compared, tmp_path):
    _, y, known = arrays
    # Neither the labels of SCORES nor which of them are known matters then.
    assert mllosses("evaluate", "test.npz", "y.npy", "--out", "out")[0] == 0
    data, _, _, per_label = figures_of(tmp_path / "out")
    assert data["unknown_entries"] == 0
    assert [row["support"] for row in per_label.values()] == y.sum(0).tolist()
    assert y.sum() != (y & known).sum()


def test_an_archive_that_lacks_something_is_refused(mllosses, compared, tmp_path):
    def save(name, **changed):
        arrays = {k: v for k, v in (compared | changed).items() if v is not None}
        np.savez(tmp_path / name, **arrays)
        return tmp_path / name

    bare = save("bare.npz", labels=None)
    deep = save("deep.npz", scores=np.stack([compared["scores"]] * 2))
    odd = save("odd.npz", inputs=np.array("margins"))
    silent = save("silent.npz", inputs=None)
    features = save("features.npz", inputs=np.zeros((120, 3)))
    for command in ("evaluate", "tune", "calibrate"):
        assert_refused(
            mllosses(command, bare), "give LABELS, or an .npz that holds scores and labels"
        )
        assert_refused(mllosses(command, deep), deep, "(2, 120, 5)", "scores[0]", "mean")
        assert_refused(mllosses(command, odd), odd, "'margins'", "logits or probabilities")
        for file in (silent, features):
            assert_refused(mllosses(command, file), file, "give --inputs logits or --inputs prob")
        done = mllosses(command, "test.npz", "--inputs", "probabilities")
        assert_refused(done, "test.npz", "scores are logits", "that they are probabilities")
        assert_refused(mllosses(command, "x.npy", "--inputs", "logits"), "give LABELS")
    assert mllosses("evaluate", features, "--inputs", "logits")[0] == 0


MISTAKES = [
    (["evaluate", "nowhere.npy", "y.npy"], ["nowhere.npy", "no such file"]),
    (["evaluate", "x.npy", "y.txt"], ["y.txt", "unknown kind of file", ".csv"]),
    (["evaluate", "x.npy", "few.npy"], ["few.npy", "(100, 5)", "x.npy", "(120, 5)"]),
    (["evaluate", "x.npy", "minus.npy"], ["minus.npy", "-1", "row 0, column 2", "NaN"]),
    (["evaluate", "x.npz", "other.npz"], ["other.npz", "['fog']", "['none']", "same names"]),
    (["evaluate", "x.npz", "twice.npz"], ["twice.npz", "'sun' is there twice"]),
    (["evaluate", "x.npy", "x.npy"], ["x.npy", "0 or 1"]),
    (["evaluate", "nan.npy", "y.npy"], ["nan.npy", "row 3, column 1", "missing", "unknown"]),
    (["evaluate", "broken.npy", "y.npy"], ["broken.npy", "cut short", "numpy.save"]),
    (["evaluate", "broken.npz", "y.npy"], ["broken.npz", "cut short", "numpy.savez"]),
    (["evaluate", "objects.npy", "y.npy"], ["objects.npy", "pickled objects"]),
    (["evaluate", "flat.npy", "y.npy"], ["flat.npy", "(5,)", "(samples, labels)"]),
    (["evaluate", "words.npy", "y.npy"], ["words.npy", "must be numbers"]),
    (["evaluate", "two.npz", "y.npy"], ["two.npz", "no array scores", "a, b"]),
    (["evaluate", "x.npy", "mask.npz"], ["mask.npz", "where has shape (120,)"]),
    (["evaluate", "bad.csv", "y.npy"], ["bad.csv, line 3", "'sea'", "not a number"]),
    (["evaluate", "ragged.csv", "y.npy"], ["ragged.csv, line 2", "1 cells", "header of 2"]),
    (["evaluate", "bare.csv", "y.npy"], ["bare.csv, line 1", "line of names"]),
    (["evaluate", "x.npy", "half.csv"], ["half.csv, line 2", "'0.5'", "0 or 1"]),
    (["evaluate", "x.npy", "y.npy", "--thresholds", "y.npy"], ["y.npy", "mllosses tune"]),
    (["evaluate", "x.npy", "y.npy", "--threshold", "high"], ["--threshold", "'high'"]),
    (["evaluate", "x.npy", "y.npy", "--force"], ["--force", "--out"]),
    (["evaluate", "x.npy", "y.npy", "--out", "FILE"], ["FILE"]),
    (["tune", "x.npy", "y.npy", "--beta", "2"], ["beta 2", "--objective fbeta"]),
    (["tune", "x.npy", "y.npy", "--folds", "121"], ["--folds", "120", "121"]),
    (["tune", "x.npy", "none.npy"], ["no label has a positive"]),
    (["tune", "x.npy", "y.npy", "--shrinkage", "1", "--scope", "global"], ["--shrinkage"]),
    (["tune", "x.npy", "y.npy", "--shrinkage", "-1"], ["--shrinkage", "at least 0"]),
    (["tune", "x.npy", "y.npy", "--out", "no/folder.json"], ["no/folder.json", "no such folder"]),
    (["calibrate", "x.npy"], ["LABELS", "--apply"]),
    (["calibrate", "x.npy", "y.npy", "--folds", "1"], ["--folds", "1"]),
    (["calibrate", "x.npy", "--apply", "none.json"], ["none.json", "No such file"]),
    (["calibrate", "x.npy", "--apply", "a.json", "--out", "a.csv"], [".npy", "a.csv"]),
]


@pytest.fixture(scope="module")
def broken(arrays, files):
    """Files with mistakes, beside the sound ones."""
    x, y, _ = arrays
    np.save(files / "few.npy", y[:100])
    minus = y.astype(int)
    minus[0, 2] = -1
    np.save(files / "minus.npy", minus)
    np.savez(files / "other.npz", y, label_names=np.array([*NAMES[:4], "fog"]))
    np.savez(files / "twice.npz", y, label_names=np.array([*NAMES[:4], "sun"]))
    nan = x.copy()
    nan[3, 1] = np.nan
    np.save(files / "nan.npy", nan)
    (files / "broken.npy").write_bytes((files / "x.npy").read_bytes()[:900])
    (files / "broken.npz").write_bytes((files / "x.npz").read_bytes()[:900])
    np.save(files / "objects.npy", np.array([[{}]]), allow_pickle=True)
    np.save(files / "flat.npy", x[0])
    np.save(files / "words.npy", np.full(x.shape, "a"))
    np.save(files / "none.npy", np.zeros_like(y))
    np.savez(files / "two.npz", a=x, b=x)
    np.savez(files / "mask.npz", labels=y, where=y[:, 0])
    (files / "y.txt").write_text("0")
    (files / "bad.csv").write_text("sun,sea\n0.1,0.2\n0.1,high\n")
    (files / "ragged.csv").write_text("sun,sea\n0.1\n")
    (files / "bare.csv").write_text("0.1,0.2\n0.3,0.4\n")
    (files / "half.csv").write_text("sun,sea\n0,0.5\n")


@pytest.mark.parametrize(
    ("arguments", "words"), MISTAKES, ids=lambda value: " ".join(map(str, value))
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, words, mllosses, broken, tmp_path):
    (tmp_path / "FILE").write_text("mine")
    assert_refused(mllosses(*arguments, "--inputs", "logits"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["FILE"]
    assert (tmp_path / "FILE").read_text() == "mine"


@pytest.mark.parametrize("command", ["evaluate", "tune", "calibrate"])
def test_a_folder_that_is_not_writable_is_refused_before_work(
    command, mllosses, broken, tmp_path, monkeypatch
):
    # The mode of a folder would not stop a superuser.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    out = str(tmp_path if command == "evaluate" else tmp_path / "out.json")
    arguments = [command, "x.npy", "y.npy", "--inputs", "logits", "--out", out]
    assert_refused(mllosses(*arguments), "cannot write", "--out")
    assert not list(tmp_path.iterdir())


def test_what_the_scores_are_is_not_guessed(mllosses):
    for command in ("evaluate", "tune", "calibrate"):
        assert_refused(mllosses(command, "x.npy", "y.npy"), "--inputs")
        done = mllosses(command, "x.npy", "y.npy", "--inputs", "probabilities")
        assert_refused(done, "x.npy", "no probability", "--inputs logits")


def test_as_a_process_without_warnings(files, tmp_path):
    files = [files / "x32.npy", files / "y.npy"]
    command = [sys.executable, "-W", "error", "-m", "mllosses_jax.cli.main"]
    done = subprocess.run(
        [*command, "tune", *files, "--inputs", "logits", "--out", tmp_path / "t.json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[:4] == ["held", "out", "at", "0"]
