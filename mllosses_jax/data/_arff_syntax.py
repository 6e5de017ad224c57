"""The syntax of ARFF: the header with its attributes, and the cells of dense and sparse rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mllosses_jax.data._text import check_names, to_whole
from mllosses_jax.data._text_files import read_text
from mllosses_jax.data.errors import DataError

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ATTRIBUTE = re.compile(rf"@attribute\s+({_QUOTED}|[^\s{{'\"]+)\s*(.*)", re.IGNORECASE)
_NOMINAL = re.compile(rf"\{{((?:{_QUOTED}|[^'\"}}])*)\}}\s*(?:%.*)?")
_FIELD = re.compile(rf"\s*({_QUOTED}|(?!['\"])[^,]*?)\s*(,|$)")
_SPARSE_FIELD = re.compile(rf"\s*([0-9]+)\s+({_QUOTED}|(?!['\"])[^,\s]+)\s*(,|$)")


@dataclass(frozen=True)
class Attribute:
    """A column: its name, and its values if it is nominal or None if it is numeric."""

    name: str
    values: tuple[str, ...] | None


@dataclass(frozen=True)
class Arff:
    """A parsed header and the rows below it, as numbered lines of text."""

    path: Path
    relation: str
    attributes: tuple[Attribute, ...]
    rows: list[tuple[int, str]]

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [attribute.name for attribute in self.attributes]


def parse_arff(path: Path) -> Arff:
    r"""Parses the header of a file and collects its rows, without blank and comment lines.

    Args:
        path: the file.

    Returns:
        The header and the rows.

    Raises:
        DataError: the header cannot be parsed, or there are no attributes or rows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.arff")
        >>> _ = path.write_text("@relation r\n@attribute a real\n@data\n1.5\n")
        >>> parse_arff(path).attributes, parse_arff(path).rows
        ((Attribute(name='a', values=None),), [(4, '1.5')])
    """
    relation = ""
    attributes: list[Attribute] = []
    lines = [
        (number, line.strip())
        for number, line in enumerate(read_text(path).split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("%")
    ]
    end = next((i for i, (_, line) in enumerate(lines) if line.lower().startswith("@data")), None)
    if end is None:
        raise DataError("no @data line; write one between the attributes and the rows")
    for number, line in lines[:end]:
        keyword = line.split(maxsplit=1)[0].lower()
        if keyword == "@relation":
            relation = line[len(keyword) :].strip()
        elif keyword == "@attribute":
            attributes.append(_attribute(line, number))
        else:
            raise DataError(
                f"{line[:40]!r} in the header; it has only @relation, @attribute and @data",
                line=number,
            )
    if not attributes:
        raise DataError("no @attribute before @data; declare every column", line=lines[end][0])
    check_names([attribute.name for attribute in attributes], "attribute")
    rows = lines[end + 1 :]
    if not rows:
        raise DataError("no rows below @data; add one per sample", line=lines[end][0])
    return Arff(path, relation, tuple(attributes), rows)


def _attribute(line: str, number: int) -> Attribute:
    match = _ATTRIBUTE.fullmatch(line)
    if match is None:
        raise DataError(
            f"{line[:60]!r} is not understood; write @attribute name type, and quote a name that "
            "contains blanks",
            line=number,
        )
    name, kind = unquote(match[1]), match[2]
    if kind.startswith("{"):
        nominal = _NOMINAL.fullmatch(kind)
        values = [] if nominal is None else split_dense(nominal[1], number)
        if not any(values):
            raise DataError(f"values of {name!r} are not understood; write {{a,b}}", line=number)
        check_names(values, f"value of {name!r},", number)
        return Attribute(name, tuple(values))
    word = kind.split("%")[0].split("[")[0].strip().lower()
    if word not in ("numeric", "real", "integer"):
        raise DataError(
            f"attribute {name!r} has type {word or 'none'}; numeric and {{a,b}} are read, so drop "
            "or recode the column",
            line=number,
        )
    return Attribute(name, None)


def unquote(text: str) -> str:
    """Returns a name or value without its quotes and backslashes."""
    if text[:1] in ("'", '"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def split_dense(text: str, line: int) -> list[str]:
    """Returns the cells of a dense row, or the values of a nominal attribute."""
    if "'" not in text and '"' not in text:
        return [cell.strip() for cell in text.split(",")]
    cells = []
    position = 0
    while True:
        match = _FIELD.match(text, position)
        if match is None:
            raise DataError(
                f"quotes do not match near {text[position:][:30]!r}; close them", line=line
            )
        cells.append(unquote(match[1]))
        position = match.end()
        if not match[2]:
            return cells


def split_sparse(text: str, attributes: Sequence[Attribute], line: int) -> dict[int, str]:
    """Returns the cells of a sparse row, such as `{0 1.5, 4 yes}`, by column."""
    if not text.endswith("}"):
        raise DataError("a sparse row ends with }; add it", line=line)
    body = text[1:-1].strip()
    cells: dict[int, str] = {}
    position = 0
    while position < len(body):
        match = _SPARSE_FIELD.match(body, position)
        if match is None:
            raise DataError(
                f"{body[position:].strip()[:30]!r} in a sparse row; write 'index value' pairs "
                "with commas between them",
                line=line,
            )
        index = to_whole(match[1])
        if index is None or index >= len(attributes):
            raise DataError(
                f"index {match[1][:20]} is out of range; the {len(attributes)} attributes are "
                "counted from 0",
                line=line,
            )
        if index in cells:
            raise DataError(f"index {index} occurs twice; keep one", line=line)
        cells[index] = unquote(match[2])
        position = match.end()
    return cells
