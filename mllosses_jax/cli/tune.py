"""`mllosses tune`: thresholds for the best F-beta, or with a promise, judged on held-out rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mllosses_jax.cli.argument_types import from_zero, guarantee, positive, share
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
    parser.set_defaults(scope=None)  # the default depends on --guarantee
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
    parser.add_argument(
        "--guarantee",
        type=guarantee,
        metavar="recall=LEVEL | precision=LEVEL",
        help="in place of the best F-beta, promise a level of recall or precision for new rows, by "
        "one threshold for all labels; with --scope label, promise the recall of each label",
    )
    parser.add_argument(
        "--confidence",
        type=share,
        metavar="C",
        help="the probability with which --guarantee promises the level; default: recall is "
        "promised on average, precision with a confidence of 0.9",
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
    check_file(options.out, force=options.force)
    if options.guarantee is not None:
        _promise(options)
        return
    if options.confidence is not None:
        raise UsageError("--confidence belongs to --guarantee; give both, or leave it out")

    from mllosses_jax.cli.score_report import tuning_text
    from mllosses_jax.cli.score_thresholds import tune
    from mllosses_jax.data.scores import read_scores_and_labels

    report = tune(
        read_scores_and_labels(options.scores, options.labels, inputs=options.inputs),
        objective=options.objective,
        beta=options.beta,
        scope=options.scope or "label",
        min_positives=options.min_positives,
        shrinkage=options.shrinkage,
        folds=options.folds,
        seed=options.seed,
    )
    report.save(options.out, force=options.force)
    say(tuning_text(report))
    say(f"\nWritten to {options.out}.")


def _promise(options: argparse.Namespace) -> None:
    """Finds thresholds with a promise."""
    of_f_beta = {
        "--objective": options.objective != "f1",
        "--beta": options.beta != 1,
        "--min-positives": options.min_positives is not None,
        "--shrinkage": options.shrinkage != 0,
    }
    given = [option for option, is_given in of_f_beta.items() if is_given]
    if given:
        raise UsageError(f"{given[0]} is for the best F-beta; leave it out with --guarantee")
    of, level = options.guarantee
    if of == "precision" and options.scope == "label":
        raise UsageError(
            "precision is promised by one threshold for all labels; leave out --scope label"
        )

    from mllosses_jax.cli.score_guarantees import (
        PRECISION_CONFIDENCE,
        Guarantee,
        guarantee_text,
        guaranteed,
    )
    from mllosses_jax.data.scores import read_scores_and_labels

    confidence = options.confidence
    if confidence is None and of == "precision":
        confidence = PRECISION_CONFIDENCE
    promise = Guarantee(of, level, confidence, options.scope or "global")
    table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    report, held_out = guaranteed(table, promise, folds=options.folds, seed=options.seed)
    report.save(options.out, force=options.force)
    say(guarantee_text(report, held_out, promise))
    say(f"\nWritten to {options.out}.")
