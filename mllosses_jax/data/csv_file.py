"""Reader for CSV files: a header row, then one sample per row, with labels and features."""

from __future__ import annotations

from pathlib import Path

from mllosses_jax.data._csv_table import read_csv_table
from mllosses_jax.data._table import Table
from mllosses_jax.data._text import Drop, Labels, check_names, is_number
from mllosses_jax.data._text_files import ending, stem
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.tables import data_set_of


def read_csv(
    path: Path, labels: Labels = None, drop: Drop = None, groups: str | None = None
) -> Dataset:
    r"""Reads a CSV file with a header row, whose cells are separated by commas, semicolons or tabs.

    Labels are the columns whose names start with `label:` or `label_` (which is dropped from the
    name), or a column `labels`, or those the caller gives. A label cell is 0 or 1, yes or no, true
    or false, or, if unknown, empty, `?`, `nan` or `NA`. The only label column may instead hold the
    names of the labels of each row, separated by `;`, `|` or `,`.

    All other columns are features. One of numbers may lack some; a column of texts becomes one of 0
    and 1 for each text. An index is left out. Blank lines are skipped. Between semicolons, numbers
    may have decimal commas.

    Args:
        path: the file; in a `.tsv` file, cells are separated by tabs.
        labels: the names of the label columns, or their number if they are the last ones.
        drop: the names of columns to leave out.
        groups: the column with the group of each row, which is no feature.

    Returns:
        A data set without a test part.

    Raises:
        DataError: the file breaks one of these rules.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "toy.csv")
        >>> _ = path.write_text("height,label:cat,label:dog\n1.5,0,1\n0.25,1,?\n")
        >>> data = read_csv(path)
        >>> data.label_names, data.mask_train.tolist()
        (('cat', 'dog'), [[True, True], [True, False]])
    """
    named = not (labels is None or isinstance(labels, int))
    table = csv_cells(path, named=named)
    return data_set_of(table, name=stem(path), labels=labels, drop=drop, groups=groups)


def csv_cells(path: Path, *, named: bool) -> Table:
    """Returns the table in a CSV file.

    Args:
        path: the file.
        named: whether the caller names columns, which shows that the header is none of the rows.

    Raises:
        DataError: the file is not valid CSV, or has no names in its header.
    """
    found = read_csv_table(path, "\t" if ending(path).startswith(".tsv") else None)
    if not named:
        found.check_header(is_cell=is_number, what="numbers")
    # The first column may have no name: then it is the index that pandas writes.
    check_names(found.columns if found.columns[0] else found.columns[1:], "column", found.line)
    rows = found.rows()
    cells = zip(*(row.cells for row in rows), strict=True)
    return Table(
        columns=dict(zip(found.columns, cells, strict=True)),
        num_rows=len(rows),
        lines=[row.line for row in rows],
        header_line=found.line,
        decimal_commas=found.decimal_commas,
    )
