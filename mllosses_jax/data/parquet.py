"""Reader for Parquet files, by pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mllosses_jax._core.memory import available_memory
from mllosses_jax._core.text import cut
from mllosses_jax.data._table import Cells, Table
from mllosses_jax.data._text import Drop, Labels, check_names
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.tables import data_set_of


def read_parquet(
    path: Path, labels: Labels = None, drop: Drop = None, groups: str | None = None
) -> Dataset:
    """Reads the columns of a Parquet file, with the rules of `read_jsonl`; null is a missing cell.

    Args:
        path: the file.
        labels: the names of the label columns, or their number if they are the last ones.
        drop: the names of columns to leave out.
        groups: the column with the group of each row, which is no feature.

    Returns:
        A data set without a test part.

    Raises:
        DataError: the file breaks one of these rules, or pyarrow is not installed.
    """
    return data_set_of(parquet_cells(path), name=path.stem, labels=labels, drop=drop, groups=groups)


def parquet_cells(path: Path) -> Table:
    """Returns the table in a Parquet file.

    Raises:
        DataError: it is none, or pyarrow is not installed.
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
            check_names(file.schema_arrow.names, "column")
            _check_size(file.metadata)
            table = file.read()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = cut(" ".join(str(error).split()))
        raise DataError(f"is not a sound Parquet file ({reason}); write it again") from None
    if not table.num_rows or not table.num_columns:
        raise DataError("has no rows; write one per sample")
    return Table(_Columns(table), table.num_rows)


def _check_size(metadata: Any) -> None:
    groups = (metadata.row_group(at) for at in range(metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > available_memory() // 4:
        raise DataError(
            f"unpacks to {size / 2**30:.1f} GiB, more than a quarter of the memory that is left; "
            "keep fewer rows or columns"
        )


class _Columns(Mapping[str, Cells]):
    """The columns of a table of Arrow, of which each is converted when it is asked for.

    A column that is left out may be of a type that Python lacks.
    """

    def __init__(self, table: Any) -> None:
        self._table = table

    def __getitem__(self, name: str) -> Cells:
        from pyarrow import types

        column = self._table.column(name)
        is_numeric = types.is_integer(column.type) or types.is_floating(column.type)
        try:
            # A missing number is NaN.
            cells: Cells = column.to_numpy() if is_numeric else column.to_pylist()
        except ValueError as error:  # such as text that is not UTF-8
            raise DataError(
                f"column {name!r} cannot be converted ({cut(str(error))}); give drop= with its name"
            ) from None
        return cells

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_columns)
