"""`mllosses compare`: trains a model under each loss and shows how they compare."""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mllosses_jax.cli.argument_types import positive
from mllosses_jax.cli.config_file import text_of
from mllosses_jax.cli.console import paragraph, say, width
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.shared_arguments import add_data

if TYPE_CHECKING:
    from mllosses_jax.compare import Comparison

DEFAULT_FOLDER = Path("mllosses-out")
QUICK_ROWS = 2000
FILES = "report.md, results.json, results.csv, per_label.csv, predictions.npz, predictor.npz"


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "compare",
        help="train a model under each loss and compare them on test data",
        description="Train a model under each loss and compare them on test data. Regularisation "
        "and thresholds are chosen on validation data. If the data set has no test part, a fifth "
        "of its rows is drawn as one, with seed 0. Losses can be added to a finished folder.",
    )
    add_data(parser, default="mosaics")
    parser.add_argument(
        "--groups",
        metavar="COLUMN",
        help="the column of a table with the group of each row, such as a patient's number: rows "
        "of a group are never split between training, validation and test; it is no feature",
    )
    parser.add_argument(
        "--losses",
        metavar="A,B,...",
        help="names separated by commas, with parameters if need be, as in "
        "'zlpr_loss,asymmetric_loss(gamma_neg=2)'; sums, as in 'zlpr_loss+0.5*dice_loss'; your own "
        "functions, as package.module:function; or `all` (`mllosses list` shows them); default: "
        "nine losses of different kinds",
    )
    parser.add_argument(
        "--metrics",
        metavar="A,B,...",
        help="further metrics, separated by commas: functions of mllosses_jax.metrics with their "
        "parameters, as in 'precision_at_k(k=3),f1(average=\"samples\")', or your own, as "
        "package.module:function",
    )
    parser.add_argument(
        "--grid",
        action="store_true",
        help="choose parameters of losses that are named without any among the values that "
        "`mllosses describe` shows; your own stand between bars, as in 'hinge_loss(margin=0.5|1)'",
    )
    parser.add_argument(
        "--model",
        default="linear",
        metavar="linear | mlp | MODULE:NAME",
        help="default: linear. MODULE:NAME is your own, in a module that is installed or lies in "
        "the current folder: a function (num_features, num_outputs, rngs) that makes a Flax module",
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        metavar="N",
        help="random seeds per loss, where the fit depends on a seed; default: 5",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the report, metrics, models, scores, thresholds and calibrators; default: "
        "a new folder in mllosses-out, or the one there that holds an unfinished run of the same "
        "data and model",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite the contents of DIR instead of resuming"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a first look: the losses that `mllosses check` names, 2 seeds, and at most "
        f"{QUICK_ROWS} rows for training and as many for testing",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a .toml file with these options by their names, such as `seeds = 3`, and `data`; "
        "options on the command line take precedence",
    )
    again.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with the run in DIR, with its data and options (DIR/run.toml)",
    )
    parser.add_argument(
        "--ignore",
        default="",
        metavar="CODE,...",
        help="checks whose findings are left out, such as MLC007,MLC010",
    )
    parser.add_argument(
        "--distributed",
        action="store_true",
        help="share the losses with other processes that give the same command, as "
        "jax.distributed finds them on a cluster, or in JAX_COORDINATOR_ADDRESS, "
        "JAX_NUM_PROCESSES and JAX_PROCESS_ID",
    )
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> None:
    """Runs the command; the table goes to stdout, progress to stderr."""
    from mllosses_jax.compare import report
    from mllosses_jax.compare.folder import DECISIONS, PAGE

    try:
        import rich  # noqa: F401
    except ImportError:
        raise UsageError(
            "compare needs rich to show progress; install it: pip install 'mllosses-jax[cli]'"
        ) from None
    if options.force and options.out is None:
        raise UsageError("--force needs --out: without it, a new folder is used")
    if options.distributed and not _joins_others(options.out):
        _compared(options)
        return
    comparison, folder = _compared(options)
    say(report.text(comparison, width=width()))
    say(f"\nThe report with its figures: {folder / PAGE}")
    decisions = [name for name in DECISIONS if (folder / name).exists()]
    files = ", ".join([FILES, *decisions])
    say("\n".join(paragraph(f"Written to {folder}: {files}, losses/LOSS/*, references/*.")))


def _joins_others(folder: Path | None) -> bool:
    """Joins the other processes, and returns whether this is the first, which prints the report."""
    import jax

    if folder is None:
        raise UsageError("--distributed needs --out, a folder that all processes can write to")
    names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
    try:
        given: dict[str, Any] = {
            key: int(os.environ[name]) for key, name in names.items() if name in os.environ
        }
        jax.distributed.initialize(**given)
    except (ValueError, RuntimeError) as error:
        raise UsageError(
            f"the processes cannot be joined (--distributed): {error} Outside of a cluster, set "
            "JAX_COORDINATOR_ADDRESS to HOST:PORT of the first process, JAX_NUM_PROCESSES, and "
            "JAX_PROCESS_ID from 0"
        ) from None
    return bool(jax.process_index() == 0)


def _compared(options: argparse.Namespace) -> tuple[Comparison, Path]:
    """Returns the comparison and its folder.

    Without `--out` this is the first folder in `mllosses-out` that is free or holds an unfinished
    run of this data and model. Losses are added to a finished run only if `--out` names it.
    """
    from mllosses_jax.cli.console import progress
    from mllosses_jax.compare import compare
    from mllosses_jax.compare.advice import advise
    from mllosses_jax.compare.checks import known_codes
    from mllosses_jax.compare.choosing import choose
    from mllosses_jax.compare.folder import REPORT, Occupied
    from mllosses_jax.compare.loading import load_data, thinned
    from mllosses_jax.compare.own_metric import choose_metrics
    from mllosses_jax.compare.own_model import resolve

    # A misspelt name is reported before a large file is read.
    losses, model = choose(options.losses, grid=options.grid), resolve(options.model)
    metrics, ignored = choose_metrics(options.metrics), known_codes(options.ignore)
    dataset = load_data(
        options.data, labels=options.labels, drop=options.drop, groups=options.groups
    )
    if options.quick:
        dataset = thinned(dataset, QUICK_ROWS)
        if options.losses is None:
            losses = choose([each.loss for each in advise(dataset)], grid=options.grid)
    name = f"{dataset.name}-{options.model.replace(':', '.')}"
    with progress() as on_progress:
        for number in itertools.count(1):
            folder = options.out or DEFAULT_FOLDER / (name if number == 1 else f"{name}-{number}")
            if options.out is None and (folder / REPORT).exists():
                continue
            try:
                comparison = compare(
                    dataset,
                    losses=losses,
                    metrics=metrics,
                    model=model,
                    num_seeds=options.seeds or (2 if options.quick else 5),
                    out=folder,
                    run_file=text_of(options, options.parser),
                    force=options.force,
                    ignore=ignored,
                    on_progress=on_progress,
                )
            except Occupied:
                if options.out is not None:
                    raise
            else:
                return comparison, folder
    raise AssertionError("there is always a next number")
