"""`mllosses evaluate` with intervals, a baseline and promised thresholds."""

import json

import jax
import numpy as np
import pytest
from score_inputs import NAMES, assert_refused, sigmoid, write_csv

from mllosses_jax import metrics
from mllosses_jax._core.intervals import Interval
from mllosses_jax.cli import score_intervals
from mllosses_jax.decisions import ThresholdReport

RESAMPLES = 20
GIVEN = ("evaluate", "x.npz", "y.npz", "--inputs", "logits")


@pytest.fixture(scope="module")
def other(arrays, files):
    """Writes worse scores, whose labels are in another order; returns them."""
    x, *_ = arrays
    worse = x + 4 * np.random.default_rng(1).normal(size=x.shape)
    rows = [map(repr, row.tolist()) for row in worse[:, ::-1]]
    write_csv(files / "worse.csv", NAMES[::-1], rows)
    np.savez(files / "renamed.npz", worse, label_names=np.array([*NAMES[:-1], "else"]))
    return worse


def test_intervals_and_differences_are_those_of_bootstrap(mllosses, arrays, other, tmp_path):
    x, y, known = arrays
    options = ("--intervals", "--baseline", "worse.csv", "--resamples", RESAMPLES, "--out", "out")
    status, out, err = mllosses(*GIVEN, *options)
    assert (status, err) == (0, "")
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    text = " ".join(out.split())
    shared = {"where": known, "key": jax.random.key(0), "num_resamples": RESAMPLES}
    with jax.enable_x64(True):
        for name, metric, (ours, theirs) in (
            ("map", metrics.average_precision, (x, other)),
            ("f1_micro", f1_micro, (x >= 0, other >= 0)),
        ):
            one, two = (
                metrics.bootstrap(metric, ours, y, baseline=base, bounds=(0, 1), **shared)
                for base in (None, theirs)
            )
            for kind, wanted in (("intervals", one), ("differences", two)):
                entry = found[kind][name]
                assert entry["decided"]
                got = [entry[key] for key in ("mean", "low", "high")]
                assert got == pytest.approx([wanted.estimate, wanted.low, wanted.high], abs=1e-9)
                assert f"{wanted.low:.4f} to {wanted.high:.4f}" in text
    assert set(found["intervals"]) == set(found["metrics"]) | set(found["decisions"])
    best = found["differences"]["map"]
    values = f"{found['metrics']['map']:.4f} {found['metrics']['map'] - best['mean']:.4f}"
    assert f"mAP, macro {values} {best['low']:.4f} to {best['high']:.4f} +" in text
    assert all(len(line) <= 80 for line in out.splitlines())


def f1_micro(sets, labels, where):
    return metrics.f1(sets, labels, average="micro", where=where)


@pytest.mark.parametrize(
    ("name", "ends", "mark"),
    [
        ("map", (0.1, 0.2), "+"),
        ("map", (-0.2, -0.1), "-"),
        ("map", (0.0, 0.2), ""),
        ("log_loss", (0.1, 0.2), "-"),
        ("ranking_loss", (-0.2, -0.1), "+"),
    ],
)
def test_marks_leave_out_what_touches_zero(name, ends, mark):
    assert score_intervals.mark(name, Interval(np.mean(ends), *ends, decided=True)) == mark
    assert score_intervals.mark(name, Interval(np.mean(ends), *ends, decided=False)) == ""


@pytest.mark.parametrize("of", ["recall", "precision"])
def test_the_promise_of_the_thresholds_is_shown(mllosses, arrays, of):
    x, y, known = arrays
    level = {"recall": 0.8, "precision": 0.3}[of]
    done = mllosses("tune", *GIVEN[1:], "--guarantee", f"{of}={level}", "--out", "t.json")
    assert done[0] == 0, done[2]
    promise = next(s for s in " ".join(done[1].split()).split(". ") if s.startswith("Promised"))
    status, out, _ = mllosses(*GIVEN, "--thresholds", "t.json")
    assert status == 0
    t = ThresholdReport.load("t.json").thresholds
    sets, some = (x >= t) & known, {"recall": y & known}.get(of)
    whole = sets if some is None else some
    share = (sets & y & known).sum(1) / np.maximum(whole.sum(1), 1)
    kept = np.where(whole.any(1), share, 1)[known.any(1)].mean()
    text = " ".join(out.split())
    assert promise.removeprefix("Promised: ") in text
    assert f"On these rows it is {kept:.4f}." in text


def test_a_promise_for_each_label_counts_those_that_miss_it(mllosses, arrays):
    x, y, known = arrays
    done = mllosses("tune", *GIVEN[1:], "--guarantee", "recall=0.8", "--scope", "label")
    assert done[0] == 0, done[2]
    text = " ".join(mllosses(*GIVEN, "--thresholds", "thresholds.json")[1].split())
    t = ThresholdReport.load("thresholds.json").thresholds
    found = (y & known & (x >= t)).sum(0)[:4] / (y & known).sum(0)[:4]  # the last one has none
    assert "for each label, the recall of new rows is at least 0.8" in text
    assert f"On these rows, {(found < 0.8).sum()} of 4 labels have less." in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--resamples", 20), ("--resamples belongs to --intervals or --baseline",)),
        (("--intervals", "--resamples", 1), ("--resamples must be at least 2, got 1",)),
        (("--baseline", "renamed.npz"), ("other labels",)),
        (("--baseline", "y.npy", "--threshold", 0.5), ("y.npy",)),
        (("--baseline", "none.npy"), ("none.npy",)),
    ],
)
def test_what_cannot_be_compared_is_refused(mllosses, other, options, words):
    assert_refused(mllosses(*GIVEN, *options), *words)


def test_logits_and_probabilities_are_not_compared(mllosses, compared, files, other):
    np.savez(files / "said.npz", scores=sigmoid(other), inputs="probabilities", labels=other > 0)
    done = mllosses("evaluate", "test.npz", "--baseline", "said.npz")
    assert_refused(done, "said.npz", "holds probabilities")
