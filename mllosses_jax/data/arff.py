"""Reader for ARFF files, as in the MULAN and MEKA collections."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from mllosses_jax._core.text import shown
from mllosses_jax.data._arff_syntax import Arff, Attribute, parse_arff, split_dense, split_sparse
from mllosses_jax.data._reading import reading
from mllosses_jax.data._text import (
    Drop,
    Labels,
    check_dense_size,
    feature_positions,
    label_positions,
    parse_label,
    parse_number,
    to_whole,
)
from mllosses_jax.data._text_files import stem
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.tables import check_column, dropped_columns

_Part: TypeAlias = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]


def read_arff(
    path: Path, labels: Labels = None, drop: Drop = None, groups: str | None = None
) -> Dataset:
    r"""Reads an ARFF file with dense or sparse rows.

    Labels are the attributes that the caller gives; or those that the XML file beside it names
    (MULAN: `name.xml` beside `name.arff` or `name-train.arff`); or those of `-C n` in the relation
    (MEKA: the first n attributes, or the last n if n is negative). They hold 0 or 1, or `?` if
    unknown. If the file is `name-train.arff` (or `name_train.arff`), `name-test.arff` beside it is
    read as the test part.

    Numeric features are used as they are. A nominal feature becomes 0 or 1 if it has two values,
    in the order of their declaration, and one column per value if it has more. An attribute that a
    sparse row leaves out is 0 if it is numeric, and has its first declared value if it is nominal,
    whether it is a label or a feature: that is the rule of the format.

    Args:
        path: the file.
        labels: the names of the label attributes, or their number if they are the last ones.
        drop: the names of attributes to leave out.
        groups: the attribute with the group of each row, which is no feature.

    Returns:
        The data set, with a test part if there is a file for it.

    Raises:
        DataError: a file breaks one of these rules.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.arff")
        >>> _ = path.write_text(
        ...     "@relation 'toy: -C 1'\n@attribute cat {0,1}\n@attribute height real\n"
        ...     "@data\n1,0.5\n0,1.5\n"
        ... )
        >>> data = read_arff(path)
        >>> data.label_names, data.x_train.tolist()
        (('cat',), [[0.5], [1.5]])
    """
    train = parse_arff(path)
    dropped = dropped_columns(train.names, drop)
    if groups is not None:
        dropped = (*dropped, check_column(groups, train.names, "groups"))
    kept = [name for name in train.names if name not in dropped]
    label_names = _label_names(train, kept, labels)
    others = set(kept) - set(label_names)
    features = [attribute for attribute in train.attributes if attribute.name in others]
    x, y, mask = _read_rows(train, features, label_names)
    x_test = y_test = mask_test = groups_test = None
    groups_train = None if groups is None else _groups(train, train, groups)
    base, test_path = _base_and_test(path)
    if test_path is not None:
        with reading(test_path):
            test = parse_arff(test_path)
            if len(test.names) > len(train.names):
                raise DataError("has attributes that the training file lacks; drop them")
            x_test, y_test, mask_test = _read_rows(test, features, label_names)
            if groups is not None and groups in test.names:
                groups_test = _groups(test, train, groups)
    return Dataset(
        name=base,
        label_names=tuple(label_names),
        x_train=x,
        y_train=y,
        mask_train=mask,
        x_test=x_test,
        y_test=y_test,
        mask_test=mask_test,
        sparse=all(text.startswith("{") for _, text in train.rows),
        groups_train=groups_train,
        groups_test=groups_test,
        feature_names=tuple(name for feature in features for name in _column_names(feature)),
    )


def _groups(arff: Arff, declared: Arff, name: str) -> NDArray[Any]:
    """Returns the group of each row as text, by the attribute as another file declares it."""
    attributes = [attribute for attribute in declared.attributes if attribute.name == name]
    values = _read_rows(arff, attributes, [])[0]
    if values.shape[1] == 1:
        return np.array([f"{value:.9g}" for value in values[:, 0]])
    names = np.array([text.partition("=")[2] for text in _column_names(attributes[0])])
    return np.asarray(names[values.argmax(axis=1)])


def read_arff_features(path: Path, names: Sequence[str]) -> NDArray[np.float32]:
    """Reads the features of new rows.

    Args:
        path: the file; attributes that are none of the features are left out.
        names: the names of the features, from the data set that the model was trained on.

    Returns:
        The features, (N, D), in the order of the names.

    Raises:
        DataError: a feature is missing, or the file is broken.
    """
    arff, wanted = parse_arff(path), set(names)
    features = [a for a in arff.attributes if not wanted.isdisjoint(_column_names(a))]
    found = [name for feature in features for name in _column_names(feature)]
    at = feature_positions(names, found)
    return _read_rows(arff, features, [])[0][:, at]


def _column_names(feature: Attribute) -> list[str]:
    """Returns the names of the columns that a feature becomes."""
    if feature.values is None:
        return [feature.name]
    shown_values = feature.values if len(feature.values) > 2 else feature.values[-1:]
    return [f"{feature.name}={value}" for value in shown_values]


def _base_and_test(path: Path) -> tuple[str, Path | None]:
    """Returns the name without `-train`, and the test file if there is one."""
    match = re.fullmatch(r"(.+)([-_])train", stem(path))
    if match is None:
        return stem(path), None
    test_path = path.with_name(f"{match[1]}{match[2]}test{path.name[len(stem(path)) :]}")
    return match[1], test_path if test_path.is_file() else None


def _label_names(arff: Arff, kept: list[str], labels: Labels) -> list[str]:
    """Returns which of the attributes that are kept are labels."""
    if labels is not None:
        return [kept[position] for position in label_positions(labels, kept)]
    for name in (stem(arff.path), _base_and_test(arff.path)[0]):
        xml_path = arff.path.with_name(f"{name}.xml")
        if xml_path.is_file():
            with reading(xml_path):
                declared = set(_xml_labels(xml_path))
                unknown = sorted(declared - set(arff.names))
                if unknown:
                    raise DataError(
                        f"label {shown(unknown[0])} is not an attribute of {arff.path.name}; "
                        "correct its name"
                    )
            return [name for name in kept if name in declared]
    meka = re.search(r"-C\s+(-?)([0-9]+)", arff.relation)
    if meka is None:
        raise DataError(
            "declares no labels; give labels= with their names or number, put "
            f"{stem(arff.path)}.xml beside it, or write -C n in the relation"
        )
    count, total = to_whole(meka[2]), len(arff.attributes)
    if count is None or not 0 < count < total:
        given = f"{meka[1]}{meka[2][:20]}"
        raise DataError(f"-C {given} in the relation of {total} attributes; correct the number")
    declared = set(arff.names[-count:] if meka[1] else arff.names[:count])
    return [name for name in kept if name in declared]


def _xml_labels(path: Path) -> list[str]:
    """Returns the names in a MULAN label file, in which labels may be nested."""
    raw = path.read_bytes()
    # Label files need no document type, which could define entities that grow without bound.
    if b"<!DOCTYPE" in raw:
        raise DataError("has a document type; remove the <!DOCTYPE> line")
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise DataError(f"is not valid XML ({error}); correct it", line=error.position[0]) from None
    except (LookupError, ValueError) as error:
        raise DataError(
            f"declares an encoding that is not known ({error}); save it as UTF-8"
        ) from None
    names = [tag.get("name", "") for tag in root.iter() if tag.tag.split("}")[-1] == "label"]
    if not all(names) or not names:
        raise DataError('names no labels; write <label name="..."></label> for each')
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"label {twice!r} occurs twice; keep one")
    return names


@dataclass(frozen=True)
class _Nominal:
    """The encoding of a nominal feature: the first of its columns, and its values."""

    column: int
    values: tuple[str, ...]

    def write(self, x: NDArray[np.float32], value: int) -> None:
        """Writes a value, given by its position among the values, into one row or all rows."""
        if len(self.values) <= 2:
            x[..., self.column] = value
        else:
            x[..., self.column : self.column + len(self.values)] = 0
            x[..., self.column + value] = 1


def _read_rows(arff: Arff, features: list[Attribute], label_names: list[str]) -> _Part:
    """Reads the rows of a file into the columns that the training file defines."""
    place = {name: position for position, name in enumerate(arff.names)}
    for name in [*(feature.name for feature in features), *label_names]:
        if name not in place:
            raise DataError(f"attribute {name!r} of the training file is missing; add it")
    numeric: dict[int, int] = {}
    nominal: dict[int, _Nominal] = {}
    width = 0
    for feature in features:
        if feature.values is None:
            numeric[place[feature.name]] = width
            width += 1
        else:
            nominal[place[feature.name]] = _Nominal(width, feature.values)
            width += len(feature.values) if len(feature.values) > 2 else 1
    label_column = {place[name]: column for column, name in enumerate(label_names)}

    check_dense_size(len(arff.rows), width, "features", 4)
    check_dense_size(len(arff.rows), len(label_names), "labels", 1)
    x = np.zeros((len(arff.rows), width), np.float32)
    y = np.zeros((len(arff.rows), len(label_names)), np.bool_)
    mask = np.ones(y.shape, np.bool_)
    _write_left_out(arff, nominal, label_column, x, y)
    for i, (line, text) in enumerate(arff.rows):
        for position, cell in _cells(arff, text, line):
            if position in label_column:
                value = parse_label(cell, arff.names[position], line)
                y[i, label_column[position]] = bool(value)
                mask[i, label_column[position]] = value is not None
            elif position in numeric:
                x[i, numeric[position]] = parse_number(cell, arff.names[position], line)
            elif position in nominal:
                code = nominal[position]
                if cell not in code.values:
                    raise DataError(
                        f"feature {arff.names[position]!r} is {shown(cell)}, not one of its "
                        "declared values; fill it in, drop the row or declare the value",
                        line=line,
                    )
                code.write(x[i], code.values.index(cell))
    return x, y, mask


def _write_left_out(
    arff: Arff,
    nominal: dict[int, _Nominal],
    label_column: dict[int, int],
    x: NDArray[np.float32],
    y: NDArray[np.bool_],
) -> None:
    """Writes the nominal values that sparse rows leave out; numbers are zero already."""
    for position, code in nominal.items():
        # This is the value declared first in this file, which the training file may not put first.
        own = arff.attributes[position].values or code.values
        if own[0] in code.values:
            code.write(x, code.values.index(own[0]))
    for position, column in label_column.items():
        values = arff.attributes[position].values
        if values is not None:
            y[:, column] = bool(parse_label(values[0], arff.names[position], arff.rows[0][0]))


def _cells(arff: Arff, text: str, line: int) -> list[tuple[int, str]]:
    """Returns the cells of a row with their columns."""
    if text.startswith("{"):
        return list(split_sparse(text, arff.attributes, line).items())
    cells = split_dense(text, line)
    if len(cells) != len(arff.attributes):
        raise DataError(
            f"{len(cells)} cells for {len(arff.attributes)} attributes; every row needs one per "
            "attribute, and cells with commas need quotes",
            line=line,
        )
    return list(enumerate(cells))
