"""`mllosses tune --guarantee`: thresholds with a promise, against a search on the arrays."""

import numpy as np
import pytest
from score_inputs import NAMES, assert_refused, sigmoid

from mllosses_jax.decisions import ThresholdReport


@pytest.fixture
def tune(mllosses, tmp_path):
    """Runs the command on the logits with unknown labels; returns its text and its file."""

    def run(*options):
        status, out, err = mllosses("tune", "x.npz", "y.npz", "--inputs", "logits", *options)
        assert (status, err) == (0, "")
        return " ".join(out.split()), ThresholdReport.load(tmp_path / "thresholds.json")

    return run


def shares_missed(x, y, known, t):
    missed = (known & y & (x < t)).sum(1)
    return missed / np.maximum((known & y).sum(1), 1)


def highest(x, known, holds):
    return max((t for t in np.unique(x[known]) if holds(t)), default=-np.inf)


def test_recall_on_average(tune, arrays):
    x, y, known = arrays
    text, report = tune("--guarantee", "recall=0.8")

    def threshold(rows):
        n = known[rows].any(1).sum()
        return highest(
            x[rows],
            known[rows],
            lambda t: (shares_missed(x[rows], y[rows], known[rows], t).sum() + 1) / (n + 1) <= 0.2,
        )

    np.testing.assert_array_equal(report.thresholds, threshold(slice(None)))
    assert report.label_names == NAMES
    promise = "the mean recall of new rows is at least 0.8, on average over draws of these rows"
    assert report.settings["promise"] == promise
    assert report.settings | {"guarantee": "recall", "level": 0.8, "confidence": None} == (
        report.settings
    )
    assert f"Promised: {promise}." in text
    # Held out: each fold is decided by a threshold from the others.
    fold = np.random.default_rng(0).permutation(len(x)) % 5
    missed = np.empty(len(x))
    predicted = np.empty(x.shape, bool)
    for k in range(5):
        t = threshold(fold != k)
        missed[fold == k] = shares_missed(x, y, known, t)[fold == k]
        predicted[fold == k] = (x >= t)[fold == k]
    some = (known & y).any(1)
    rows = known.any(1)
    assert f"recall 0.8000 {1 - missed[rows].mean():.4f}" in text
    assert f"recall if any label {1 - missed[some].mean():.4f}" in text
    assert f"predicted labels {(predicted & known).sum(1)[rows].mean():.4f}" in text
    assert f"Rows without a positive, whose recall counts as 1: {(~some & rows).sum()}." in text


def test_recall_of_each_label(tune, arrays):
    x, y, known = arrays
    text, report = tune("--guarantee", "recall=0.9", "--scope", "label", "--confidence", 0.6)
    needed = 9  # 0.9⁹ is the first power below 0.4
    assert 0.9**needed < 0.4 < 0.9 ** (needed - 1)
    positives = (known & y).sum(0)
    for label in range(5):
        of_positives = np.sort(x[(known & y)[:, label], label])
        if of_positives.size < needed:
            assert report.thresholds[label] == -np.inf
            assert f"{NAMES[label]} {of_positives.size} -inf" in text
        else:
            assert report.thresholds[label] in of_positives
    assert positives[4] == 0
    assert f"Labels with fewer than 9 positives: {(positives < 9).sum()}." in text
    assert (
        "for each label, the recall of new rows is at least 0.9, with a confidence of 0.6" in text
    )
    assert "labels left open" in text


def test_precision(tune, arrays, mllosses):
    x, y, known = arrays
    text, report = tune("--guarantee", "precision=0.6")
    assert report.settings["confidence"] == 0.9
    assert len(set(report.thresholds)) == 1
    predicted = known & (x >= report.thresholds)
    wrong = (predicted & ~y).sum(1) / np.maximum(predicted.sum(1), 1)
    assert 0.2 < wrong[known.any(1)].mean() < 0.4
    assert "the mean precision of new rows is at least 0.6, with a confidence of 0.9" in text
    # The file goes on to `evaluate`.
    status, out, _ = mllosses(
        "evaluate", "x.npz", "y.npz", "--inputs", "logits", "--thresholds", "thresholds.json"
    )
    assert status == 0
    assert "at thresholds.json" in out


def test_probabilities(mllosses, arrays, tmp_path):
    x, _, _ = arrays
    options = ["--inputs", "probabilities", "--guarantee", "recall=0.8", "--out", "p.json"]
    assert mllosses("tune", "p.npy", "y_nan.npy", *options)[0] == 0
    options = ["--inputs", "logits", "--guarantee", "recall=0.8", "--out", "x.json"]
    assert mllosses("tune", "x.npy", "y_nan.npy", *options)[0] == 0
    p, logits = (ThresholdReport.load(tmp_path / name).thresholds for name in ("p.json", "x.json"))
    np.testing.assert_allclose(p, sigmoid(logits), rtol=1e-12)
    assert np.isin(logits, x).all()


def test_too_few_rows(mllosses, arrays, tmp_path):
    given = ["tune", "x.npy", "y.npy", "--inputs", "logits"]
    few = [("recall=0.999", [], "a recall of 0.999 can be promised from 999 rows on, got 120")]
    few += [
        (
            "recall=0.99",
            ["--confidence", 0.9],
            "promised with a confidence of 0.9 from 230 rows on, got 120",
        ),
        ("precision=0.99", [], "a precision of 0.99 can be promised"),
        ("recall=0.99", ["--scope", "label"], "99 positives of a label on, got"),
    ]
    for promised, options, message in few:
        assert_refused(mllosses(*given, "--guarantee", promised, *options), message)
    np.save(tmp_path / "wrong.npy", ~arrays[1])  # the highest scores are those of negatives
    given[2] = tmp_path / "wrong.npy"
    message = "no threshold promises a precision of 0.97 with a confidence of 0.9"
    assert_refused(mllosses(*given, "--guarantee", "precision=0.97"), message)
    assert not list(tmp_path.glob("*.json"))


def test_options_that_do_not_go_together(mllosses, capsys):
    given = ["tune", "x.npy", "y.npy", "--inputs", "logits"]
    promised = [*given, "--guarantee", "recall=0.9"]
    for option, value in (
        *(("--objective", "fbeta"), ("--beta", 2), ("--min-positives", 3), ("--shrinkage", 1)),
    ):
        assert_refused(mllosses(*promised, option, value), f"{option} is for the best F-beta")
    assert_refused(mllosses(*given, "--confidence", 0.9), "--confidence belongs to --guarantee")
    assert_refused(
        mllosses(*given, "--guarantee", "precision=0.9", "--scope", "label"), "one threshold"
    )
    for wrong in ("recall", "f1=0.9", "recall=1", "recall=90", "recall=x"):
        status, _, err = mllosses(*given, "--guarantee", wrong)
        assert status == 2
        assert "--guarantee" in err
