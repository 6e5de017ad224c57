"""`mllosses describe`: prints what there is to know about one loss, and draws its picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mllosses_jax.catalogue import UNREDUCED_SHAPE, find
from mllosses_jax.cli.console import paragraph, say
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.shared_arguments import add_command


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(
        commands, "describe", "show the formula, parameters and reference of a loss"
    )
    parser.add_argument("loss", metavar="LOSS", help="a name that `mllosses list` shows")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE.png",
        help="also draw the loss and its gradient against the probability, for a "
        "positive and for a negative label",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    say(description(options.loss))
    if options.plot is not None:
        from mllosses_jax.cli.loss_plot import draw

        draw(options.loss, options.plot)
        say(f"\nDrawn to {options.plot}.")


def description(name: str) -> str:
    """Returns what there is to know about a loss, as text.

    Raises:
        UsageError: there is no such loss.
    """
    try:
        entry = find(name)
    except KeyError as error:
        raise UsageError(f"{error.args[0]} (`mllosses list` shows all)") from None
    lines = [entry.name, *paragraph(entry.summary, "  "), "", "Formula"]
    for line in entry.formula.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        lines += paragraph(line.strip(), indent) or [""]
    described = entry.parameters
    if entry.own_parameters:
        lines += ["", "Parameters"]
    for parameter, default in entry.own_parameters.items():
        required = parameter in entry.required
        lines.append(f"  {parameter}" + ("" if required else f" = {default!r}"))
        lines += paragraph(described[parameter], " " * 6)
    if entry.grid:
        lines += ["", *paragraph(f"Values that `mllosses compare --grid` tries: {entry.grid}")]
    lines += ["", *paragraph(f"Unreduced shape: {UNREDUCED_SHAPE[entry.kind]}")]
    lines += ["", "Reference", *paragraph(entry.reference, "  ")]
    lines += ["", *paragraph(f"help(mllosses_jax.{entry.name}) has the rest.")]
    return "\n".join(lines)
