"""The content of a file of scores or labels: an array in an .npy or .npz, or a table in a .csv."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._archive import Arrays, no_array, open_arrays
from mllosses_jax.data._csv_table import CsvTable, read_csv_table, with_points
from mllosses_jax.data._reading import check_file, reading
from mllosses_jax.data._text import (
    check_names,
    is_label,
    is_number,
    is_unknown,
    parse_label,
    to_float,
)
from mllosses_jax.data.errors import DataError

ScoreKind = Literal["logits", "probabilities"]
Role = Literal["scores", "labels"]

SUFFIXES = (".npy", ".npz", ".csv")
MASKS = ("where", "mask")


class Content(NamedTuple):
    """The scores or the labels of a file.

    Attributes:
        values: the scores or labels, (N, L).
        names: the names of the labels, or None if the file has none.
        mask: bool (N, L), True where the values count.
        inputs: what the file says that its scores are, or None if it does not say.
        with_labels: whether the file also holds the labels of its scores.
        doubt: the error to raise if the names, which read like scores, are not those of the labels.
    """

    values: NDArray[Any]
    names: tuple[str, ...] | None
    mask: NDArray[np.bool_]
    inputs: ScoreKind | None = None
    with_labels: bool = False
    doubt: DataError | None = None


def read_content(path: Path, role: Role) -> Content:
    """Returns the scores or the labels of a file, depending on the role.

    Raises:
        DataError: the file cannot be read, or holds nothing of this role.
    """
    with reading(path):
        check_file(path, SUFFIXES, f"a file of {role}")
        if path.suffix.lower() == ".csv":
            content = _from_table(read_csv_table(path), role)
        else:
            with open_arrays(path, alone=role) as arrays:
                content = _from_arrays(arrays, role)
    if content.doubt is not None:
        content.doubt.path = path
    return content


def _from_table(table: CsvTable, role: Role) -> Content:
    names = table.columns
    check_names(names, "label", table.line)
    doubt = None
    try:
        table.check_header(is_cell=is_number if role == "scores" else is_label, what=role)
    except DataError as error:
        if role == "labels":
            raise
        doubt = error  # the names of the labels may be numbers
    rows = table.rows()
    values = np.empty((len(rows), len(names)))
    parsed: dict[str, float] = {}
    for i, (line, cells) in enumerate(rows):
        if role == "scores":
            texts = with_points(cells, f"line {line}") if table.decimal_commas else cells
            values[i] = [_score(*pair, line) for pair in zip(texts, names, strict=True)]
            continue
        for j, cell in enumerate(cells):
            if cell not in parsed:
                label = parse_label(cell, names[j], line)
                parsed[cell] = np.nan if label is None else float(label)
            values[i, j] = parsed[cell]
    return Content(values, names, np.ones(values.shape, bool), doubt=doubt)


def _score(cell: str, name: str, line: int) -> float:
    try:
        return np.nan if is_unknown(cell) else to_float(cell.strip())
    except ValueError:
        raise DataError(
            f"score {name!r} is {shown(cell)}, not a number; give one score per label, and no "
            "other columns",
            line=line,
        ) from None


def _from_arrays(arrays: Arrays, role: Role) -> Content:
    inputs = _declared(arrays)
    beside = {"label_names", *MASKS, *(() if inputs is None else ("inputs",))}
    candidates = [name for name in arrays if name not in beside]
    mine = [role] if role in candidates else candidates
    if len(mine) != 1 or (mine[0] != role and mine[0] in get_args(Role)):
        raise no_array(role, candidates)
    shape, dtype = arrays.header(mine[0])  # checked first, because the array may be large
    if role == "scores" and len(shape) == 3:
        raise DataError(
            f"scores have shape {shape}, one axis too many; if they are from several models, save "
            "those of one, such as scores[0], or their mean, as (samples, labels)"
        )
    if len(shape) != 2 or 0 in shape:
        raise DataError(
            f"{role} have shape {shape}; it must be (samples, labels), and neither may be 0"
        )
    if dtype.kind not in ("iuf" if role == "scores" else "biuf"):
        raise DataError(f"{role} are {dtype} values; they must be numbers")
    values = arrays[mine[0]]
    if role == "scores":
        single = np.result_type(values, np.float32) == np.float32
        values = values.astype(np.float32 if single else np.float64)
    names = _names(arrays, values.shape[1], role)
    with_labels = role == "scores" and {"scores", "labels"} <= set(candidates)
    # If the archive holds labels too, the mask is theirs and says nothing about the scores.
    mask = np.ones(values.shape, bool) if with_labels else _mask(arrays, values.shape)
    return Content(values, names, mask, inputs, with_labels)


def _declared(arrays: Arrays) -> ScoreKind | None:
    """Returns what an archive says that its scores are; numbers in `inputs` do not say it."""
    if "inputs" not in arrays or arrays.header("inputs").dtype.kind != "U":
        return None
    said = arrays["inputs"].ravel().tolist()
    for known in get_args(ScoreKind):
        if said == [known]:
            return cast(ScoreKind, known)
    raise DataError(f"inputs is {', '.join(said[:3])!r}; it must be logits or probabilities")


def _names(arrays: Arrays, count: int, role: Role) -> tuple[str, ...] | None:
    names = arrays.label_names()
    if names is not None:
        if len(names) != count:
            raise DataError(
                f"{len(names)} label names for the {count} columns of {role}; give one name per "
                "column"
            )
        check_names(names, "label")
    return names


def _mask(arrays: Arrays, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    present = [name for name in MASKS if name in arrays]
    if not present:
        return np.ones(shape, bool)
    if len(present) > 1:
        raise DataError("holds where and mask, which mean the same; keep one of them")
    name = present[0]
    found, dtype = arrays.header(name)
    if found != shape or dtype.kind not in "biuf":
        raise DataError(
            f"{name} has shape {found} and {dtype} values; it must have shape {shape} and be 1 "
            "where a label is known"
        )
    mask, known = binary(arrays[name], name)
    return mask & known


def binary(values: NDArray[Any], what: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns which entries are 1, and which are known (not NaN)."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    wrong = known & (values != 0) & (values != 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"{what} are {values[row, column]} at row {row}, column {column} (from 0); they must "
            "be 0 or 1, and unknown ones NaN or 0 in `where`"
        )
    return (values == 1) & known, known
