"""Feature columns of a table, and the encoder that makes numbers of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._text import check_dense_size


class Categories(NamedTuple):
    """A column of texts.

    Attributes:
        codes: int32 (N,), the position of each text among the values, or -1 where it is missing.
        values: the different texts, sorted.
    """

    codes: NDArray[np.int32]
    values: tuple[str, ...]


# Numbers are float32 (N,), NaN where one is missing.
Column: TypeAlias = NDArray[np.float32] | Categories
Columns: TypeAlias = Mapping[str, Column]


def rows_of(columns: Columns, rows: NDArray[np.intp]) -> dict[str, Column]:
    """Returns the same columns with some of their rows."""
    return {
        name: column._replace(codes=column.codes[rows])
        if isinstance(column, Categories)
        else column[rows]
        for name, column in columns.items()
    }


@dataclass(frozen=True)
class ColumnEncoder:
    """Makes numbers of columns as the rows it was fitted to suggest.

    A missing number becomes the median of its column. A column of texts becomes one column per
    text, which is 1 where the row has that text; a text that is missing, or that was not among the
    rows of the fit, is 0 in all of them.

    Attributes:
        columns: the names of the columns, in order.
        medians: the median of each column of numbers; 0 if all of them are missing.
        categories: the texts of each column of texts, sorted.
        missing: the number of missing cells in each column of the fit that has any.
        left_out: the columns of the file that are no features: an index, and those dropped.
    """

    columns: tuple[str, ...]
    medians: Mapping[str, float]
    categories: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, int]
    left_out: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features: those of the columns, or such as `colour=red`."""
        return tuple(
            feature
            for name in self.columns
            for feature in (
                [f"{name}={text}" for text in self.categories[name]]
                if name in self.categories
                else [name]
            )
        )

    def to_json(self) -> str:
        """Returns the encoder as text, which `from_json` reads."""
        return json.dumps(asdict(self), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> ColumnEncoder:
        """Returns the encoder that `to_json` wrote; raises ValueError for another text."""
        try:
            fields = json.loads(text)
            encoder = cls(
                columns=tuple(fields["columns"]),
                medians={name: float(value) for name, value in fields["medians"].items()},
                categories={name: tuple(each) for name, each in fields["categories"].items()},
                missing={name: int(count) for name, count in fields["missing"].items()},
                left_out=tuple(fields["left_out"]),
            )
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"is no encoder of columns ({error})") from None
        if {*encoder.medians, *encoder.categories} != set(encoder.columns):
            raise ValueError("is no encoder of columns: their kinds are not known")
        return encoder

    def __call__(self, columns: Columns) -> NDArray[np.float32]:
        """Returns features (N, D) of the rows of columns, which must be those of the fit."""
        first = columns[self.columns[0]]
        count = len(first.codes if isinstance(first, Categories) else first)
        width = len(self.columns) + sum(len(texts) - 1 for texts in self.categories.values())
        check_dense_size(count, width, "features", 4)
        x = np.zeros((count, width), np.float32)
        start = 0
        for name in self.columns:
            column = columns[name]
            if isinstance(column, Categories):
                place = {text: start + j for j, text in enumerate(self.categories[name])}
                # The last entry is that of the code -1.
                places = np.array([*(place.get(text, -1) for text in column.values), -1])
                at = places[column.codes]
                x[at >= 0, at[at >= 0]] = 1
                start += len(place)
            else:
                x[:, start] = np.where(np.isnan(column), np.float32(self.medians[name]), column)
                start += 1
        return x


def fit_encoder(columns: Columns, left_out: tuple[str, ...] = ()) -> ColumnEncoder:
    """Returns the encoder of columns, fitted to all of their rows."""
    medians: dict[str, float] = {}
    categories: dict[str, tuple[str, ...]] = {}
    missing: dict[str, int] = {}
    for name, column in columns.items():
        if isinstance(column, Categories):
            lacking = column.codes < 0
            present = np.unique(column.codes[~lacking])
            categories[name] = tuple(column.values[code] for code in present)
        else:
            lacking = np.isnan(column)
            known = column[~lacking].astype(np.float64)
            medians[name] = float(np.median(known)) if known.size else 0.0
        if lacking.any():
            missing[name] = int(lacking.sum())
    return ColumnEncoder(tuple(columns), medians, categories, missing, left_out)
