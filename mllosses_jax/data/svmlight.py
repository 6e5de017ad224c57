"""Reader for svmlight files with several labels per row, with or without a size header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._text import (
    Labels,
    check_dense_size,
    is_unknown,
    parse_number,
    to_whole,
)
from mllosses_jax.data._text_files import read_text, stem
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError


def read_svmlight(path: Path, labels: Labels = None) -> Dataset:
    r"""Reads rows such as `1,3,7 0:1.5 4:2 # comment`: the labels of a row, then its features.

    The list of labels may be empty, or `?`, `nan` or `NA` if they are unknown, and `qid:` entries
    are skipped. The first line may be `N D L` (rows, features, labels), as in the extreme
    classification repository; all indices then start at 0, and a blank line is a row with nothing
    in it. Without such a header, blank lines are skipped, features start at 0 if index 0 occurs and
    at 1 if it does not, and every label that occurs gets a column.

    Args:
        path: the file.
        labels: the names or the number of labels 0, 1, ..., for a file without a header.

    Returns:
        A data set without a test part, whose features are marked sparse.

    Raises:
        DataError: the file breaks one of these rules.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.svm")
        >>> _ = path.write_text("2,5 1:0.5 3:2\n5 2:1 # one label\n")
        >>> data = read_svmlight(path)
        >>> data.label_names, data.x_train.tolist()
        (('2', '5'), [[0.5, 0.0, 2.0], [0.0, 1.0, 0.0]])
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    sizes = _sizes(lines[0])
    rows = _rows(lines, sizes)
    if sizes is not None:
        width, base = sizes.features, 0
    else:
        base = 0 if any(0 in row.features for row in rows) else 1
        width = 1 - base + max((max(row.features, default=-1) for row in rows), default=-1)
    column_of, names = _label_columns(rows, labels, sizes)

    check_dense_size(len(rows), width, "features", 4)
    check_dense_size(len(rows), len(names), "labels", 1)
    x = np.zeros((len(rows), max(width, 0)), np.float32)
    y = np.zeros((len(rows), len(names)), np.bool_)
    mask = np.ones(y.shape, np.bool_)
    for i, row in enumerate(rows):
        for index, value in row.features.items():
            if index - base >= width:
                raise DataError(
                    f"feature {index} is out of range; the header says {width}, counted from 0",
                    line=row.line,
                )
            x[i, index - base] = value
        mask[i] = row.labels is not None
        for label in row.labels or ():
            if label not in column_of:
                raise DataError(
                    f"label {label} is out of range; there are {len(names)}, counted from 0",
                    line=row.line,
                )
            y[i, column_of[label]] = True
    return Dataset(
        name=stem(path),
        label_names=names,
        x_train=x,
        y_train=y,
        mask_train=mask,
        sparse=True,
        feature_names=tuple(str(base + j) for j in range(width)) or None,
    )


def read_svmlight_features(path: Path, names: Sequence[str]) -> NDArray[np.float32]:
    """Reads the features of new rows, whose labels are left out.

    Args:
        path: the file.
        names: the numbers of the features in the file that the model was trained on, as text.

    Returns:
        The features, (N, D), in the order of the names.

    Raises:
        DataError: a feature is none of those, or the file is broken.
    """
    lines = read_text(path).removesuffix("\n").split("\n")
    rows = _rows(lines, _sizes(lines[0]))
    check_dense_size(len(rows), len(names), "features", 4)
    x = np.zeros((len(rows), len(names)), np.float32)
    place = {name: column for column, name in enumerate(names)}
    for i, row in enumerate(rows):
        for index, value in row.features.items():
            if str(index) not in place:
                raise DataError(
                    f"feature {index} is none of those that the model was trained with "
                    f"({names[0]} to {names[-1]}); correct it",
                    line=row.line,
                )
            x[i, place[str(index)]] = value
    return x


@dataclass(frozen=True)
class _Row:
    line: int
    labels: list[int] | None  # None if they are unknown
    features: dict[int, float]


class _Sizes(NamedTuple):
    rows: int
    features: int
    labels: int


def _sizes(first: str) -> _Sizes | None:
    """Returns the sizes if the first line is a header, which no row can look like."""
    words = first.split()
    if len(words) != 3 or not all(word.isascii() and word.isdecimal() for word in words):
        return None
    sizes = [size for size in map(to_whole, words) if size is not None]
    if len(sizes) < len(words):
        raise DataError(f"{shown(first)} cannot be the size of a file; correct the header", line=1)
    return _Sizes(*sizes)


def _rows(lines: list[str], sizes: _Sizes | None) -> list[_Row]:
    if sizes is not None:
        return _rows_of_header(lines, sizes)
    numbered = enumerate((text.partition("#")[0] for text in lines), start=1)
    rows = [_row(text, line) for line, text in numbered if text.strip()]
    if not rows:
        raise DataError("no rows; write one line per sample")
    return rows


def _rows_of_header(lines: list[str], sizes: _Sizes) -> list[_Row]:
    count = sizes.rows
    body, rest = lines[1 : count + 1], lines[count + 1 :]
    # Blank lines count as rows, except after the last row.
    found = count + sum(bool(line.strip()) for line in rest) if rest else len(body)
    if found != count:
        raise DataError(
            f"the header says {count} rows, but the file has {found}; correct it", line=1
        )
    return [_row(text, line) for line, text in enumerate(body, start=2)]


def _row(text: str, line: int) -> _Row:
    words = text.partition("#")[0].split()
    labels: list[int] | None = []
    if words and ":" not in words[0] and is_unknown(words[0]):
        words.pop(0)
        labels = None
    elif words and ":" not in words[0]:
        labels = [_label(word, line) for word in words.pop(0).split(",")]
    features: dict[int, float] = {}
    for word in words:
        index, colon, value = word.partition(":")
        if index == "qid":
            continue
        number = to_whole(index)
        if not colon or number is None:
            raise DataError(
                f"{shown(word)} is not index:value; write labels with commas and no spaces, then "
                "features such as 4:1.5",
                line=line,
            )
        if number in features:
            raise DataError(f"feature {number} occurs twice; keep one", line=line)
        features[number] = parse_number(value, index, line)
    return _Row(line, labels, features)


def _label(word: str, line: int) -> int:
    label = to_whole(word.removeprefix("+"))
    if label is None:
        raise DataError(
            f"label {shown(word)} is not a whole number of at least 0; write the labels of a "
            "row as in 1,3,7",
            line=line,
        )
    return label


def _label_columns(
    rows: list[_Row], labels: Labels, sizes: _Sizes | None
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Returns the column of each label and the names of the columns."""
    if isinstance(labels, str):
        labels = [labels]
    if labels is not None and not isinstance(labels, int):
        names = tuple(labels)
        if sizes is not None and len(names) != sizes.labels:
            raise DataError(
                f"{len(names)} label names, but the header says {sizes.labels} labels; name each",
                line=1,
            )
        return {j: j for j in range(len(names))}, names
    count = labels if sizes is None else sizes.labels
    if labels is not None and labels != count:
        raise DataError(f"labels={labels}, but the header says {count}; leave labels= out", line=1)
    if count is None:
        seen = sorted({label for row in rows for label in row.labels or ()})
    else:
        check_dense_size(count, 128, "label names", 1)
        seen = list(range(count))
    if not seen:
        raise DataError("no row has a label; write labels first, such as 1,3 0:1.5")
    return {label: j for j, label in enumerate(seen)}, tuple(str(label) for label in seen)
