"""Reads scores and labels that come from anywhere, as two files or one, with label names or not."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.cli.score_arrays import Content, Inputs, Role, binary, read_numpy
from mllosses_jax.data import DataError
from mllosses_jax.data._reading import reading
from mllosses_jax.data._text import (
    check_header,
    check_names,
    is_label,
    is_number,
    is_unknown,
    parse_label,
    read_csv_rows,
    to_float,
)

SUFFIXES = (".npy", ".npz", ".csv")
NAMELESS = (
    "the scores have no names of labels; give them some: an .npz with label_names, or the header "
    "of a .csv"
)
BASELINE = {"logits": 0.0, "probabilities": 0.5}  # the threshold of whoever has tuned none


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
    inputs: Inputs
    named: bool = True

    def known(self) -> NDArray[np.bool_]:
        """Returns which labels are known, (N, L)."""
        return np.ones(self.labels.shape, bool) if self.where is None else self.where


def in_precision_of(scores: NDArray[Any]) -> AbstractContextManager[None]:
    """Computes in float64 if the scores are: float32 makes 1 of a probability of 1 − 10⁻⁸."""
    double = np.float64 in {scores.dtype.type, jnp.result_type(float).type}
    precision: AbstractContextManager[None] = jax.enable_x64(double)
    return precision


def read_scores_and_labels(
    scores: Path, labels: Path | None = None, *, inputs: Inputs | None = None
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
    given = _read(scores, "scores")
    if labels is None and not given.with_labels:
        raise DataError(
            "holds no labels; give LABELS, or an .npz that holds scores and labels", path=scores
        )
    labels = labels or scores
    truth = _read(labels, "labels")
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


def read_scores(path: Path, *, inputs: Inputs | None = None) -> ScoreTable:
    """Reads scores, with the labels of an archive that holds both.

    In any other file no label of the table is known, and every score must be a number.
    """
    given = _read(path, "scores")
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


def _read(path: Path, role: Role) -> Content:
    suffix = path.suffix.lower()
    with reading(path):
        if path.is_dir():
            raise DataError(f"is a folder; give the path of a file of {role}")
        if suffix not in SUFFIXES:
            raise DataError(f"unknown kind of file; give {role} as {', '.join(SUFFIXES)}")
        if not path.is_file():
            raise DataError(f"no such file; give the path of a file of {role}")
        content = _read_csv(path, role) if suffix == ".csv" else read_numpy(path, role)
        if content.names is not None:
            check_names(content.names, "label")
        if content.doubt is not None:
            content.doubt.path = path
        return content


def _read_csv(path: Path, role: Role) -> Content:
    rows = read_csv_rows(path)
    # A blank line is an empty cell under a header of one.
    header = next(row for _, row in rows if row)
    rows = [(line, row or [""]) for line, row in rows if row or len(header) == 1]
    (header_line, _), *rows = rows
    names = tuple(name.strip() for name in header)
    check_names(names, "label", header_line)
    doubt = None
    try:
        is_row = is_number if role == "scores" else is_label
        check_header(names, header_line, is_row=is_row, what=role)
    except DataError as error:
        if role == "labels":
            raise
        doubt = error  # the labels may have numbers as names
    if not rows:
        raise DataError("no rows below the header; add one per sample", line=header_line)
    values = np.empty((len(rows), len(names)))
    parsed: dict[str, float] = {}
    for i, (line, cells) in enumerate(rows):
        if len(cells) != len(names):
            raise DataError(
                f"{len(cells)} cells under a header of {len(names)}; every row needs one cell per "
                "label, and cells with commas need quotes",
                line=line,
            )
        if role == "scores":
            values[i] = _score_row(cells, names, line)
            continue
        for j, cell in enumerate(cells):
            if cell not in parsed:
                label = parse_label(cell, names[j], line)
                parsed[cell] = np.nan if label is None else float(label)
            values[i, j] = parsed[cell]
    return Content(values, names, np.ones(values.shape, bool), doubt=doubt)


def _score_row(cells: list[str], names: tuple[str, ...], line: int) -> list[float]:
    row = []
    for cell, name in zip(cells, names, strict=True):
        try:
            row.append(np.nan if is_unknown(cell) else to_float(cell.strip()))
        except ValueError:
            raise DataError(
                f"score {name!r} is {shown(cell)}, not a number; give one score per label, and no "
                "other columns",
                line=line,
            ) from None
    return row


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


def _inputs(content: Content, asked: Inputs | None, path: Path) -> Inputs:
    """Returns what the scores are, which the file or the caller must say."""
    said = content.inputs
    if said is None and asked is None:
        raise DataError(
            "does not say what its scores are; give --inputs logits or --inputs probabilities",
            path=path,
        )
    if said is not None and asked is not None and said != asked:
        raise DataError(
            f"says that its scores are {said}, and --inputs that they are {asked}; leave --inputs "
            "out, or save the scores anew",
            path=path,
        )
    return said or asked  # type: ignore[return-value]


def _check_scores(
    values: NDArray[Any], mask: NDArray[np.bool_], inputs: Inputs, path: Path
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
            "give values from 0 to 1, or --inputs logits if they are logits",
            path=path,
        )
