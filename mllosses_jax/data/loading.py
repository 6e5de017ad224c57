"""The single entry point: a data set from a file, by its ending, or the embedded one, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path

from mllosses_jax.data._reading import check_file, reading
from mllosses_jax.data._text import Drop, Labels
from mllosses_jax.data._text_files import PACKED, ending
from mllosses_jax.data.arff import read_arff
from mllosses_jax.data.csv_file import read_csv
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.jsonl import read_jsonl
from mllosses_jax.data.mosaics import make_mosaics
from mllosses_jax.data.npz import read_npz
from mllosses_jax.data.parquet import read_parquet
from mllosses_jax.data.svmlight import read_svmlight

# Readers of files whose columns have names, so that some can be left out, and of other files.
TABLES: dict[str, Callable[[Path, Labels, Drop, str | None], Dataset]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".jsonl": read_jsonl,
    ".arff": read_arff,
    ".parquet": read_parquet,
}
NAMELESS: dict[str, Callable[[Path, Labels], Dataset]] = {
    ".npz": read_npz,
    ".libsvm": read_svmlight,
    ".svm": read_svmlight,
    ".svmlight": read_svmlight,
    ".txt": read_svmlight,
}
PLAIN = (*TABLES, *NAMELESS)
SUFFIXES = (*PLAIN, *(suffix + PACKED for suffix in PLAIN if suffix not in (".npz", ".parquet")))


def load(
    path_or_name: str | PathLike[str],
    *,
    labels: int | Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    groups: str | None = None,
) -> Dataset:
    """Loads a data set from a file, or the embedded one.

    Args:
        path_or_name: a file (`.csv`, `.tsv`, `.jsonl`, `.parquet`, `.npz`, `.arff`, or svmlight as
            `.svm`, `.svmlight`, `.libsvm` or `.txt`; text may be packed, as in `.csv.gz`), or
            "mosaics" for the data set that comes with the package.
        labels: which columns of a table (`.csv`, `.tsv`, `.jsonl`, `.parquet` or `.arff`) are
            labels: their names, or their number if they are the last ones. For svmlight: the names
            or the number of labels 0, 1, ...; for a sparse matrix saved by SciPy: their number.
        drop: the names of columns of a table to leave out.
        groups: the name of a column of a table, such as a patient's number: rows of a group stay
            together when rows are split. The column is no feature.

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
    embedded = fspath(path_or_name) == "mosaics"
    suffix = ending(path).removesuffix(PACKED)
    with reading(path):
        if labels is not None and embedded:
            raise DataError("names its labels itself; leave labels= out")
        if drop is not None and (embedded or suffix in NAMELESS):
            raise DataError("has no columns with names; leave drop= out")
        if groups is not None and (embedded or suffix in NAMELESS):
            raise DataError("has no columns with names; leave groups= out")
        if embedded:
            return make_mosaics()
        check_file(path, SUFFIXES, "a data file", otherwise=" (text also as .gz), or 'mosaics'")
        if suffix in TABLES:
            return TABLES[suffix](path, labels, drop, groups)
        return NAMELESS[suffix](path, labels)
