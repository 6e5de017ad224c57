"""Constants and helpers that the tests of the commands on score files share."""

import json

import numpy as np

NAMES = ("sun", "sea", "sand", "snow", "none")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def flipped(*arrays):
    return zip(*(array[:, ::-1] for array in arrays), strict=True)


def write_csv(path, names, rows):
    path.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")


def assert_refused(done, *words):
    """Asserts exit status 2 and a single line on stderr that contains the words."""
    status, out, err = done
    assert status == 2, out
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("mllosses: ")
    for word in words:
        assert str(word) in line


def figures_of(folder):
    found = json.loads((folder / "metrics.json").read_text())
    return found["data"], found["metrics"], found["decisions"], found["per_label"]
