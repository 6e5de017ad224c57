"""The command as its users run it: a process with arguments, files, output and exit status."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mllosses_jax.decisions import ThresholdReport

COMMAND = [sys.executable, "-W", "error", "-m", "mllosses_jax.cli.main"]
LOSSES = "sigmoid_binary_cross_entropy,zlpr_loss"
METRICS = [
    "map",
    "macro_f1_at_half",
    "macro_f1_tuned",
    "micro_f1_tuned",
    "ranking_loss",
    "precision_at_1",
    "seconds",
]


def environment():
    return os.environ | {"COLUMNS": "80", "JAX_PLATFORMS": "cpu"}


def mllosses(*arguments, folder=None):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment() | {"PYTHONPATH": os.getcwd()},
        timeout=120,
        check=False,
    )


def assert_refused(done, *words):
    """Exit status 2 and one line on stderr that holds the words."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("mllosses: ")
    for word in words:
        assert str(word) in line


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 5)).astype(np.float32)
    y = x @ generator.normal(size=(5, 4)) + generator.normal(size=(90, 1)) > 0.5
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(
        path,
        X_train=x[:60],
        Y_train=y[:60],
        X_test=x[60:],
        Y_test=y[60:],
        mask_train=generator.random((60, 4)) < 0.9,
        mask_test=generator.random((30, 4)) < 0.9,
        label_names=np.array(["sun", "sea", "sand", "snow"]),
    )
    return path


@pytest.fixture(scope="module")
def interrupted(data, tmp_path_factory):
    """A run that was interrupted after its first loss."""
    out = tmp_path_factory.mktemp("interrupted") / "out"
    arguments = ["compare", data, "--losses", LOSSES, "--seeds", 2, "--out", out]
    # A shell that runs the tests in the background has them ignore interrupts, which is inherited.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
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
    left = json.loads(results.read_text())
    scores = (out / "scores/sigmoid_binary_cross_entropy.npz").read_bytes()
    again = mllosses(*arguments)
    return {
        "out": out,
        "arguments": arguments,
        "first": (process.returncode, stdout, stderr),
        "left": left,
        "scores": scores,
        "again": again,
    }


def test_interruption_leaves_what_was_finished(interrupted):
    status, stdout, stderr = interrupted["first"]
    assert status == 130
    assert stdout == ""
    assert "Traceback" not in stderr
    assert stderr.endswith("interrupted; the same command goes on from what is finished\n")
    assert list(interrupted["left"]["results"]) == ["sigmoid_binary_cross_entropy"]


def test_the_same_command_resumes(interrupted):
    done = interrupted["again"]
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "finished before: sigmoid_binary_cross_entropy",
        "training: zlpr_loss",
    ]
    results = json.loads((interrupted["out"] / "results.json").read_text())
    name = "sigmoid_binary_cross_entropy"
    assert results["results"][name] == interrupted["left"]["results"][name]
    assert (interrupted["out"] / f"scores/{name}.npz").read_bytes() == interrupted["scores"]


def test_results_json(interrupted):
    results = json.loads((interrupted["out"] / "results.json").read_text())
    assert {"versions", "config", "data", "results"} <= set(results)
    assert results["config"]["losses"] == LOSSES.split(",")
    assert results["data"]["labels"] == 4
    assert results["data"]["unknown_entries"] > 0
    assert {"mllosses_jax", "jax", "numpy"} <= set(results["versions"])
    assert list(results["results"]) == LOSSES.split(",")
    for figures in results["results"].values():
        assert list(figures) == METRICS
        for figure in figures.values():
            assert list(figure) == ["mean", "low", "high", "values"]
            assert len(figure["values"]) == 2
            assert 0 <= figure["low"] <= figure["mean"] <= figure["high"]
    assert list(results["differences"]) == ["zlpr_loss"]


def test_results_csv(interrupted):
    results = json.loads((interrupted["out"] / "results.json").read_text())["results"]
    with (interrupted["out"] / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["loss"], row["metric"]) for row in rows] == [
        (name, metric) for name in LOSSES.split(",") for metric in METRICS
    ]
    for row in rows:
        figure = results[row["loss"]][row["metric"]]
        assert float(row["mean"]) == figure["mean"]
        assert [float(value) for value in row["values"].split()] == figure["values"]


def test_output_is_readable_in_a_pipe(interrupted):
    printed = interrupted["again"].stdout
    assert "\x1b" not in printed
    assert "…" not in printed
    lines = printed.splitlines()
    assert lines[0] == "tiny: 60 training rows, 30 test rows, 5 features, 4 labels"
    assert all(len(line) <= 80 for line in lines if str(interrupted["out"]) not in line)
    assert any(line.startswith("zlpr_loss ") for line in lines)
    assert "paired bootstrap: 500 resamples" in " ".join(printed.split())
    assert all(name in printed for name in ("sun", "sea", "sand", "snow", "macro avg"))
    out = interrupted["out"]
    assert "macro avg" in (out / "report.txt").read_text()
    best = ThresholdReport.load(out / "thresholds.json")
    assert best.label_names == ("sun", "sea", "sand", "snow")
    reports = {file.stem: ThresholdReport.load(file) for file in (out / "thresholds").iterdir()}
    assert set(reports) == set(LOSSES.split(","))
    assert best.macro == reports[best.settings["loss"]].macro


