"""`mllosses calibrate`: calibrates scores and judges the result on held-out rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from mllosses_jax._core.files import replacing, write_npz
from mllosses_jax.cli.argument_types import from_zero
from mllosses_jax.cli.console import say
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.output_files import check_file
from mllosses_jax.cli.shared_arguments import (
    add_command,
    add_folds,
    add_force,
    add_scope,
    add_score_files,
)


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(
        commands, "calibrate", "calibrate scores and judge the result on held-out rows"
    )
    add_score_files(parser, note=". With --apply, labels are used only to judge the result")
    parser.add_argument(
        "--method",
        choices=("platt", "temperature", "bias", "beta", "isotonic"),
        default="platt",
        help="the kind of map from scores to probabilities; default: platt",
    )
    add_scope(parser)
    parser.add_argument(
        "--shrinkage",
        type=from_zero,
        default=2.0,
        metavar="S",
        help="pull each label's map towards the common one, as strongly as S observations would; "
        "default: 2",
    )
    add_folds(parser)
    parser.add_argument(
        "--apply",
        type=Path,
        metavar="FILE.json",
        help="apply this calibrator to SCORES and write the probabilities, instead of fitting one",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="default: calibrator.json, or probabilities.npz with --apply (an .npy "
        "file cannot keep label names)",
    )
    add_force(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    from mllosses_jax import calibration
    from mllosses_jax.cli import score_calibration as work
    from mllosses_jax.cli.score_report import calibration_text, clipping_note
    from mllosses_jax.data.scores import read_scores, read_scores_and_labels

    out = options.out or Path("probabilities.npz" if options.apply else "calibrator.json")
    if options.apply and out.suffix not in {".npy", ".npz"}:
        raise UsageError(f"probabilities are written as .npy or .npz; --out is {out}")
    check_file(out, force=options.force)
    if options.labels is None:
        table = read_scores(options.scores, inputs=options.inputs)
    else:
        table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    labeled = bool(table.known().any())
    if not labeled and options.apply is None:
        raise UsageError(
            "calibrate needs labels to fit to: give LABELS, or an .npz that holds scores and "
            "labels; or use --apply FILE.json"
        )
    lines = []
    if options.apply:
        probabilities = work.apply(table, options.apply)
        if out.suffix == ".npz":
            names = np.array(table.label_names)
            arrays = {"scores": probabilities, "label_names": names, "inputs": "probabilities"}
            write_npz(out, arrays)
        else:
            with replacing(out) as file:
                np.save(file, probabilities)
            lines.append("Columns are in the order of SCORES; --out FILE.npz keeps their names.")
        if labeled:
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
    say("\n\n".join(line for line in lines if line))
