"""Passes every broken file to the commands that read it, with little memory.

The outcome of each is printed as JSON.
"""

import contextlib
import dataclasses
import io
import json
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

import numpy as np

from broken_files import LOSS, NAMES, ROWS
from broken_files.arrays import archives, features, single_arrays
from broken_files.results import calibrator, calibrators, thresholds
from broken_files.runs import finished, folders
from broken_files.texts import (
    ARFF,
    arff,
    csv_of_data,
    csv_of_labels,
    csv_of_scores,
    csv_without_labels,
    jsonl,
    packed,
    parquet,
    svmlight,
    xml,
)

MEMORY = 3 * 2**30  # beyond what the process uses when the first command begins


class Trial(NamedTuple):
    """A file and a command that reads it."""

    file: Path
    arguments: list[str]


def trials(folder):
    """Writes all files into a folder, and returns them with the commands that read them."""
    good = _good(folder)
    found = []

    def add(name, content, commands):
        path = folder / "broken" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        for command in commands:
            words = [good.get(word, word) for word in command]
            found.append(Trial(path, [str(path) if word == "FILE" else word for word in words]))

    of_data = [["check", "FILE"], ["compare", "FILE", "--out", "new"]]
    of_labelled = [[*command, "--labels", "2"] for command in of_data]
    of_scores = [
        [command, "FILE", "LABELS", "--inputs", "logits", *out]
        for command, out in (
            ("evaluate", ["--out", "new"]),
            ("tune", ["--out", "new.json"]),
            ("calibrate", ["--out", "new.json"]),
        )
    ]
    of_scores.append(["calibrate", "FILE", "--inputs", "logits", "--apply", "CALIBRATOR"])
    of_labels = [
        ["evaluate", "SCORES", "FILE", "--out", "new"],
        ["tune", "SCORES", "FILE", "--out", "new.json"],
    ]
    of_labels.append(["calibrate", "SCORES", "FILE", "--out", "new.json"])
    of_both = [of_scores[0], *of_labels[:2]]
    of_thresholds = [["evaluate", "SCORES", "LABELS", "--thresholds", "FILE", "--out", "new"]]
    of_calibrators = [["calibrate", "SCORES", "--apply", "FILE"]]

    for name, content in archives("X_train", "Y_train"):
        add(f"data-{name}.npz", content, of_data)
    for name, content in archives("scores", "label_names"):
        add(f"scores-{name}.npz", content, of_scores[:2])
    for name, content in archives("labels", "where"):
        add(f"labels-{name}.npz", content, of_labels[:2])
    for name, content in single_arrays():
        add(f"array-{name}.npy", content, of_both)
    for name, content in features():
        add(f"features-{name}.npz", content, of_data)
    for name, content in csv_of_data():
        add(f"data-{name}.csv", content, of_data)
    for name, content in csv_without_labels():
        add(f"bare-{name}.csv", content, of_labelled)
    for name, content in csv_of_scores():
        add(f"scores-{name}.csv", content, of_scores)
    for name, content in csv_of_labels():
        add(f"labels-{name}.csv", content, of_labels)
    for name, content in jsonl():
        add(f"rows-{name}.jsonl", content, of_data)
    for name, content in packed():
        add(f"packed-{name}.csv.gz", content, of_data)
    for name, content in parquet():
        add(f"table-{name}.parquet", content, of_data)
    for name, content in svmlight():
        add(f"rows-{name}.svm", content, of_data)
    for name, content in arff():
        add(f"table-{name}.arff", content, of_data)
    for name, content in xml():
        (folder / "broken").mkdir(exist_ok=True)
        (folder / "broken" / f"with-{name}.arff").write_text(ARFF + "1,2,3\n" * ROWS)
        of_xml = [
            [word.replace("FILE", f"{folder}/broken/with-{name}.arff") for word in command]
            for command in of_data
        ]
        add(f"with-{name}.xml", content, of_xml)
    for name, content in thresholds():
        add(f"thresholds-{name}.json", content, of_thresholds)
    for name, content in calibrators():
        add(f"calibrator-{name}.json", content, of_calibrators)
    for name, file, content in folders(Path(good["DATA"])):
        out = folder / "broken" / f"run-{name}"
        finished(Path(good["DATA"]), out)
        add(
            f"run-{name}/{file}",
            content,
            [["compare", "DATA", "--losses", LOSS, "--out", str(out)]],
        )
    out = folder / "broken" / "shown"
    for number, content in enumerate(
        (b"\xff\xfe", "[1", "[]", '{"report": 3}', '{"report": [[1]]}')
    ):
        add(f"shown-{number}/report.md", "a report", [])
        add(f"shown-{number}/results.json", content, [["show", f"{out}-{number}"]])
    return found


def _good(folder):
    generator = np.random.default_rng(0)
    labels = generator.random((ROWS, 3)) < 0.4
    labels[:2] = [[True] * 3, [False] * 3]
    logits = generator.normal(size=labels.shape) + labels
    named = {"label_names": np.array(NAMES)}
    paths = {
        name: str(folder / file)
        for name, file in (
            ("SCORES", "scores.npz"),
            ("LABELS", "labels.npz"),
            ("CALIBRATOR", "calibrator.json"),
            ("DATA", "data.npz"),
        )
    }
    np.savez(paths["SCORES"], scores=logits, inputs=np.array("logits"), **named)
    np.savez(paths["LABELS"], labels=labels, **named)
    np.savez(paths["DATA"], X_train=logits, Y_train=labels, **named)
    Path(paths["CALIBRATOR"]).write_text(json.dumps(calibrator()))
    return paths


def _states(folder, arguments):
    """Returns the sizes of the files where a command may write: in its folder and in `--out`."""
    found = [*folder.iterdir(), *Path(arguments[-1]).glob("**/*")]
    return {str(path): path.stat().st_size for path in found if path.is_file()}


def main():
    """Runs all trials in a folder, and prints their outcomes as JSON."""
    folder = Path(sys.argv[1])
    os.chdir(folder)
    from mllosses_jax.cli.main import main as mllosses
    from mllosses_jax.compare.experiments import EXPERIMENTS

    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(4300)
    everything = trials(folder)

    def run(*arguments, **options):
        raise AssertionError("training began")

    EXPERIMENTS["linear"] = dataclasses.replace(EXPERIMENTS["linear"], run=run)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    results = []
    for trial in everything:
        before = _states(folder, trial.arguments)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = mllosses(trial.arguments)
            except BaseException:
                status, wrong = 1, traceback.format_exc()
                err.write(wrong)
        after = _states(folder, trial.arguments)
        results.append(
            {
                "file": str(trial.file.relative_to(folder)),
                "arguments": trial.arguments,
                "status": status,
                "out": out.getvalue()[-300:],
                "err": err.getvalue()[-3000:],
                "written": sorted(set(after.items()) - set(before.items())),
            }
        )
        for path in set(after) - set(before):
            Path(path).unlink()
    json.dump({"peak": _peak(), "results": results}, sys.stdout)


def _peak():
    """Returns the most bytes this program held; `getrusage` starts from those of its parent."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
