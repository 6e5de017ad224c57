"""The arguments that several sub-commands take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mllosses_jax.cli.argument_types import columns, names, positive, seed

_SCORES = (
    "an .npy or .npz file with an array (samples, labels), or a .csv file with a line of label "
    "names above one row per sample"
)
_LABELS = (
    "a file of the same kind with labels 0 and 1; an unknown label is an empty cell, ?, nan or NA "
    "in a .csv, NaN in an array, or where=0 in an .npz. It may be left out if SCORES is an .npz of "
    "scores and labels, such as `mllosses compare` writes; if given, it replaces the labels in "
    "SCORES"
)


def add_command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Adds a command, which the list of commands and its own help describe by the same text."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    return parser


def add_data(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Adds DATA, which may be left out if there is a default, `--labels` and `--drop`."""
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?" if default else None,
        default=default,
        help="a .csv, .tsv, .jsonl, .parquet, .npz, .arff or svmlight file (text also as .gz), or "
        "`mosaics` for the embedded data set" + (" (the default)" if default else ""),
    )
    parser.add_argument(
        "--labels",
        type=columns,
        metavar="A,B,... | N",
        help="the label columns of a table, by name or as the number of last columns; for svmlight "
        "the names or the number of labels; for a sparse matrix saved by SciPy their number",
    )
    parser.add_argument(
        "--drop",
        type=names,
        metavar="A,B,...",
        help="columns of a table to leave out; an index is left out without being named",
    )


def add_score_files(parser: argparse.ArgumentParser, *, note: str = "") -> None:
    """Adds SCORES, LABELS (with a note at the end of its help) and `--inputs`."""
    parser.add_argument("scores", type=Path, metavar="SCORES", help=_SCORES)
    parser.add_argument("labels", type=Path, metavar="LABELS", nargs="?", help=_LABELS + note)
    parser.add_argument(
        "--inputs",
        choices=("logits", "probabilities"),
        help="what the scores are; this is never guessed, and may be left out only if SCORES is an "
        ".npz that says so itself, in `inputs`",
    )


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Adds `--scope`."""
    parser.add_argument(
        "--scope",
        choices=("label", "global"),
        default="label",
        help="one threshold or map per label, or a single one for all labels; default: label",
    )


def add_folds(parser: argparse.ArgumentParser) -> None:
    """Adds `--folds` and `--seed`."""
    parser.add_argument(
        "--folds",
        type=positive,
        default=5,
        metavar="N",
        help="number of cross-validation folds that judge the result; default: 5",
    )
    parser.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="seed of the folds; default: 0"
    )


def add_force(parser: argparse.ArgumentParser) -> None:
    """Adds `--force`."""
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
