"""The features of new rows, whose labels are not known, for a model that was trained before."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.data._reading import check_file, reading
from mllosses_jax.data._table import Table
from mllosses_jax.data._table_features import read_features_of
from mllosses_jax.data._text_files import PACKED, ending
from mllosses_jax.data.arff import read_arff_features
from mllosses_jax.data.columns import ColumnEncoder
from mllosses_jax.data.csv_file import csv_cells
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.jsonl import jsonl_cells
from mllosses_jax.data.loading import SUFFIXES
from mllosses_jax.data.npz import read_npz_features
from mllosses_jax.data.parquet import parquet_cells
from mllosses_jax.data.svmlight import read_svmlight_features


def load_features(
    path: str | PathLike[str],
    *,
    feature_names: Sequence[str] | None,
    encoder: ColumnEncoder | None = None,
) -> NDArray[Any]:
    """Loads features of rows from a file of any format that `load` takes, with or without labels.

    Args:
        path: the file. An `.npz` holds them as `X`, `X_test` or `X_train`.
        feature_names: the `feature_names` of the data set that the model was trained on. Text files
            and tables may hold them in any order, and other columns too; an `.npz` must hold them
            in order.
        encoder: the `encoder` of that data set, which the columns of a table go through.

    Returns:
        The features, (N, ...), in the order of the names; NaN where a number is missing in a table
        and there is no encoder.

    Raises:
        DataError: the file lacks a feature, or it is broken.
    """
    file = Path(path)
    suffix = ending(file).removesuffix(PACKED)
    with reading(file):
        check_file(file, SUFFIXES, "a data file", otherwise=" (text also as .gz)")
        if suffix == ".npz":
            return read_npz_features(file)
        if feature_names is None:
            raise DataError(
                "the model was trained on features without names, which cannot be found in such a "
                "file; give an .npz with them as X, in the same order"
            )
        table = table_in(file, suffix)
        if table is not None:
            names = tuple(feature_names)
            encoder = encoder or ColumnEncoder(names, dict.fromkeys(names, np.nan), {}, {})
            return encoder(read_features_of(table, encoder))
        if suffix == ".arff":
            return read_arff_features(file, feature_names)
        return read_svmlight_features(file, feature_names)


def table_in(file: Path, suffix: str) -> Table | None:
    """Returns the table in a file with this ending, or None if there is none in such a file."""
    if suffix in (".csv", ".tsv"):
        return csv_cells(file, named=True)
    if suffix == ".jsonl":
        return jsonl_cells(file)
    return parquet_cells(file) if suffix == ".parquet" else None
