"""A run of `mllosses compare` that is interrupted and resumed, and the files that it leaves."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from compare_inputs import BASELINE, COMMAND, NAMES, OTHER, assert_refused, passes, results_of
from comparison_inputs import draw_nothing

from mllosses_jax import calibration
from mllosses_jax.compare.report import number
from mllosses_jax.decisions import ThresholdReport

# An interrupt between the opening of a file and its block leaves the file to the garbage collector,
# of which Python warns as of an error in the code.
UNDISTURBED = [sys.executable, "-W", "error", "-W", "ignore::ResourceWarning", *COMMAND[-2:]]
LOSSES = f"{BASELINE},{OTHER}"
REFERENCES = ("prior only", "logistic regression", "random forest")
JUDGED = [
    "map",
    "roc_auc",
    "macro_f1_at_half",
    "macro_f1_tuned",
    "micro_f1_tuned",
    "calibration_error",
    "calibration_error_platt",
    "ranking_loss",
    "lrap",
    "precision_at_1",
]
FIGURES = [*JUDGED, "seconds", "cpu_seconds"]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def interrupt_after_first_loss(arguments, out, environment):
    # A shell that runs the tests in the background has them ignore interrupts; children inherit it.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [*UNDISTURBED, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    results = out / "results.json"
    deadline = time.monotonic() + 100
    while not (results.exists() and json.loads(results.read_text())["results"]):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def interrupted(data, environment, mllosses, tmp_path_factory):
    """A run that was interrupted after its first loss, and its resumption."""
    for _ in range(3):  # on a busy machine a run may end before it is interrupted
        out = tmp_path_factory.mktemp("interrupted") / "out"
        arguments = ["compare", data, "--losses", LOSSES, "--seeds", 2, "--out", out]
        status, stdout, stderr = interrupt_after_first_loss(arguments, out, environment)
        if status != 0:
            break
    left, files = results_of(out), contents(out)
    shown = mllosses("show", out)
    again = mllosses(*arguments)
    return {
        "out": out,
        "arguments": arguments,
        "first": (status, stdout, stderr),
        "left": left,
        "files": files,
        "shown": shown,
        "again": again,
    }


def test_interruption_leaves_what_was_finished(interrupted):
    status, stdout, stderr = interrupted["first"]
    assert status == 130
    assert stdout == ""
    assert "Traceback" not in stderr
    assert stderr.endswith("interrupted; run the same command again to resume\n")
    assert list(interrupted["left"]["results"]) == [BASELINE]
    assert_refused(
        interrupted["shown"], "holds no finished comparison", "mllosses compare", "--out"
    )


def test_the_same_command_resumes(interrupted):
    done, out = interrupted["again"], interrupted["out"]
    assert done.returncode == 0, done.stderr
    fitted = [f"fitting: {name}" for name in REFERENCES]
    assert passes(done) == [f"finished before: {BASELINE}", f"training: {OTHER}", *fitted]
    assert results_of(out)["results"][BASELINE] == interrupted["left"]["results"][BASELINE]
    after = contents(out)
    files = [path for path in interrupted["files"] if path.suffix == ".npz"]
    assert {path.parent.name for path in files} >= {BASELINE}
    assert all(after[path] == interrupted["files"][path] for path in files)


def test_results_json(interrupted):
    results = results_of(interrupted["out"])
    assert {"versions", "config", "data", "baseline", "recommended", "results"} <= set(results)
    assert results["config"]["losses"] == LOSSES.split(",")
    assert results["config"]["model"] == "linear"
    assert results["config"]["num_seeds"] == 2
    assert results["data"]["labels"] == 4
    assert results["data"]["unknown_entries"] > 0
    assert {"mllosses_jax", "jax", "numpy"} <= set(results["versions"])
    assert list(results["results"]) == LOSSES.split(",")
    for figures in results["results"].values():
        assert list(figures) == FIGURES
        for figure in figures.values():
            assert list(figure) == ["mean", "low", "high", "values"]
            assert len(figure["values"]) == 1  # the start does not matter to these losses
            assert 0 <= figure["low"] <= figure["mean"] <= figure["high"]
    assert list(results["differences"]) == [OTHER]
    assert list(results["differences"][OTHER]) == JUDGED
    for name, training in results["training"].items():
        tried = dict(zip(training["tried"]["strength"], training["tried"]["score"], strict=True))
        assert max(tried.values()) == tried[training["chosen"]["strength"]]
        assert training["models"] == 1
        assert training["depends_on_seed"] is False
        [residual] = training["residuals"]
        assert residual <= results["config"]["tolerance"], name
    best = max(results["training"], key=lambda n: max(results["training"][n]["tried"]["score"]))
    assert results["best_on_validation"] == best


def test_results_csv(interrupted):
    written = results_of(interrupted["out"])
    results = written["results"] | written["references"]
    with (interrupted["out"] / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss"], row["metric"]) for row in rows] == [
        (name, metric) for name in [*LOSSES.split(","), *REFERENCES] for metric in FIGURES
    ]
    for row in rows:
        figure = results[row["loss"]][row["metric"]]
        assert float(row["mean"]) == figure["mean"]
        assert [float(value) for value in row["values"].split()] == figure["values"]
        apart, together = (
            written[kind].get(row["loss"], {}).get(row["metric"])
            for kind in ("differences", "simultaneous")
        )
        assert (row["difference"] == "") == (apart is None) == (together is None)
        if apart is not None:
            assert float(row["difference_high"]) == apart["high"]
            assert float(row["simultaneous_high"]) == together["high"]
            outside = together["low"] > 0 or together["high"] < 0
            assert row["marked"] == str(int(outside and together["decided"]))


def test_output_is_readable_in_a_pipe(interrupted):
    printed, out = interrupted["again"].stdout, interrupted["out"]
    assert "\x1b" not in printed
    assert "…" not in printed
    lines = printed.splitlines()
    assert lines[0].startswith(
        "tiny: 60 training rows, 30 test rows, 5 features, 4 labels; 2 losses."
    )
    assert all(len(line) <= 80 for line in lines if str(out) not in line)
    assert any(line.startswith("zlpr_loss ") for line in lines)
    text = " ".join(printed.split())
    assert "1000 resamples, the same for all losses" in text
    assert "Verdict: " in text
    assert all(name in printed for name in (*NAMES, "macro avg"))
    assert f"Written to {out}: report.md, results.json, results.csv" in text
    assert f"The report with its figures: {out / 'report.html'}" in lines
    recommended = ThresholdReport.load(out / "thresholds.json")
    assert recommended.label_names == NAMES
    assert recommended.settings["loss"] == results_of(out)["recommended"]
    of_losses = {path.name: path for path in (out / "losses").iterdir()}
    assert set(of_losses) == set(LOSSES.split(","))
    own = ThresholdReport.load(of_losses[recommended.settings["loss"]] / "thresholds.json")
    np.testing.assert_array_equal(recommended.thresholds, own.thresholds)
    assert recommended.macro == own.macro


def test_show_prints_the_report_again(interrupted, here, tmp_path, monkeypatch):
    out = interrupted["out"]
    before = contents(out)
    monkeypatch.delenv("COLUMNS", raising=False)
    done = here("show", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == interrupted["again"].stdout.split("\nThe report with its")[0]
    results = results_of(out)["results"]
    for columns in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        shown = here("show", out).stdout
        assert (shown == done.stdout) == (columns == 80)
        assert max(map(len, shown.splitlines())) <= columns
        for figures in results.values():
            for metric in JUDGED:
                low, high = (number(figures[metric][key]) for key in ("low", "high"))
                assert f"{low}-{high}" in shown.split(), metric
    assert contents(out) == before
    assert_refused(here("show", tmp_path), tmp_path, "holds no comparison", "--out")
    assert_refused(here("show", tmp_path / "nowhere"), "nowhere", "holds no comparison")


def test_finished_results_are_not_overwritten(interrupted, here):
    out = interrupted["out"]
    before = contents(out)
    arguments = interrupted["arguments"]
    again = here(*arguments)
    assert again.returncode == 0
    assert "training:" not in again.stderr
    assert again.stdout == interrupted["again"].stdout
    assert contents(out) == before
    assert_refused(here(*arguments, "--model", "mlp"), "another run", "model", "--force")
    assert_refused(here(*arguments, "--seeds", 3), "another run", "num_seeds is 2 there", "(--out)")
    assert contents(out) == before


def test_files_of_scores_are_what_other_commands_take(interrupted, here, tmp_path):
    """They reproduce the figures of the comparison, its thresholds and its calibrator."""
    out = interrupted["out"]
    recommended = here("evaluate", out / "predictions.npz", "--thresholds", out / "thresholds.json")
    assert recommended.returncode == 0, recommended.stderr
    for loss, figures in results_of(interrupted["out"])["results"].items():
        folder = interrupted["out"] / "losses" / loss
        thresholds, test = folder / "thresholds.json", folder / "test.npz"
        done = here("evaluate", test, "--thresholds", thresholds, "--out", tmp_path / loss)
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / loss / "metrics.json").read_text())
        for name in ("map", "roc_auc", "lrap", "ranking_loss", "precision_at_1"):
            assert found["metrics"][name] == pytest.approx(figures[name]["mean"], abs=1e-6), name
        expected = figures["macro_f1_tuned"]["mean"]
        assert found["decisions"]["f1_macro"] == pytest.approx(expected, abs=1e-6)

        held = folder / "validation.npz"
        done = here("tune", held, "--out", tmp_path / f"{loss}.json")
        assert done.returncode == 0, done.stderr
        tuned = ThresholdReport.load(tmp_path / f"{loss}.json")
        np.testing.assert_allclose(
            tuned.thresholds, ThresholdReport.load(thresholds).thresholds, rtol=1e-6
        )
        done = here("calibrate", held, "--out", tmp_path / f"{loss}-platt.json")
        assert done.returncode == 0, done.stderr
        ours = calibration.load(folder / "calibrator.json", NAMES)
        theirs = calibration.load(tmp_path / f"{loss}-platt.json", NAMES)
        np.testing.assert_allclose(ours.slope, theirs.slope, rtol=1e-3)
        np.testing.assert_allclose(ours.bias, theirs.bias, rtol=1e-3, atol=1e-4)


def test_a_loss_with_parameters_is_added_to_a_finished_folder(interrupted, here, monkeypatch):
    """Only the new loss is trained; this test runs last of those that use this folder."""
    draw_nothing(monkeypatch)
    out, before = interrupted["out"], results_of(interrupted["out"])
    added = "asymmetric_loss(gamma_neg=2, detach_focus=False)"
    files = {path for path in contents(out / "losses") if path.suffix == ".npz"}
    times = {path: path.stat().st_mtime_ns for path in files}
    data = interrupted["arguments"][1]
    done = here("compare", data, "--losses", added, "--seeds", 2, "--out", out)
    assert done.returncode == 0, done.stderr
    assert passes(done) == [
        f"finished before: {BASELINE}",
        f"finished before: {OTHER}",
        f"training: {added}",
    ]
    assert {path: path.stat().st_mtime_ns for path in files} == times
    results = results_of(out)
    assert results["config"]["losses"] == [BASELINE, OTHER, added]
    assert {name: results["results"][name] for name in (BASELINE, OTHER)} == before["results"]
    assert list(results["results"]) == [BASELINE, OTHER, added]
    folder = out / "losses" / "asymmetric_loss-gamma_neg=2-detach_focus=False"
    assert (folder / "test.npz").exists()
    assert "3 losses" in done.stdout.splitlines()[0]
    assert any(line.startswith("asymmetric_loss ") for line in done.stdout.splitlines())


def test_compiled_programs_are_kept_for_the_next_run(interrupted, environment, mllosses, data):
    assert interrupted["again"].returncode == 0
    kept = os.listdir(os.path.join(environment["XDG_CACHE_HOME"], "mllosses_jax"))
    assert any(name.startswith("jit_") for name in kept)  # programs that took a tenth of a second
    done = mllosses("check", data, XDG_CACHE_HOME=str(data))  # not a folder: nothing is kept
    assert (done.returncode, done.stderr) == (0, "")
