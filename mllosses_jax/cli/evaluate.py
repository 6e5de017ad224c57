"""`mllosses evaluate`: computes the metrics of given scores."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mllosses_jax._core.files import write_csv, write_json
from mllosses_jax.cli.argument_types import finite
from mllosses_jax.cli.console import say
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.output_files import check_free, check_writable
from mllosses_jax.cli.shared_arguments import add_command, add_force, add_score_files

if TYPE_CHECKING:
    from mllosses_jax.cli.score_metrics import Evaluation

_METRICS, _PER_LABEL = "metrics.json", "per_label.csv"


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "evaluate", "compute the metrics of scores that you have")
    add_score_files(parser)
    at = parser.add_mutually_exclusive_group()
    at.add_argument(
        "--threshold",
        type=finite,
        metavar="T",
        help="predict labels whose score is at least T; default: 0.5 for probabilities, 0 for "
        "logits",
    )
    at.add_argument(
        "--thresholds",
        type=Path,
        metavar="FILE.json",
        help="a file that `mllosses tune` or `mllosses compare` has written",
    )
    parser.add_argument("--per-label", action="store_true", help="also print a table of the labels")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for metrics.json and per_label.csv"
    )
    add_force(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    from mllosses_jax.cli.score_metrics import evaluate, in_order
    from mllosses_jax.cli.score_report import evaluation_text
    from mllosses_jax.cli.score_thresholds import BASELINE
    from mllosses_jax.data.scores import read_scores_and_labels
    from mllosses_jax.decisions import ThresholdReport

    if options.out is not None:
        for name in (_METRICS, _PER_LABEL):
            check_free(options.out / name, force=options.force)
    elif options.force:
        raise UsageError("--force overwrites files in --out; give --out too")
    table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    if options.thresholds is not None:
        at = options.thresholds.name
        try:
            report = ThresholdReport.load(options.thresholds)
        except ValueError as error:
            raise UsageError(f"{error}; give a file of `mllosses tune`") from None
        try:
            thresholds: Any = in_order(report, table)
        except UsageError as error:
            raise UsageError(f"{options.thresholds}: {error}") from None
    else:
        given = options.threshold
        thresholds = BASELINE[table.inputs] if given is None else given
        at = f"threshold {thresholds:g}"
    if options.out is not None:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write to {options.out} ({error.strerror}); choose another --out"
            ) from None
        check_writable(options.out)
    found = evaluate(table, thresholds)
    lines = [evaluation_text(found, table, at, per_label=options.per_label)]
    if options.out is not None:
        config = {
            "scores": str(options.scores),
            "labels": str(options.labels or options.scores),
            "inputs": table.inputs,
            "thresholds": str(options.thresholds) if options.thresholds else thresholds,
        }
        _write_evaluation(options.out, config, found)
        lines.append(f"Written to {options.out}: {_METRICS} and {_PER_LABEL}.")
    say("\n\n".join(lines))


def _write_evaluation(out: Path, config: dict[str, Any], found: Evaluation) -> None:
    content = {
        "config": config,
        "data": found.counts,
        "metrics": found.metrics,
        "decisions": found.decisions,
        "per_label": found.per_label,
    }
    write_json(out / _METRICS, content)
    rows = [{"label": name, **row} for name, row in found.per_label.items()]
    write_csv(out / _PER_LABEL, rows)