def test_finished_results_are_not_overwritten(interrupted):
    before = {path: path.read_bytes() for path in interrupted["out"].rglob("*") if path.is_file()}
    assert_refused(mllosses(*interrupted["arguments"]), "complete", "--force")
    other = [*interrupted["arguments"], "--model", "mlp"]
    assert_refused(mllosses(*other), "another run", "model", "--force")
    after = {path: path.read_bytes() for path in interrupted["out"].rglob("*") if path.is_file()}
    assert after == before


def test_force_begins_anew_and_a_csv_gets_a_test_part(tmp_path):
    generator = np.random.default_rng(1)
    rows = [
        f"{a:.3f},{b:.3f},{int(a > 0)},{int(b > 0.3)}" for a, b in generator.normal(size=(80, 2))
    ]
    path = tmp_path / "tiny.csv"
    path.write_text("\n".join(["a,b,up,right", *rows]) + "\n")
    out = tmp_path / "out"
    (out / "scores").mkdir(parents=True)
    (out / "results.json").write_text("mine")
    arguments = ["compare", path, "--labels", "up,right", "--losses", "zlpr_loss", "--out", out]
    done = mllosses(*arguments, "--seeds", 1, "--model", "mlp", "--force")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tiny: 64 training rows, 16 test rows, 2 features, 2 labels")
    results = json.loads((out / "results.json").read_text())
    assert results["results"]["zlpr_loss"]["map"]["mean"] > 0.9
    assert results["baseline"] == "zlpr_loss"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare", "nowhere.npz"], ["nowhere.npz", "no such file"]),
        (["compare", "DATA", "--losses", "zlpr"], ["'zlpr'", "did you mean", "zlpr_loss"]),
        (["compare", "DATA", "--out", "FILE/out"], ["cannot write to", "--out"]),
        (["compare", "DATA", "--labels", "2"], ["tiny.npz", "labels"]),
        (["compare", "DATA", "--seeds", "0"], ["--seeds", "above zero", "'0'"]),
        (["compare", "DATA", "--force"], ["--force", "--out"]),
        (["compare", "FILE"], ["unknown kind of file"]),
        (["describe", "zlpr"], ["'zlpr'", "did you mean"]),
        (["check", "BROKEN"], ["broken.npz", "not an .npz archive"]),
        (["conquer"], ["invalid choice", "conquer"]),
        ([], ["COMMAND", "--help"]),
    ],
)
def test_mistakes_are_one_line_and_exit_status_2(arguments, words, data, tmp_path):
    file, broken = tmp_path / "file", tmp_path / "broken.npz"
    file.write_text("")
    broken.write_text("no archive")
    real = {"DATA": data, "FILE": file, "FILE/out": file / "out", "BROKEN": broken}
    assert_refused(mllosses(*(real.get(word, word) for word in arguments)), *words)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_a_known_label_is_refused(part, data, tmp_path):
    unknown = tmp_path / "unknown.npz"
    with np.load(data) as arrays:
        mask = f"mask_{part}"
        np.savez(unknown, **dict(arrays) | {mask: np.zeros_like(arrays[mask])})
    answer = mllosses("compare", unknown, "--out", tmp_path / "out")
    assert_refused(answer, "unknown", "no label", part)
    assert not (tmp_path / "out").exists()


def test_without_out_each_run_has_a_folder_of_its_own(data, tmp_path):
    arguments = ["compare", data, "--losses", "sigmoid_binary_cross_entropy", "--seeds", 1]
    for name in ("tiny-linear", "tiny-linear-2"):
        done = mllosses(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"Written to mllosses-out/{name}" in done.stdout
        results = json.loads((tmp_path / "mllosses-out" / name / "results.json").read_text())
        assert set(results["results"]) == {"sigmoid_binary_cross_entropy"}


def test_missing_rich_is_named(data, tmp_path):
    (tmp_path / "rich.py").write_text("raise ImportError('no rich here')")
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    done = subprocess.run(
        [*COMMAND, "compare", str(data)],
        capture_output=True,
        text=True,
        env=environment() | {"PYTHONPATH": path},
        timeout=120,
        check=False,
    )
    assert_refused(done, "pip install 'mllosses-jax[cli]'")


def test_list_describe_and_check(data):
    done = mllosses("list")
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert "ranking" in lines
    [line] = [line for line in lines if line.startswith("  zlpr_loss ")]
    assert "rank loss" in line

    done = mllosses("describe", "asymmetric_loss")
    assert done.returncode == 0
    for part in ("Formula", "gamma_neg = 4.0", "clip = 0.05", "Ridnik", "2009.14119"):
        assert part in done.stdout

    done = mllosses("check", data)
    assert done.returncode == 0
    card = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines() if line[:1].islower())
    assert card["training rows"] == "60"
    assert card["test rows"] == "30"
    assert card["features"] == "5"
    assert card["labels"] == "4"
    assert int(card["unknown entries"]) > 0
