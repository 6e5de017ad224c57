"""Reads scores and labels that come from anywhere, as two files or one, with label names or not."""

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
    "the scores have no names of labels; give them some: an .npz with label_names, or the header "
    "of a .csv"
)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of samples by label, and what is true of them.

    Attributes:
        scores: float32 or float64 (N, L), as the file has it; anything where a label is unknown.
        labels: bool (N, L), false where unknown.
        where: bool (N, L), which labels are known; None if all are.
        label_names: L different names; numbers from 0 if the files have none.
        inputs: what the scores are.
        named: whether the files have names.
    """

    scores: NDArray[Any]
    labels: NDArray[np.bool_]
    where: NDArray[np.bool_] | None
    label_names: tuple[str, ...]
    inputs: ScoreKind
    named: bool = True

    def known(self) -> NDArray[np.bool_]:
        """Returns which labels are known, (N, L)."""
        return np.ones(self.labels.shape, bool) if self.where is None else self.where


def read_scores_and_labels(
    scores: Path, labels: Path | None = None, *, inputs: ScoreKind | None = None
) -> ScoreTable:
    """Reads two files that belong together, or one that holds both.

    Args:
        scores: .npy of an array (N, L); .npz of one array or of `scores`, beside `label_names`
            and `where` or `mask` if there are any; .csv with a header of label names and a row
            per sample.
        labels: the same of 0 and 1 (in an archive of several arrays: `labels`). Unknown is an
            empty cell, ?, nan or NA in a .csv, NaN in an array, and where `where` is 0. None takes
            those of an archive `scores` that holds both; otherwise they and their mask are ignored.
        inputs: what the scores are; None if `scores` is an archive that says so, in `inputs`.

    Returns:
        The table; where both files name the labels, in the order of the scores.

    Raises:
        DataError: a file is broken or lacks something, or the two do not fit.
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
            f"holds labels of shape {truth.values.shape}, {scores} scores of shape "
            f"{given.values.shape}; give both as (samples, labels) of the same samples",
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
    """Reads scores, with the labels of an archive that holds both.

    In any other file no label of the table is known, and every score must be a number.
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
    """Returns the columns of the labels in the order of the scores."""
    if given is None or truth is None:
        return slice(None)
    if set(given) != set(truth):
        lacking = [name for name in truth if name not in set(given)][:3]
        beyond = [name for name in given if name not in set(truth)][:3]
        raise DataError(
            f"names other labels than {scores}: {lacking} are only here and {beyond} only there; "
            "give both files the same names, in any order",
            path=labels,
        )
    place = {name: column for column, name in enumerate(truth)}
    return [place[name] for name in given]


def _inputs(content: Content, asked: ScoreKind | None, path: Path) -> ScoreKind:
    """Returns what the scores are, which the file or the caller must say."""
    said = content.inputs
    if said is None and asked is None:
        raise DataError(
            "does not say what its scores are; give inputs=logits or inputs=probabilities",
            path=path,
        )
    if said is not None and asked is not None and said != asked:
        raise DataError(
            f"says that its scores are {said}, and inputs= that they are {asked}; leave inputs= "
            "out, or save the scores anew",
            path=path,
        )
    return said or asked  # type: ignore[return-value]


def _check_scores(
    values: NDArray[Any], mask: NDArray[np.bool_], inputs: ScoreKind, path: Path
) -> None:
    """Refuses a score that counts and is no logit or no probability."""
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
            f"{values[row, column]:.6g} at row {row}, column {column} (from 0) is no probability; "
            "give values from 0 to 1, or inputs=logits if they are logits",
            path=path,
        )
