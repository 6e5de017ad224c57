"""`mllosses evaluate`, against scikit-learn on the arrays the files were made from."""

import csv
import json

import numpy as np
import pytest
from score_inputs import NAMES, assert_refused, figures_of, sigmoid
from sklearn import metrics as sk


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


def test_labels_that_are_given_are_used(mllosses, arrays, compared, tmp_path):
    _, y, known = arrays
    # Then neither the labels in SCORES nor their mask matters.
    assert mllosses("evaluate", "test.npz", "y.npy", "--out", "out")[0] == 0
    data, _, _, per_label = figures_of(tmp_path / "out")
    assert data["unknown_entries"] == 0
    assert [row["support"] for row in per_label.values()] == y.sum(0).tolist()
    assert y.sum() != (y & known).sum()
