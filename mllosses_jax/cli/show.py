"""`mllosses show`: prints a finished comparison again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mllosses_jax.cli.console import say, width
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.shared_arguments import add_command


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "show", "print a finished comparison again")
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the folder that `mllosses compare` wrote"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    from mllosses_jax.compare.folder import REPORT, RESULTS
    from mllosses_jax.compare.report import laid_out

    file = options.folder / RESULTS
    if file.is_file() and (options.folder / REPORT).is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            text = laid_out(found["report"], width())
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{file} is damaged; run `mllosses compare` again") from None
        say(text)
    elif file.is_file():
        raise UsageError(
            f"{options.folder} holds no finished comparison; run `mllosses compare` with the same "
            "arguments and --out to resume one that was interrupted"
        )
    else:
        raise UsageError(f"{options.folder} holds no comparison; give the --out folder of one")
