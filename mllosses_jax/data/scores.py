"""Reader for scores and labels of any origin, in one or two files, with or without label names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._reading import reading
from mllosses_jax.data._score_files import Content, ScoreKind, binary, read_content
from mllosses_jax.data.errors import DataError

NAMELESS = (
    "the scores have no label names; give them in the label_names of an .npz, or in the header of "
    "a .csv"
)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores by sample and label, with the true labels.

    Attributes:
        scores: float32 or float64 (N, L), as in the file; arbitrary where a label is unknown.
        labels: bool (N, L), False where unknown.
        where: bool (N, L), True where a label is known; None if all are known.
        label_names: L different names, or numbers from 0 if the files name no labels.
        inputs: what the scores are, "logits" or "probabilities".
        named: whether the files name the labels.
    """

    scores: NDArray[Any]
    labels: NDArray[np.bool_]
    where: NDArray[np.bool_] | None
    label_names: tuple[str, ...]
    inputs: ScoreKind
    named: bool = True

    def known(self) -> NDArray[np.bool_]:
        """Returns a bool array (N, L) that is True where a label is known."""
        return np.ones(self.labels.shape, bool) if self.where is None else self.where


def read_scores_and_labels(
    scores: Path, labels: Path | None = None, *, inputs: ScoreKind | None = None
) -> ScoreTable:
    """Reads two files that belong together, or one that holds both.

    Args:
        scores: an .npy file with an array (N, L); an .npz file with one array or with `scores`, and
            optionally `label_names` and `where` or `mask`; or a .csv file with a header of label
            names and one row per sample.
        labels: a file of the same kind with 0 and 1 (in an archive of several arrays: `labels`). A
            label is unknown if it is an empty cell, ?, nan or NA in a .csv, NaN in an array, or 0
            in `where`. None takes the labels of an archive `scores` that holds both; otherwise
            those labels and their mask are ignored.
        inputs: what the scores are; None if `scores` is an archive that says so, in `inputs`.

    Returns:
        The table. If both files name the labels, they are in the order of the scores.

    Raises:
        DataError: a file is broken or incomplete, or the two files do not match.
    """
    given = read_content(scores, "scores")
    if labels is None and not given.with_labels:
        raise DataError(
            "holds no labels; give LABELS, or an .npz that holds scores and labels", path=scores
        )
    labels = labels or scores
    truth = read_content(labels, "labels")
    if given.doubt is not None and set(given.names or ()) != set(truth.names or ()):
        raise given.doubt
    inputs = _inputs(given, inputs, scores)
    if given.values.shape != truth.values.shape:
        raise DataError(
            f"holds labels of shape {truth.values.shape}, but {scores} holds scores of shape "
            f"{given.values.shape}; give both as (samples, labels) for the same samples",
            path=labels,
        )
    with reading(labels):
        y, known = binary(truth.values, "labels")
    order = _order(given.names, truth.names, scores, labels)
    mask = known & truth.mask
    y, mask = y[:, order] & mask[:, order], mask[:, order] & given.mask
    _check_scores(given.values, mask, inputs, scores)
    return ScoreTable(
        scores=given.values,
        labels=y & mask,
        where=None if mask.all() else mask,
        label_names=given.names or truth.names or _numbers(y.shape[1]),
        inputs=inputs,
        named=bool(given.names or truth.names),
    )


def read_scores(path: Path, *, inputs: ScoreKind | None = None) -> ScoreTable:
    """Reads scores, and the labels too if the file is an archive that holds both.

    With any other file, no label of the table is known, and every score must be a number.
    """
    given = read_content(path, "scores")
    if given.with_labels:
        return read_scores_and_labels(path, inputs=inputs)
    if given.doubt is not None:
        raise given.doubt
    inputs = _inputs(given, inputs, path)
    _check_scores(given.values, np.ones(given.values.shape, bool), inputs, path)
    return ScoreTable(
        scores=given.values,
        labels=np.zeros(given.values.shape, bool),
        where=np.zeros(given.values.shape, bool),
        label_names=given.names or _numbers(given.values.shape[1]),
        inputs=inputs,
        named=bool(given.names),
    )


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _order(
    given: tuple[str, ...] | None, truth: tuple[str, ...] | None, scores: Path, labels: Path
) -> list[int] | slice:
    """Returns the columns of the labels in the order that the scores have."""
    if given is None or truth is None:
        return slice(None)
    if set(given) != set(truth):
        lacking = [name for name in truth if name not in set(given)][:3]
        beyond = [name for name in given if name not in set(truth)][:3]
        raise DataError(
            f"names other labels than {scores}: {lacking} are only here, and {beyond} only there; "
            "give both files the same names, in any order",
            path=labels,
        )
    place = {name: column for column, name in enumerate(truth)}
    return [place[name] for name in given]


def _inputs(content: Content, asked: ScoreKind | None, path: Path) -> ScoreKind:
    """Returns what the scores are, as the file or the caller says."""
    said = content.inputs
    if said is None and asked is None:
        raise DataError(
            "does not say what its scores are; give inputs=logits or inputs=probabilities",
            path=path,
        )
    if said is not None and asked is not None and said != asked:
        raise DataError(
            f"says that its scores are {said}, but inputs= says {asked}; leave inputs= out, or "
            "save the scores again",
            path=path,
        )
    return said or asked  # type: ignore[return-value]


def _check_scores(
    values: NDArray[Any], mask: NDArray[np.bool_], inputs: ScoreKind, path: Path
) -> None:
    """Raises if a score with a known label is missing or, among probabilities, outside [0, 1]."""
    missing = mask & np.isnan(values)
    if missing.any():
        row, column = np.argwhere(missing)[0]
        raise DataError(
            f"the score at row {row}, column {column} (from 0) is missing or NaN; fill it in, or "
            "mark the label there as unknown",
            path=path,
        )
    outside = mask & ~((values >= 0) & (values <= 1))
    if inputs == "probabilities" and outside.any():
        row, column = np.argwhere(outside)[0]
        raise DataError(
            f"{values[row, column]:.6g} at row {row}, column {column} (from 0) is not a "
            "probability; give values from 0 to 1, or inputs=logits if they are logits",
            path=path,
        )
