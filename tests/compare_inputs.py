"""Constants and helpers that the tests of `mllosses compare` share."""

import json
import re
import sys

COMMAND = [sys.executable, "-W", "error", "-m", "mllosses_jax"]
BASELINE, OTHER = "sigmoid_binary_cross_entropy", "zlpr_loss"
NAMES = ("sun", "sea", "sand", "snow")


def assert_refused(done, *words):
    """Asserts exit status 2 and a single line on stderr that contains the words."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("mllosses: ")
    for word in words:
        assert str(word) in line


def passes(done):
    """Returns the progress messages of a command, without the remaining time and what XLA logs.

    Its older versions log a line if a kept program was compiled with features that the host lacks.
    """
    lines = [line for line in done.stderr.splitlines() if not re.match(r"[IWEF]\d{4} ", line)]
    return list(dict.fromkeys(line.split(" (about")[0] for line in lines))


def results_of(folder):
    return json.loads((folder / "results.json").read_text())
