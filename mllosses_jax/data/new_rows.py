"""The features of new rows, whose labels are not known, for a model that was trained before."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mllosses_jax.data._reading import check_file, reading
from mllosses_jax.data.arff import read_arff_features
from mllosses_jax.data.csv_file import read_csv_features
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.loading import READERS
from mllosses_jax.data.npz import read_npz_features
from mllosses_jax.data.svmlight import read_svmlight_features

BY_NAME = {".arff": read_arff_features, ".csv": read_csv_features}


def load_features(
    path: str | PathLike[str], *, feature_names: Sequence[str] | None
) -> NDArray[Any]:
    """Loads features of rows from a file of any format that `load` takes, with or without labels.

    Args:
        path: the file. An `.npz` holds them as `X`, `X_test` or `X_train`.
        feature_names: the `feature_names` of the data set that the model was trained on. Text files
            may hold them in any order, and other columns too; an `.npz` must hold them in order.

    Returns:
        The features, (N, ...), in the order of the names.

    Raises:
        DataError: the file lacks a feature, or it is broken.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    with reading(file):
        check_file(file, tuple(READERS), "a data file")
        if suffix == ".npz":
            return read_npz_features(file)
        if feature_names is None:
            raise DataError(
                "the model was trained on features without names, which cannot be found in a text "
                "file; give an .npz with them as X, in the same order"
            )
        return BY_NAME.get(suffix, read_svmlight_features)(file, feature_names)
