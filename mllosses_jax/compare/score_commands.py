"""The commands on files of scores: `mllosses evaluate | tune | calibrate`."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mllosses_jax.compare.errors import UsageError

if TYPE_CHECKING:
    from mllosses_jax.compare.evaluate import Evaluation

_METRICS, _PER_LABEL = "metrics.json", "per_label.csv"


def _check_free(path: Path, *, force: bool) -> None:
    """Raises if a file would be overwritten unasked."""
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another --out, or --force to overwrite it")


def _check_file(path: Path, *, force: bool) -> None:
    """Raises, before the work is done, if a file must not or cannot be written."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give --out a file")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: no such folder; make it, or choose another --out")
    _check_writable(path.parent)
    _check_free(path, force=force)


def _check_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write to {folder} (Permission denied); choose another --out")


def run_evaluate(options: argparse.Namespace) -> None:
    """Runs `mllosses evaluate`."""
    from mllosses_jax.compare.evaluate import evaluate
    from mllosses_jax.compare.score_files import BASELINE, read_scores_and_labels
    from mllosses_jax.compare.score_report import evaluation_text
    from mllosses_jax.decisions import ThresholdReport

    if options.out is not None:
        for name in (_METRICS, _PER_LABEL):
            _check_free(options.out / name, force=options.force)
    elif options.force:
        raise UsageError("--force overwrites what is in --out; give that too")
    table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    if options.thresholds is not None:
        at = options.thresholds.name
        try:
            thresholds: Any = ThresholdReport.load(options.thresholds)
        except ValueError as error:
            raise UsageError(f"{error}; give a file of `mllosses tune`") from None
    else:
        given = options.threshold
        thresholds = BASELINE[options.inputs] if given is None else given
        at = f"threshold {thresholds:g}"
    if options.out is not None:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write to {options.out} ({error.strerror}); choose another --out"
            ) from None
        _check_writable(options.out)
    found = evaluate(table, thresholds)
    lines = [evaluation_text(found, table, at, per_label=options.per_label)]
    if options.out is not None:
        config = {
            "scores": str(options.scores),
            "labels": str(options.labels),
            "inputs": options.inputs,
            "thresholds": str(options.thresholds) if options.thresholds else thresholds,
        }
        _write_evaluation(options.out, config, found)
        lines.append(f"Written to {options.out}: {_METRICS} and {_PER_LABEL}.")
    print("\n\n".join(lines))


def _write_evaluation(out: Path, config: dict[str, Any], found: Evaluation) -> None:
    content = {
        "config": config,
        "data": found.counts,
        "metrics": found.metrics,
        "decisions": found.decisions,
        "per_label": found.per_label,
    }
    text = json.dumps(_encoded(content), indent=1, allow_nan=False)
    (out / _METRICS).write_text(text + "\n", encoding="utf-8")
    rows = [{"label": name, **row} for name, row in found.per_label.items()]
    with (out / _PER_LABEL).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run_tune(options: argparse.Namespace) -> None:
    """Runs `mllosses tune`."""
    from mllosses_jax.compare.score_files import read_scores_and_labels
    from mllosses_jax.compare.score_report import tuning_text
    from mllosses_jax.compare.tune import tune

    _check_file(options.out, force=options.force)
    report = tune(
        read_scores_and_labels(options.scores, options.labels, inputs=options.inputs),
        objective=options.objective,
        beta=options.beta,
        scope=options.scope,
        min_positives=options.min_positives,
        shrinkage=options.shrinkage,
        folds=options.folds,
        seed=options.seed,
    )
    report.save(options.out, force=options.force)
    print(tuning_text(report))
    print(f"\nWritten to {options.out}.")


def run_calibrate(options: argparse.Namespace) -> None:
    """Runs `mllosses calibrate`."""
    from mllosses_jax import calibration
    from mllosses_jax.compare import calibrate as work
    from mllosses_jax.compare.score_files import read_scores, read_scores_and_labels
    from mllosses_jax.compare.score_report import calibration_text, clipping_note

    if options.labels is None and options.apply is None:
        raise UsageError("calibrate needs LABELS to fit to, or --apply FILE.json")
    out = options.out or Path("probabilities.npy" if options.apply else "calibrator.json")
    if options.apply and out.suffix not in {".npy", ".npz"}:
        raise UsageError(f"probabilities are written as .npy or .npz; --out is {out}")
    _check_file(out, force=options.force)
    if options.labels is None:
        table = read_scores(options.scores, inputs=options.inputs)
    else:
        table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    lines = []
    if options.apply:
        probabilities = work.apply(table, options.apply)
        if out.suffix == ".npz":
            np.savez(out, scores=probabilities, label_names=np.array(table.label_names))
        else:
            np.save(out, probabilities)
            lines.append("Columns are in the order of SCORES; --out FILE.npz keeps their names.")
        if options.labels is not None:
            before = work.judged(table, table.scores, table.inputs)
            after = work.judged(table, probabilities, "probabilities")
            lines.append(calibration_text(before, after, "these rows"))
    else:
        found = work.calibrate(
            table,
            method=options.method,
            scope=options.scope,
            shrinkage=options.shrinkage,
            folds=options.folds,
            seed=options.seed,
        )
        calibration.save(found.calibrator, out, table.label_names, force=options.force)
        lines.append(
            calibration_text(found.before, found.after, f"held out, {options.folds} folds")
        )
    lines = [clipping_note(table), *lines, f"Written to {out}."]
    print("\n\n".join(line for line in lines if line))


def _encoded(value: Any) -> Any:
    """Returns the value with NaN, that is undefined, as None, and infinity as a string."""
    if isinstance(value, dict):
        return {name: _encoded(entry) for name, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
