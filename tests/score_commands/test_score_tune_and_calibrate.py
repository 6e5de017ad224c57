"""`mllosses tune` and `calibrate`, against searches and fits on the arrays of the files."""

import json
import subprocess
import sys

import numpy as np
import pytest
from score_inputs import NAMES, assert_refused, figures_of, sigmoid
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from mllosses_jax import calibration
from mllosses_jax.cli.score_report import tuning_text
from mllosses_jax.decisions import ThresholdReport
from mllosses_jax.decisions.threshold_file import Gain


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
    # Thresholds are found by name if the labels come in another order.
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
        mllosses("evaluate", "x.npy", "y.npy", *wrong), "'sun'", "give them", "label_names"
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
        num_positives=np.arange(40),
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
    # Before: the scores as they are; after: each fold as calibrated by a fit to the others.
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

    # A calibrator is applied by name to labels in another order.
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
        mllosses(*apply, "--out", "new.npy"), "calibrator.json", "give them", "label_names"
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


def test_as_a_process_without_warnings(files, tmp_path):
    files = [files / "x32.npy", files / "y.npy"]
    command = [sys.executable, "-W", "error", "-m", "mllosses_jax"]
    done = subprocess.run(
        [*command, "tune", *files, "--inputs", "logits", "--out", tmp_path / "t.json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split()[:4] == ["held", "out", "at", "0"]
