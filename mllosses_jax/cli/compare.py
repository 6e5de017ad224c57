"""`mllosses compare`: trains a model under each loss and shows how they compare."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mllosses_jax.cli.argument_types import positive
from mllosses_jax.cli.console import say
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.shared_arguments import add_data

if TYPE_CHECKING:
    from mllosses_jax.compare import Comparison

DEFAULT_FOLDER = Path("mllosses-out")
FILES = "report.md, results.json, results.csv, per_label.csv, predictions.npz"


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
        "--losses",
        metavar="A,B,...",
        help="names separated by commas, with parameters if need be, as in "
        "'zlpr_loss,asymmetric_loss(gamma_neg=2)'; or `all` (`mllosses list` shows them); default: "
        "nine losses of different kinds",
    )
    parser.add_argument(
        "--model", choices=("linear", "mlp"), default="linear", help="default: linear"
    )
    parser.add_argument(
        "--seeds",
        type=positive,
        default=5,
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
    parser.set_defaults(run=run)


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
    comparison, folder = _compared(options)
    say(report.text(comparison))
    say(f"\nThe report with its figures: {folder / PAGE}")
    decisions = [name for name in DECISIONS if (folder / name).exists()]
    say(f"Written to {folder}: {', '.join([FILES, *decisions])}, losses/LOSS/*.")


def _compared(options: argparse.Namespace) -> tuple[Comparison, Path]:
    """Returns the comparison and its folder.

    Without `--out` this is the first folder in `mllosses-out` that is free or holds an unfinished
    run of this data and model. Losses are added to a finished run only if `--out` names it.
    """
    from mllosses_jax.cli.console import progress
    from mllosses_jax.compare import compare
    from mllosses_jax.compare.choice import choose
    from mllosses_jax.compare.folder import REPORT, Occupied
    from mllosses_jax.compare.loading import load_data

    losses = choose(options.losses)  # reports a misspelt name before a large file is read
    dataset = load_data(options.data, labels=options.labels)
    name = f"{dataset.name}-{options.model}"
    with progress() as on_progress:
        for number in itertools.count(1):
            folder = options.out or DEFAULT_FOLDER / (name if number == 1 else f"{name}-{number}")
            if options.out is None and (folder / REPORT).exists():
                continue
            try:
                comparison = compare(
                    dataset,
                    losses=losses,
                    model=options.model,
                    num_seeds=options.seeds,
                    out=folder,
                    force=options.force,
                    on_progress=on_progress,
                )
            except Occupied:
                if options.out is not None:
                    raise
            else:
                return comparison, folder
    raise AssertionError("there is always a next number")
