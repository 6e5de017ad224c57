"""Two processes share a comparison, and return what one process does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from compare_process import LATER, LOSSES, make_dataset

from mllosses_jax.cli.main import main
from mllosses_jax.compare import compare, processes
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.folder import REPORT

pytestmark = pytest.mark.usefixtures("without_pictures", "prior_alone")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder with what each process wrote."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = Path(__file__).parent / "compare_process.py"
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent)}
    running = [
        subprocess.Popen(
            [sys.executable, script, port, str(rank), folder],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=400)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], outputs
    return folder


def test_two_processes(folder):
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))
    alone = compare(make_dataset(), losses=[*LOSSES, LATER], num_seeds=1).results
    for found in (first, second):
        assert list(found[0]["results"]) == list(LOSSES)
        assert list(found[1]["results"]) == [*LOSSES, LATER]
        for loss, metrics in alone.items():
            for name in metrics.keys() - {"seconds", "cpu_seconds"}:
                expected = pytest.approx(metrics[name]["mean"], abs=1e-5, nan_ok=True)
                for ours in (one["results"] for one in found if loss in one["results"]):
                    assert ours[loss][name]["mean"] == expected
    assert (folder / "out" / REPORT).read_text("utf-8").count("zlpr_loss")
    trained = [
        [text.removeprefix("training: ") for text in one["texts"] if text.startswith("training: ")]
        for one in (*first, *second)
    ]
    # The second call trains its one loss in the process to which it falls.
    assert trained == [[LOSSES[0], LOSSES[2]], [], [LOSSES[1]], [LATER]]
    assert not list((folder / "out").glob("failed-*"))


@pytest.fixture
def one_of_two(monkeypatch):
    """Lets this process believe that it is the first of two."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "_said_by_the_first", lambda value: value)


@pytest.mark.usefixtures("one_of_two")
def test_a_process_that_fails_is_told_to_the_others(tmp_path):
    with pytest.raises(RuntimeError), processes.opened(tmp_path, lambda: "the folder"):
        raise RuntimeError("no such layer")
    with pytest.raises(ComparisonError, match=r"another process .* process 0: no such layer"):
        processes.wait_for(lambda: None, tmp_path)
    with processes.opened(tmp_path, lambda: "the folder"):  # what was told before does not count
        assert not list(tmp_path.iterdir())
    found = iter([None, None, "outcome"])
    assert processes.wait_for(lambda: next(found), tmp_path) == "outcome"


@pytest.mark.usefixtures("one_of_two")
def test_processes_need_a_folder():
    with pytest.raises(ComparisonError, match="through a folder"):
        compare(make_dataset(), losses=LATER)


def test_the_command_joins_processes(monkeypatch, tmp_path, capsys):
    given = []

    def initialize(**numbers):
        given.append(numbers)
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setenv("JAX_NUM_PROCESSES", "3")
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--distributed"]) == 2
    assert "--distributed needs --out" in capsys.readouterr().err
    assert main(["compare", "--distributed", "--out", "results"]) == 2
    assert "set JAX_COORDINATOR_ADDRESS to HOST:PORT" in capsys.readouterr().err
    assert given == [{"num_processes": 3, "process_id": 2}]
