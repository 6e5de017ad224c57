"""The commands on files of scores: `mllosses evaluate | tune | calibrate`."""

import argparse
import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mllosses_jax.compare.errors import UsageError

_SCORES = (
    ".npy or .npz of an array (samples, labels), or .csv with a line of label names above a row "
    "per sample"
)
_LABELS = "the same of 0 and 1; unknown is an empty cell, NaN, or where=0 in an .npz"


def add_score_commands(commands: Any) -> None:
    """Adds the parsers of the three commands."""
    evaluate = commands.add_parser("evaluate", help="all metrics of scores that you have")
    _add_files(evaluate)
    at = evaluate.add_mutually_exclusive_group()
    at.add_argument(
        "--threshold",
        type=_finite,
        metavar="T",
        help="labels with this score are predicted; default: 0.5 for probabilities, 0 for logits",
    )
    at.add_argument(
        "--thresholds", type=Path, metavar="FILE.json", help="what `mllosses tune` has written"
    )
    evaluate.add_argument("--per-label", action="store_true", help="also a table of the labels")
    evaluate.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for metrics.json and per_label.csv"
    )
    _add_force(evaluate)
    evaluate.set_defaults(run=_evaluate)

    tune = commands.add_parser("tune", help="thresholds for the best F-beta, judged held out")
    _add_files(tune)
    tune.add_argument("--objective", choices=("f1", "fbeta"), default="f1")
    tune.add_argument("--beta", type=_from_zero, default=1.0, help="of --objective fbeta")
    _add_scope(tune)
    tune.add_argument(
        "--min-positives",
        type=_from_one,
        metavar="N",
        help="labels with fewer take the global threshold; default: 5, or 1 with --shrinkage",
    )
    tune.add_argument(
        "--shrinkage",
        type=_from_zero,
        default=0.0,
        metavar="M",
        help="how many positives the data of all labels count for in each label; default: 0",
    )
    _add_folds(tune)
    tune.add_argument("--out", type=Path, metavar="FILE", default=Path("thresholds.json"))
    _add_force(tune)
    tune.set_defaults(run=_tune)

    calibrate = commands.add_parser(
        "calibrate", help="probabilities that are true frequencies, judged held out"
    )
    _add_files(calibrate, labels_needed=False)
    calibrate.add_argument(
        "--method",
        choices=("platt", "temperature", "bias", "beta", "isotonic"),
        default="platt",
    )
    _add_scope(calibrate)
    calibrate.add_argument(
        "--shrinkage",
        type=_from_zero,
        default=2.0,
        metavar="S",
        help="how many observations the common map counts for in each label; default: 2",
    )
    _add_folds(calibrate)
    calibrate.add_argument(
        "--apply",
        type=Path,
        metavar="FILE.json",
        help="do not fit: write the probabilities that this calibrator makes of SCORES",
    )
    calibrate.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default: calibrator.json, or probabilities.npy with --apply",
    )
    _add_force(calibrate)
    calibrate.set_defaults(run=_calibrate)


def _add_files(parser: argparse.ArgumentParser, *, labels_needed: bool = True) -> None:
    parser.add_argument("scores", type=Path, metavar="SCORES", help=_SCORES)
    parser.add_argument(
        "labels",
        type=Path,
        metavar="LABELS",
        nargs=None if labels_needed else "?",
        help=_LABELS + ("" if labels_needed else "; with --apply only to judge the result"),
    )
    parser.add_argument(
        "--inputs",
        choices=("logits", "probabilities"),
        required=True,
        help="what the scores are; it is never guessed",
    )


def _add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", choices=("label", "global"), default="label", help="one per label, or one"
    )


def _add_folds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="default: 0")


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite what is there")


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}")
    return number


def _from_zero(text: str) -> float:
    number = _finite(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {text!r}")
    return number


def _from_one(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"must be a whole number above zero, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0, got {text!r}")
    return int(text)


def _check_free(path: Path, *, force: bool) -> None:
    """Raises if a file would be overwritten unasked, or cannot be written: before the work."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give --out a file")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; choose another --out, or --force to overwrite it")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: no such folder; make it, or choose another --out")


def _evaluate(options: argparse.Namespace) -> None:
    from mllosses_jax.compare.evaluate import evaluate
    from mllosses_jax.compare.score_files import BASELINE, read_scores_and_labels
    from mllosses_jax.compare.score_report import evaluation_text
    from mllosses_jax.decisions import ThresholdReport

    if options.out is None:
        if options.force:
            raise UsageError("--force overwrites what is in --out; give that too")
    else:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write to {options.out} ({error.strerror}); choose another --out"
            ) from None
        for name in ("metrics.json", "per_label.csv"):
            _check_free(options.out / name, force=options.force)
    table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    if options.thresholds is not None:
        at = f"{options.thresholds.name}"
        try:
            thresholds: Any = ThresholdReport.load(options.thresholds)
        except ValueError as error:
            raise UsageError(f"{error}; give a file of `mllosses tune`") from None
    else:
        given = options.threshold
        thresholds = BASELINE[options.inputs] if given is None else given
        at = f"threshold {thresholds:g}"
    found = evaluate(table, thresholds)
    print(evaluation_text(found, table, at, per_label=options.per_label))
    if options.out is None:
        return
    content = {
        "config": {
            "scores": str(options.scores),
            "labels": str(options.labels),
            "inputs": options.inputs,
            "thresholds": str(options.thresholds) if options.thresholds else thresholds,
        },
        "data": found.counts,
        "metrics": found.metrics,
        "decisions": found.decisions,
        "per_label": found.per_label,
    }
    _write(options.out / "metrics.json", json.dumps(_encoded(content), indent=1) + "\n")
    with (options.out / "per_label.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [{"label": name, **row} for name, row in found.per_label.items()]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    print(f"\nWritten to {options.out}: metrics.json and per_label.csv.")


def _tune(options: argparse.Namespace) -> None:
    from mllosses_jax.compare.score_files import read_scores_and_labels
    from mllosses_jax.compare.score_report import tuning_text
    from mllosses_jax.compare.tune import tune

    _check_free(options.out, force=options.force)
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


def _calibrate(options: argparse.Namespace) -> None:
    from mllosses_jax import calibration
    from mllosses_jax.compare import calibrate as work
    from mllosses_jax.compare.score_files import read_scores, read_scores_and_labels
    from mllosses_jax.compare.score_report import calibration_text, clipping_note

    if options.labels is None and options.apply is None:
        raise UsageError("calibrate needs LABELS to fit to, or --apply FILE.json")
    out = options.out or Path("probabilities.npy" if options.apply else "calibrator.json")
    if options.apply and out.suffix != ".npy":
        raise UsageError(f"probabilities are written as .npy; give --out such a name, not {out}")
    _check_free(out, force=options.force)
    if options.labels is None:
        table = read_scores(options.scores, inputs=options.inputs)
    else:
        table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    lines = []
    if options.apply:
        probabilities = work.apply(table, options.apply)
        np.save(out, probabilities)
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
        calibration.save(found.calibrator, out, table.label_names)
        lines.append(
            calibration_text(found.before, found.after, f"held out, {options.folds} folds")
        )
    lines += [clipping_note(table), f"Written to {out}."]
    print("\n\n".join(line for line in lines if line))


def _encoded(value: Any) -> Any:
    """Returns the value with NaN, that is undefined, as None, and infinity as a string."""
    if isinstance(value, dict):
        return {name: _encoded(entry) for name, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")  # so that none is ever half-written
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
