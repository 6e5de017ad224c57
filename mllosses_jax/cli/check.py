"""`mllosses check`: describes a data set, checks that it is sound, and says what to compare."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mllosses_jax._core.text import printable
from mllosses_jax.cli.console import definitions, paragraph, say
from mllosses_jax.cli.shared_arguments import add_command, add_data

if TYPE_CHECKING:
    from mllosses_jax.data import Dataset

NUM_RARE = 8


def add_parser(commands: Any) -> None:
    """Adds the command."""
    parser = add_command(
        commands,
        "check",
        "describe a data set, check that it is sound, and say which losses to try",
    )
    add_data(parser, default=None)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Runs the command."""
    say(checkup(options.data, options.labels, options.drop))


def checkup(
    data: str, labels: int | Sequence[str] | None, drop: Sequence[str] | None = None
) -> str:
    """Returns the data card of a file, remarks on it, and the losses to compare first."""
    from mllosses_jax.compare.card import data_card, in_words
    from mllosses_jax.data import load

    dataset = load(data, labels=labels, drop=drop)
    card = {name.replace("_", " "): in_words(value) for name, value in data_card(dataset).items()}
    lines = definitions(card)
    remarks = list(_remarks(dataset))
    return "\n".join(
        [*lines, *([""] if remarks else []), *remarks, "", *_advice(data, labels, drop, dataset)]
    )


def _advice(
    data: str, labels: int | Sequence[str] | None, drop: Sequence[str] | None, dataset: Dataset
) -> list[str]:
    """Returns which losses to try first and why, and the command that compares them."""
    from mllosses_jax.compare.advice import advise

    lines, found = ["Losses to compare first"], advise(dataset)
    for advice in found:
        lines += [f"  {advice.loss}", *paragraph(advice.why, "    ")]
    named = labels if isinstance(labels, int | None) else ",".join(labels)
    words = ["mllosses", "compare", data, *([] if named is None else ["--labels", str(named)])]
    words += ["--drop", ",".join(drop)] if drop else []
    words += ["--losses", ",".join(advice.loss for advice in found)]
    return [*lines, "", printable(shlex.join(words))]


def _remarks(dataset: Dataset) -> list[str]:
    from mllosses_jax.compare.card import FEW_POSITIVES

    remarks = []
    if dataset.y_test is None:
        remarks.append("No test part: `mllosses compare` will draw a fifth of the rows as one.")
    else:
        absent = int((dataset.y_test.sum(0) == 0).sum())
        if absent:
            remarks.append(
                f"Labels without a positive in the test part, which mAP leaves out: {absent}."
            )
    positives = dataset.y_train.sum(0)
    rare = np.argsort(positives, kind="stable")
    rare = rare[positives[rare] < FEW_POSITIVES]
    if rare.size:
        named = ", ".join(
            f"{printable(dataset.label_names[j])} ({positives[j]})" for j in rare[:NUM_RARE]
        )
        more = f" and {rare.size - NUM_RARE} more" if rare.size > NUM_RARE else ""
        remarks.append(f"Rarest labels: {named}{more}.")
    return [line for remark in remarks for line in paragraph(remark)]
