"""`mllosses evaluate`: computes the metrics of given scores."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mllosses_jax._core.files import write_csv, write_json
from mllosses_jax.cli.argument_types import finite, positive
from mllosses_jax.cli.console import say
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.output_files import check_free, check_writable
from mllosses_jax.cli.shared_arguments import add_command, add_force, add_score_files

if TYPE_CHECKING:
    from mllosses_jax.cli.score_metrics import Evaluation
    from mllosses_jax.data.scores import ScoreTable

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
        "--intervals", action="store_true", help="also print the 95 %% interval of each metric"
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="SCORES",
        help="scores of another model on the same rows, in a file of the same kind: print the "
        "difference of each metric, with its interval, and mark those that are more than chance",
    )
    parser.add_argument(
        "--resamples",
        type=positive,
        metavar="N",
        help="number of resamples of the rows, for --intervals and --baseline; default: 200",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for metrics.json and per_label.csv"
    )
    add_force(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    from mllosses_jax.cli.score_metrics import evaluate
    from mllosses_jax.cli.score_report import evaluation_text
    from mllosses_jax.data.scores import read_scores_and_labels

    _check(options)
    table = read_scores_and_labels(options.scores, options.labels, inputs=options.inputs)
    at = _decision(options, table)
    baseline = _baseline(options, table)
    if options.out is not None:
        _make(options.out)
    found = evaluate(table, at.thresholds)
    lines = [evaluation_text(found, table, at.name, per_label=options.per_label)]
    judged = _judged(options, table, at, found, baseline, lines)
    if "promise" in at.settings:
        from mllosses_jax.cli.score_guarantees import promise_text

        lines.append(promise_text(at.settings, table, at.thresholds))
    if options.out is not None:
        config = {
            "scores": str(options.scores),
            "labels": str(options.labels or options.scores),
            "inputs": table.inputs,
            "thresholds": str(options.thresholds) if options.thresholds else at.thresholds,
            "baseline": str(options.baseline) if options.baseline else None,
        }
        _write_evaluation(options.out, config, found, judged)
        lines.append(f"Written to {options.out}: {_METRICS} and {_PER_LABEL}.")
    say("\n\n".join(lines))


class _Decision(NamedTuple):
    """The thresholds of the decisions, what they are called, and the settings of their file."""

    thresholds: Any
    name: str
    settings: dict[str, Any]


def _check(options: argparse.Namespace) -> None:
    """Raises a UsageError for options that do not go together, before anything is read."""
    if options.out is not None:
        for name in (_METRICS, _PER_LABEL):
            check_free(options.out / name, force=options.force)
    elif options.force:
        raise UsageError("--force overwrites files in --out; give --out too")
    if options.resamples is not None:
        if not (options.intervals or options.baseline):
            raise UsageError("--resamples belongs to --intervals or --baseline; give one of them")
        if options.resamples < 2:
            raise UsageError(f"--resamples must be at least 2, got {options.resamples}")


def _decision(options: argparse.Namespace, table: ScoreTable) -> _Decision:
    """Returns the thresholds that the options ask for."""
    from mllosses_jax.cli.score_metrics import in_order
    from mllosses_jax.cli.score_thresholds import BASELINE
    from mllosses_jax.decisions import ThresholdReport

    if options.thresholds is None:
        given = options.threshold
        threshold = BASELINE[table.inputs] if given is None else given
        return _Decision(threshold, f"threshold {threshold:g}", {})
    try:
        report = ThresholdReport.load(options.thresholds)
    except ValueError as error:
        raise UsageError(f"{error}; give a file of `mllosses tune`") from None
    try:
        return _Decision(in_order(report, table), options.thresholds.name, report.settings)
    except UsageError as error:
        raise UsageError(f"{options.thresholds}: {error}") from None


def _baseline(options: argparse.Namespace, table: ScoreTable) -> ScoreTable | None:
    """Returns the scores to compare with, or None."""
    if options.baseline is None:
        return None
    from mllosses_jax.cli.score_intervals import read_baseline

    labels = options.labels or options.scores
    return read_baseline(options.baseline, table, labels, options.inputs)


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write to {out} ({error.strerror}); choose another --out"
        ) from None
    check_writable(out)


def _judged(
    options: argparse.Namespace,
    table: ScoreTable,
    at: _Decision,
    found: Evaluation,
    baseline: ScoreTable | None,
    lines: list[str],
) -> dict[str, Any]:
    """Returns the intervals and differences that the options ask for, and adds them to the text."""
    judged: dict[str, Any] = {}
    if not options.intervals and baseline is None:
        return judged
    from mllosses_jax.cli import score_intervals as of
    from mllosses_jax.cli.score_metrics import evaluate

    count = options.resamples or of.RESAMPLES
    if options.intervals:
        judged["intervals"] = of.intervals(table, at.thresholds, num_resamples=count)
        lines.append(of.intervals_text(judged["intervals"], at.name, num_resamples=count))
    if baseline is not None:
        judged["differences"] = of.intervals(
            table, at.thresholds, num_resamples=count, baseline=baseline.scores
        )
        pair = found, evaluate(baseline, at.thresholds)
        lines.append(of.comparison_text(pair, judged["differences"], at.name, num_resamples=count))
    return judged


def _write_evaluation(
    out: Path, config: dict[str, Any], found: Evaluation, judged: dict[str, Any]
) -> None:
    content = {
        "config": config,
        "data": found.counts,
        "metrics": found.metrics,
        "decisions": found.decisions,
        "per_label": found.per_label,
        **{
            kind: {name: dataclasses.asdict(each) for name, each in of_kind.items()}
            for kind, of_kind in judged.items()
        },
    }
    write_json(out / _METRICS, content)
    rows = [{"label": name, **row} for name, row in found.per_label.items()]
    write_csv(out / _PER_LABEL, rows)
