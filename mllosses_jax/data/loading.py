"""The single entry point: a data set from a file, by its suffix, or the embedded one, by name."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from mllosses_jax.data._reading import check_file, reading
from mllosses_jax.data.arff import read_arff
from mllosses_jax.data.csv_file import read_csv
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.mosaics import make_mosaics
from mllosses_jax.data.npz import read_npz
from mllosses_jax.data.svmlight import read_svmlight

READERS = {
    ".npz": lambda path, _: read_npz(path),
    ".arff": read_arff,
    ".csv": read_csv,
    ".libsvm": read_svmlight,
    ".svm": read_svmlight,
    ".svmlight": read_svmlight,
    ".txt": read_svmlight,
}


def load(
    path_or_name: str | PathLike[str], *, labels: int | Sequence[str] | None = None
) -> Dataset:
    """Loads a data set from a file, or the embedded one.

    Args:
        path_or_name: a file (`.npz`, `.csv`, `.arff`, or svmlight as `.svm`, `.svmlight`,
            `.libsvm` or `.txt`), or "mosaics" for the data set that comes with the package.
        labels: which columns of a `.csv` or `.arff` file are labels: their names, or their number
            if they are the last ones. For svmlight: the names or the number of labels 0, 1, ...

    Returns:
        The data set. It has a test part if the file has one; `Dataset.with_test` splits one off.

    Raises:
        DataError: there is no such file, or it is broken; the message says where and how to fix
            it.

    Example:
        >>> load("mosaics")
        Dataset('mosaics': 4000 training rows, 2000 test rows, 256 features, 10 labels)
    """
    path = Path(path_or_name)
    suffix = path.suffix.lower()
    embedded = fspath(path_or_name) == "mosaics"
    with reading(path):
        if labels is not None and (embedded or suffix == ".npz"):
            raise DataError("names its labels itself; leave labels= out")
        if embedded:
            return make_mosaics()
        check_file(path, tuple(READERS), "a data file", otherwise=", or 'mosaics'")
        return READERS[suffix](path, labels)
