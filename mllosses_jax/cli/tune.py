"""`mllosses tune`: tunes thresholds for the best F-beta and judges them on held-out rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mllosses_jax.cli.argument_types import from_zero, positive
from mllosses_jax.cli.console import say
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
        commands, "tune", "tune thresholds for the best F-beta and judge them on held-out rows"
    )
    add_score_files(parser)
    parser.add_argument(
        "--objective", choices=("f1", "fbeta"), default="f1", help="what to maximise; default: f1"
    )
    parser.add_argument(
        "--beta", type=from_zero, default=1.0, help="the beta of --objective fbeta; default: 1"
    )
    add_scope(parser)
    parser.add_argument(
        "--min-positives",
        type=positive,
        metavar="N",
        help="labels with fewer positives take the global threshold; default: 5; with --shrinkage "
        "no label is exempt",
    )
    parser.add_argument(
        "--shrinkage",
        type=from_zero,
        default=0.0,
        metavar="M",
        help="pull each label's threshold towards the common one, as strongly as M positives "
        "would; default: 0, not at all",
    )
    add_folds(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        default=Path("thresholds.json"),
        help="file for the thresholds; default: thresholds.json",
    )
    add_force(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    from mllosses_jax.cli.score_report import tuning_text
    from mllosses_jax.cli.score_thresholds import tune
    from mllosses_jax.data.scores import read_scores_and_labels

    check_file(options.out, force=options.force)
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
    say(tuning_text(report))
    say(f"\nWritten to {options.out}.")
