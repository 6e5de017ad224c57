"""The arguments of the commands on files of scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mllosses_jax.compare.argument_types import finite, from_zero, positive, seed
from mllosses_jax.compare.score_commands import run_calibrate, run_evaluate, run_tune

_SCORES = (
    ".npy or .npz of an array (samples, labels), or .csv with a line of label names above a row "
    "per sample"
)
_LABELS = "the same of 0 and 1; unknown is an empty cell, NaN, or where=0 in an .npz"


def add_score_commands(commands: Any) -> None:
    """Adds the parsers of the three commands."""
    evaluate = commands.add_parser("evaluate", help="metrics of scores that you have")
    _add_files(evaluate)
    at = evaluate.add_mutually_exclusive_group()
    at.add_argument(
        "--threshold",
        type=finite,
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
    evaluate.set_defaults(run=run_evaluate)

    tune = commands.add_parser("tune", help="thresholds for the best F-beta, judged held out")
    _add_files(tune)
    tune.add_argument("--objective", choices=("f1", "fbeta"), default="f1")
    tune.add_argument("--beta", type=from_zero, default=1.0, help="of --objective fbeta")
    _add_scope(tune)
    tune.add_argument(
        "--min-positives",
        type=positive,
        metavar="N",
        help="labels with fewer take the global threshold; default: 5, or none with --shrinkage",
    )
    tune.add_argument(
        "--shrinkage",
        type=from_zero,
        default=0.0,
        metavar="M",
        help="how many positives the data of all labels count for in each label; default: 0",
    )
    _add_folds(tune)
    tune.add_argument("--out", type=Path, metavar="FILE", default=Path("thresholds.json"))
    _add_force(tune)
    tune.set_defaults(run=run_tune)

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
        type=from_zero,
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
        help="default: calibrator.json; with --apply probabilities.npy (an .npz keeps the names)",
    )
    _add_force(calibrate)
    calibrate.set_defaults(run=run_calibrate)


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
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="default: 0")


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
