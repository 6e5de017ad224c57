"""What `mllosses list`, `describe` and `check` print."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from mllosses_jax.catalogue import CATALOGUE, UNREDUCED_SHAPE, find
from mllosses_jax.compare.card import FEW_POSITIVES, data_card
from mllosses_jax.compare.errors import UsageError
from mllosses_jax.data import Dataset, load

WIDTH = 88
NUM_RARE = 8


def listing() -> str:
    """Returns the losses by family, one line each."""
    longest = max(len(entry.name) for entry in CATALOGUE)
    lines = []
    for family, entries in groupby(CATALOGUE, key=lambda entry: entry.family):
        lines += ["", family]
        lines += [f"  {entry.name:<{longest}}  {entry.summary}" for entry in entries]
    return "\n".join(lines[1:])


def description(name: str) -> str:
    """Returns what there is to know of a loss, as text.

    Raises:
        UsageError: there is no such loss.
    """
    try:
        entry = find(name)
    except KeyError as error:
        raise UsageError(f"{error.args[0]} (`mllosses list` shows all)") from None
    lines = [entry.name, f"  {entry.summary}", "", "Formula"]
    lines += textwrap.indent(entry.formula, "  ").splitlines()
    described = entry.parameters
    if entry.own_parameters:
        lines += ["", "Parameters"]
    for parameter, default in entry.own_parameters.items():
        required = parameter in entry.required
        lines.append(f"  {parameter}" + ("" if required else f" = {default!r}"))
        lines += textwrap.wrap(
            described[parameter], WIDTH - 4, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    lines += ["", f"Unreduced shape: {UNREDUCED_SHAPE[entry.kind]}", "", "Reference"]
    lines += textwrap.wrap(entry.reference, WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
    lines += ["", f"help(mllosses_jax.{entry.name}) has the rest."]
    return "\n".join(lines)


def checkup(data: str, labels: int | Sequence[str] | None) -> str:
    """Returns the data card of a file and what to know before training on it."""
    dataset = load(data, labels=labels)
    card = data_card(dataset)
    longest = max(map(len, card))
    lines = [
        f"{name.replace('_', ' '):<{longest}}  {_shown(value)}" for name, value in card.items()
    ]
    remarks = list(_remarks(dataset))
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _remarks(dataset: Dataset) -> list[str]:
    remarks = []
    if dataset.y_test is None:
        remarks.append("No test part: `mllosses compare` cuts a fifth of the rows as one.")
    else:
        absent = int((dataset.y_test.sum(0) == 0).sum())
        if absent:
            remarks.append(f"Labels without a test positive, left out of mAP: {absent}.")
    positives = dataset.y_train.sum(0)
    rare = np.argsort(positives, kind="stable")
    rare = rare[positives[rare] < FEW_POSITIVES]
    if rare.size:
        named = ", ".join(f"{dataset.label_names[j]} ({positives[j]})" for j in rare[:NUM_RARE])
        more = f" and {rare.size - NUM_RARE} more" if rare.size > NUM_RARE else ""
        remarks.append(f"Rarest labels: {named}{more}.")
    return [textwrap.fill(remark, WIDTH) for remark in remarks]
