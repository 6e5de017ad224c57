"""`mllosses list`: lists all losses by family."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.cli.shared_arguments import add_command


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "list", "list all losses by family")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command, which has no options."""
    del options
    print(listing())


def listing() -> str:
    """Returns the losses by family, one line each."""
    longest = max(len(entry.name) for entry in CATALOGUE)
    lines = []
    for family, entries in groupby(CATALOGUE, key=lambda entry: entry.family):
        lines += ["", family]
        lines += [f"  {entry.name:<{longest}}  {entry.summary}" for entry in entries]
    return "\n".join(lines[1:])
