"""The command line: `mllosses compare | list | describe | check | evaluate | tune | calibrate`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mllosses_jax import __version__
from mllosses_jax.compare.argument_types import positive
from mllosses_jax.compare.errors import UsageError
from mllosses_jax.compare.score_arguments import add_score_commands

OK, USAGE, INTERRUPTED = 0, 2, 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Says in one line what is wrong; argparse prints the usage before it."""
        raise UsageError(f"{message} (`{self.prog} --help` shows what there is)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a sub-command and returns its exit status.

    Args:
        arguments: what stands after `mllosses`; None takes it from the command line.

    Returns:
        0; 2 where the user has something to mend, which one line on stderr says; 130 where the
        user interrupted.
    """
    from mllosses_jax.data import DataError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # Greek letters on a terminal that has none
            stream.reconfigure(errors="replace")
    options = argparse.Namespace()
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
        sys.stdout.flush()
    except (UsageError, DataError) as error:
        print(f"mllosses: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        resumes = getattr(options, "run", None) is _compare
        then = "; the same command goes on from what is finished" if resumes else ""
        print(f"mllosses: interrupted{then}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # such as `mllosses list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # such as a full disk
        place = f"{error.filename}: " if error.filename else ""
        print(f"mllosses: {place}{error.strerror}", file=sys.stderr)
        return USAGE
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mllosses", description="Losses for multi-label learning in JAX.")
    parser.add_argument("--version", action="version", version=f"mllosses {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    compare = commands.add_parser(
        "compare",
        help="train a model under each loss and compare them on test data",
        description="Train a model under each loss and compare them on test data. Weight decay "
        "and thresholds are chosen on validation data.",
    )
    _add_data(compare, default="mosaics")
    compare.add_argument(
        "--losses",
        metavar="A,B,...",
        help="names separated by commas, or all (`mllosses list` shows them); "
        "default: those that differ most",
    )
    compare.add_argument("--model", choices=("linear", "mlp"), default="linear")
    compare.add_argument("--seeds", type=positive, default=5, metavar="N", help="default: 5")
    compare.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for results.json, results.csv, report.txt and thresholds.json; default: a new "
        "one in mllosses-out",
    )
    compare.add_argument(
        "--force", action="store_true", help="overwrite what is in DIR instead of resuming it"
    )
    compare.set_defaults(run=_compare)

    listing = commands.add_parser("list", help="all losses, by family")
    listing.set_defaults(run=_list)

    describe = commands.add_parser("describe", help="one loss: formula, parameters, reference")
    describe.add_argument("loss", metavar="LOSS")
    describe.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="also draw loss and gradient against probability, for both label values",
    )
    describe.set_defaults(run=_describe)

    check = commands.add_parser("check", help="what a data set is like, and whether it is sound")
    _add_data(check, default=None)
    check.set_defaults(run=_check)

    add_score_commands(commands)
    return parser


def _add_data(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?" if default else None,
        default=default,
        help="an .npz, .csv, .arff or svmlight file, or mosaics, the data set that is built in"
        + (" (the default)" if default else ""),
    )
    parser.add_argument(
        "--labels",
        type=_labels,
        metavar="A,B,... | N",
        help="the label columns of a .csv or .arff file: names, or how many at the end",
    )


def _labels(text: str) -> int | list[str]:
    return int(text) if text.isdecimal() else [name.strip() for name in text.split(",")]


def _compare(options: argparse.Namespace) -> None:
    from mllosses_jax.compare.comparison import compare

    compare(
        options.data,
        labels=options.labels,
        losses=options.losses,
        model=options.model,
        num_seeds=options.seeds,
        out=options.out,
        force=options.force,
    )


def _list(options: argparse.Namespace) -> None:
    from mllosses_jax.compare.information import listing

    print(listing())


def _describe(options: argparse.Namespace) -> None:
    from mllosses_jax.compare.information import description

    print(description(options.loss))
    if options.plot is not None:
        from mllosses_jax.compare.profile import draw

        draw(options.loss, options.plot)
        print(f"\nDrawn to {options.plot}.")


def _check(options: argparse.Namespace) -> None:
    from mllosses_jax.compare.information import checkup

    print(checkup(options.data, options.labels))


if __name__ == "__main__":
    sys.exit(main())
