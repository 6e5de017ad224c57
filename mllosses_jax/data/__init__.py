"""Data: readers of tables, arrays and svmlight files, the embedded data set, and splits.

`load` reads a file (by its suffix) or the embedded "mosaics" into a `Dataset` of training and test
arrays; a broken file raises a `DataError`, which says what is wrong and where. `make_mosaics` makes
more of the embedded data, `standardize` scales features, `split` splits off a part in which each
label has its share, and `balanced_sampling_weights` are probabilities for drawing rows.

- `loading`: `load`, with one reader per format: `csv_file`, `jsonl`, `parquet`, `npz`, `arff`,
  `svmlight`.
- `tables`: from a table of any format to its data set, by `_table`, `_table_labels` and
  `_table_features`; `columns`: the encoder that fills in numbers and codes categories.
- `scores`: the reader of scores and labels for `mllosses evaluate`, `tune` and `calibrate`, on
  `_score_files`; `score_folder`: those of several models. These are other files than those of
  `load`.
- `_text`, `_text_files`, `_csv_table`, `_archive`, `_sparse_arrays`: what readers share: cells,
  packed files, rows of CSV, archives and the matrices in them; `_reading`: the boundary that makes
  a `DataError` of whatever else a file causes.
- `new_rows`: the features of rows without labels, in all of these formats; `validation`: a
  validation part from a file of its own.
- `dataset`: `Dataset`, which checks what a reader found, by `_checked_arrays`; `errors`:
  `DataError`.
- `mosaics`: the embedded data; `scaling`: `standardize`; `splits`: `split`;
  `group_splits`: parts that keep groups whole; `sampling`: `balanced_sampling_weights`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.loading import load
from mllosses_jax.data.mosaics import make_mosaics
from mllosses_jax.data.sampling import balanced_sampling_weights
from mllosses_jax.data.scaling import standardize
from mllosses_jax.data.splits import split

__all__ = [
    "DataError",
    "Dataset",
    "balanced_sampling_weights",
    "load",
    "make_mosaics",
    "split",
    "standardize",
]

show_public_names(__name__)
