"""Files are written whole or not at all: full disks, failures midway, and two writers at once."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from mllosses_jax._core.files import (
    LEFTOVERS,
    read_format,
    replacing,
    write_csv,
    write_format,
    write_json,
    write_npz,
    write_text,
)
from mllosses_jax.cli.main import main

GOOD, LARGE = b"what was there", b"x" * 10_000


@contextlib.contextmanager
def full_disk(size=100):
    """Keeps files from growing beyond a few bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, LARGE.decode()),
        lambda path: write_csv(path, [{"a": LARGE.decode()}]),
        lambda path: write_json(path, {"a": LARGE.decode()}),
        lambda path: save(np.save, path),
        lambda path: write_npz(path, {"a": np.ones(10_000)}),
    ],
    ids=["text", "csv", "json", "npy", "npz"],
)
@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_leaves_what_was_there(write, existing, tmp_path):
    path = tmp_path / "file"
    if existing:
        path.write_bytes(GOOD)
    with full_disk(), pytest.raises(OSError, match=r"file") as failure:
        write(path)
    assert failure.value.filename == str(path)
    assert failure.value.strerror  # numpy's own error has none
    assert contents(tmp_path) == ({"file": GOOD} if existing else {})
    write(path)
    assert len(path.read_bytes()) > len(GOOD)
    assert list(contents(tmp_path)) == ["file"]


def test_json_has_neither_nan_nor_infinity(tmp_path):
    path = tmp_path / "file.json"
    nan, inf = float("nan"), float("inf")
    write_format(path, {"a": [nan, (1.0, inf)], "b": {"c": -inf}}, format_name="f", force=False)
    expected = {"format": "f", "a": [None, [1.0, "inf"]], "b": {"c": "-inf"}}
    assert read_format(path, format_name="f") == expected


def test_json_of_a_path_that_is_not_text(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"path": "a\udcff.npy"})
    assert json.loads(path.read_bytes()) == {"path": "a\udcff.npy"}


def save(function, path):
    with replacing(path) as file:
        function(file, np.ones(10_000))


def fail_in_the_middle(path, failure):
    with replacing(path) as file:
        file.write(LARGE)
        raise failure


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_in_the_middle_leaves_what_was_there(failure, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(GOOD)
    with pytest.raises(failure):
        fail_in_the_middle(path, failure)
    assert contents(tmp_path) == {"file": GOOD}


def test_two_writers_at_once_do_not_interfere(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        first.write(b"1" * 1000)
        second.write(b"2" * 1000)
    assert contents(tmp_path) == {"file": b"1" * 1000}  # the inner one was complete before
    assert not list(tmp_path.glob(LEFTOVERS))


def test_links_devices_and_rights_stay_what_they_are(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(GOOD)
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    plain = tmp_path / "plain"
    plain.write_text("")
    assert os.stat(target).st_mode == os.stat(plain).st_mode
    write_text(os.devnull, "gone")
    assert os.path.exists(os.devnull)
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize("place", ["missing/file", "taken/file"])
def test_a_place_that_cannot_be_written_is_named(place, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match=place):
        write_text(tmp_path / place, "text")


# The commands.


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scores")
    generator = np.random.default_rng(0)
    labels = generator.random((60, 3)) < 0.4
    names = np.array(["sea", "sunset", "mountain"])
    path = folder / "scores.npz"
    logits = (generator.normal(size=labels.shape) + labels).astype(np.float32)
    np.savez(path, scores=logits, labels=labels, label_names=names, inputs="logits")
    assert main(["calibrate", str(path), "--out", str(folder / "calibrator.json")]) == 0
    return path


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        (["evaluate", "SCORES"], ""),
        (["tune", "SCORES"], "thresholds.json"),
        (["calibrate", "SCORES"], "calibrator.json"),
        (["calibrate", "SCORES", "--apply", "CALIBRATOR"], "probabilities.npy"),
        (["calibrate", "SCORES", "--apply", "CALIBRATOR"], "probabilities.npz"),
    ],
    ids=["evaluate", "tune", "calibrate", "npy", "npz"],
)
def test_commands_on_a_full_disk(arguments, out, scores, tmp_path, capsys):
    files = {"SCORES": str(scores), "CALIBRATOR": str(scores.with_name("calibrator.json"))}
    path = tmp_path / out
    command = [*(files.get(word, word) for word in arguments), "--out", str(path)]
    assert main(command) == 0
    before = contents(tmp_path)
    assert before
    capsys.readouterr()
    with full_disk():
        status = main([*command, "--force"])
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (2, 1), error
    assert "File too large" in error
    assert str(path) in error
    assert contents(tmp_path) == before


def test_a_plot_on_a_full_disk(tmp_path, capsys):
    command = ["describe", "zlpr_loss", "--plot", str(tmp_path / "plot.png")]
    with full_disk():
        assert main(command) == 2
    assert "plot.png: File too large" in capsys.readouterr().err
    assert contents(tmp_path) == {}
    assert main(command) == 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


# Two runs into one folder.

RUN = """
import sys, time
from pathlib import Path
from mllosses_jax.compare.folder import alone
with alone(Path(sys.argv[1])):
    print("taken", flush=True)
    time.sleep(60)
"""


def test_a_killed_run_leaves_no_lock_behind(tmp_path):
    from mllosses_jax.compare.folder import Occupied, alone

    command = [sys.executable, "-c", RUN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "taken\n"
        with pytest.raises(Occupied, match=r"another run is writing to .*\(out\)"):
            alone(tmp_path).__enter__()
        run.send_signal(signal.SIGKILL)
    with alone(tmp_path), pytest.raises(Occupied), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
