"""`mllosses list`: lists all losses by family."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.cli.console import definitions, say
from mllosses_jax.cli.shared_arguments import add_command


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(commands, "list", "list all losses by family")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command, which has no options."""
    del options
    say(listing())


def listing() -> str:
    """Returns the losses by family, one line each."""
    lines = []
    for family, entries in groupby(CATALOGUE, key=lambda entry: entry.family):
        lines += ["", family]
        lines += definitions({entry.name: entry.summary for entry in entries}, indent="  ")
    return "\n".join(lines[1:])
