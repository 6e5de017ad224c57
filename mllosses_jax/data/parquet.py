"""Reader for Parquet files, by pyarrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mllosses_jax._core.memory import available_memory
from mllosses_jax._core.text import cut
from mllosses_jax.data._table import Cells, Table
from mllosses_jax.data._text import Drop, Labels, check_names
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.tables import data_set_of, dropped_columns


def read_parquet(path: Path, labels: Labels = None, drop: Drop = None) -> Dataset:
    """Reads the columns of a Parquet file, with the rules of `read_jsonl`; null is a missing cell.

    Args:
        path: the file.
        labels: the names of the label columns, or their number if they are the last ones.
        drop: the names of columns to leave out, which are not read.

    Returns:
        A data set without a test part.

    Raises:
        DataError: the file breaks one of these rules, or pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError(
            "needs pyarrow, which is not installed; run pip install 'mllosses-jax[parquet]'"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_names(names, "column")
            dropped = dropped_columns(names, drop)
            _check_size(file.metadata)
            # What is dropped is not read, because it may be of a type that Python lacks.
            read = file.read(columns=[name for name in names if name not in dropped])
            columns = {name: _cells(read.column(name)) for name in read.column_names}
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = cut(" ".join(str(error).split()))
        raise DataError(f"is not a sound Parquet file ({reason}); write it again") from None
    if not read.num_rows:
        raise DataError("has no rows; write one per sample")
    columns |= dict.fromkeys(dropped, ())
    return data_set_of(Table(columns), name=path.stem, labels=labels, drop=drop)


def _check_size(metadata: Any) -> None:
    groups = (metadata.row_group(at) for at in range(metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > available_memory() // 4:
        raise DataError(
            f"unpacks to {size / 2**30:.1f} GiB, more than a quarter of the memory that is left; "
            "keep fewer rows or columns"
        )


def _cells(column: Any) -> Cells:
    from pyarrow import types

    if types.is_integer(column.type) or types.is_floating(column.type):
        cells: Cells = column.to_numpy()  # A missing number is NaN.
    else:
        cells = column.to_pylist()
    return cells
