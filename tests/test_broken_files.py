"""Files that a user may have: broken ones are reported in one line, and none is misread."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mllosses_jax

PLACES = (Path(__file__).parent, Path(mllosses_jax.__file__).parents[1])
FEWEST_FILES = 400


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The outcome of every broken file, in one process with little memory."""
    if not sys.platform.startswith("linux"):
        pytest.skip("the memory limit works on Linux alone")
    folder = tmp_path_factory.mktemp("corpus")
    done = subprocess.run(
        [sys.executable, "-m", "broken_files", str(folder)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, PLACES))},
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_every_broken_file_is_one_line_that_names_it(outcomes):
    results = outcomes["results"]
    wrong = [
        (trial["arguments"], trial["status"], trial["err"][-400:], trial["written"])
        for trial in results
        if trial["status"] != 2
        or trial["err"].count("\n") != 1
        or not trial["err"].startswith("mllosses: ")
        or not any(
            place in trial["err"] for place in (trial["file"], str(Path(trial["file"]).parent))
        )
        or len(trial["err"]) > 1000
        or trial["out"]
        or trial["written"]
    ]
    assert not wrong, f"{len(wrong)} of {len(results)} are wrong; the first are {wrong[:5]}"
    assert len({trial["file"] for trial in results}) >= FEWEST_FILES
    commands = {trial["arguments"][0] for trial in results}
    assert commands == {"check", "compare", "show", "evaluate", "tune", "calibrate"}


def test_memory_stays_small(outcomes):
    """Some of the files claim petabytes, or unpack to gigabytes."""
    assert outcomes["peak"] < 2 * 2**30


def test_readers_know_what_is_wrong(outcomes):
    """Errors that are caught only at the boundary speak in the terms of other libraries."""
    unknown = {trial["file"] for trial in outcomes["results"] if "cannot be read (" in trial["err"]}
    assert not unknown
