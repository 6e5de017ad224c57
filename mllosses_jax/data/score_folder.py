"""A folder of scores of several models, with the labels of their validation and test rows.

    FOLDER/MODEL/validation.npz, test.npz       one model
    FOLDER/MODEL/validation-0.npz, test-0.npz   and so on: several, which differ in their seed
    FOLDER/validation_labels.npz, test_labels.npz   the labels, unless the files of scores hold them

Each file may also be a .npy or a .csv, in the form that `read_scores_and_labels` takes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._score_files import SUFFIXES, ScoreKind
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.scores import ScoreTable, read_scores_and_labels

PARTS = ("validation", "test")


class ScoreFolder(NamedTuple):
    """The scores of several models.

    Attributes:
        label_names: the names of the labels.
        scores: the scores (S, N, L) of each model on the rows of each part, by part and model.
        labels: bool (N, L), the labels of each part.
        masks: bool (N, L), where they are known, of each part.
        inputs: what the scores are, "logits" or "probabilities".
    """

    label_names: tuple[str, ...]
    scores: dict[str, dict[str, NDArray[Any]]]
    labels: dict[str, NDArray[np.bool_]]
    masks: dict[str, NDArray[np.bool_]]
    inputs: ScoreKind


def read_score_folder(folder: Path, *, inputs: ScoreKind | None = None) -> ScoreFolder:
    """Reads a folder of scores.

    Args:
        folder: the folder, which has a folder for each model.
        inputs: what the scores are; None if the files say so.

    Returns:
        The scores, with the models in the order of their names.

    Raises:
        DataError: a file is missing or broken, or files contradict each other.
    """
    if not folder.is_dir():
        raise DataError("is no folder; give one with a folder for each model", path=folder)
    models = sorted(
        each for each in folder.iterdir() if each.is_dir() and any(_files(each, p) for p in PARTS)
    )
    if not models:
        raise DataError(
            "holds no scores; put validation.npz and test.npz, or .npy or .csv, into a folder for "
            "each model",
            path=folder,
        )
    first: ScoreTable | None = None
    scores: dict[str, dict[str, NDArray[Any]]] = {part: {} for part in PARTS}
    tables: dict[str, ScoreTable] = {}
    for part in PARTS:
        labels = next(iter(_files(folder, f"{part}_labels")), None)
        for model in models:
            files = _files(model, part)
            if not files:
                raise DataError(f"holds no {part}.npz, .npy or .csv; add it", path=model)
            found = [read_scores_and_labels(file, labels, inputs=inputs) for file in files]
            for file, table in zip(files, found, strict=True):
                first = first or table
                of_part = tables.setdefault(part, table)
                _check_alike(file, table, first, of_part)
            order = [_order(table, first) for table in found] if first else []
            scores[part][model.name] = np.stack(
                [table.scores[:, columns] for table, columns in zip(found, order, strict=True)]
            )
    assert first is not None
    at = {part: _order(table, first) for part, table in tables.items()}
    return ScoreFolder(
        first.label_names,
        scores,
        {part: table.labels[:, at[part]] for part, table in tables.items()},
        {part: table.known()[:, at[part]] for part, table in tables.items()},
        first.inputs,
    )


def _files(folder: Path, stem: str) -> list[Path]:
    """Returns the file of this name with any of the endings, or those with numbers, in order."""
    found = [file for suffix in SUFFIXES if (file := folder / f"{stem}{suffix}").is_file()]
    numbered = [
        (int(match[1]), file)
        for file in folder.iterdir()
        if (match := re.fullmatch(rf"{stem}-(\d+)", file.stem)) and file.suffix in SUFFIXES
    ]
    if len(found) + bool(numbered) > 1:
        names = ", ".join(file.name for file in [*found, *(file for _, file in numbered)])
        raise DataError(f"holds {names}, which mean the same; keep one", path=folder)
    return found or [file for _, file in sorted(numbered)]


def _order(table: ScoreTable, first: ScoreTable) -> list[int]:
    """Returns the columns of a table in the order of the first."""
    if not (table.named and first.named):
        return list(range(table.scores.shape[1]))
    place = {name: column for column, name in enumerate(table.label_names)}
    return [place[name] for name in first.label_names]


def _check_alike(file: Path, table: ScoreTable, first: ScoreTable, of_part: ScoreTable) -> None:
    """Raises unless a file has the labels of the first one, and those of the rows of its part."""
    named = table.named and first.named
    if table.scores.shape[1] != first.scores.shape[1] or (
        named and set(table.label_names) != set(first.label_names)
    ):
        raise DataError("has other labels than the first file of scores", path=file)
    if table.inputs != first.inputs:
        raise DataError(
            f"says that its scores are {table.inputs}, but others are {first.inputs}; save all "
            "alike",
            path=file,
        )
    columns, there = _order(table, first), _order(of_part, first)
    same = table.labels.shape == of_part.labels.shape and (
        np.array_equal(table.labels[:, columns], of_part.labels[:, there])
        and np.array_equal(table.known()[:, columns], of_part.known()[:, there])
    )
    if not same:
        raise DataError(
            "holds other rows than the first model, or other labels of them; save the scores of "
            "all models for the same rows in the same order",
            path=file,
        )
