"""Reader for JSON Lines files: one object per line, whose fields are the columns of a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mllosses_jax._core.text import cut, shown
from mllosses_jax.data._table import Table
from mllosses_jax.data._text import Drop, Labels, check_names
from mllosses_jax.data._text_files import read_text, stem
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.tables import data_set_of


def read_jsonl(
    path: Path, labels: Labels = None, drop: Drop = None, groups: str | None = None
) -> Dataset:
    r"""Reads a file with one JSON object per line.

    Fields are columns, with the rules of `read_csv`; null, or no such field, is a missing cell. A
    field may also hold a list: numbers, equally many in each row, are features, and the only label
    column may hold a list of the names of the labels of each row, or of one 0 or 1 for each label.

    Args:
        path: the file.
        labels: the names of the label columns, or their number if they are the last ones.
        drop: the names of columns to leave out.
        groups: the column with the group of each row, which is no feature.

    Returns:
        A data set without a test part.

    Raises:
        DataError: the file breaks one of these rules.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.jsonl")
        >>> _ = path.write_text(
        ...     '{"pixels": [0.5, 1], "labels": ["cat", "dog"]}\n'
        ...     '{"pixels": [2, 0], "labels": []}\n'
        ... )
        >>> data = read_jsonl(path)
        >>> data.label_names, data.y_train.tolist(), data.x_train.tolist()
        (('cat', 'dog'), [[True, True], [False, False]], [[0.5, 1.0], [2.0, 0.0]])
    """
    return data_set_of(jsonl_cells(path), name=stem(path), labels=labels, drop=drop, groups=groups)


def jsonl_cells(path: Path) -> Table:
    """Returns the table in a file with one JSON object per line.

    Raises:
        DataError: a line is none, or there is no field.
    """
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if text.strip():
            rows.append(_row(text, line))
            lines.append(line)
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_names(names, "field")
    columns = {name: [row.get(name) for row in rows] for name in names}
    if not columns:
        raise DataError("no object has a field; write one object with features and labels per line")
    return Table(columns, len(rows), lines)


def _row(text: str, line: int) -> dict[str, Any]:
    try:
        row = json.loads(text, object_pairs_hook=_fields)
    except (ValueError, RecursionError) as error:
        reason = cut(str(error))
        raise DataError(f"is not JSON ({reason}); write one object per line", line=line) from None
    if not isinstance(row, dict):
        raise DataError(f"{shown(row)} is not an object; write one per line", line=line)
    return row


def _fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field occurs twice")
    return fields
