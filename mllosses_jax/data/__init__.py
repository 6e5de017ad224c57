"""Data: readers for npz, CSV, svmlight and ARFF files, the embedded data set, and splits.

`load` reads a file (by its suffix) or the embedded "mosaics" into a `Dataset` of training and test
arrays; a broken file raises a `DataError`, which says what is wrong and where. `make_mosaics` makes
more of the embedded data, `standardize` scales features, and `split` splits off a part in which
each label has its share.

- `loading`: `load`, with one reader per format: `npz`, `csv_file`, `svmlight`, `arff`.
- `scores`: the reader of scores and labels for `mllosses evaluate`, `tune` and `calibrate`, on
  `_score_files`. These are other files than those of `load`.
- `_text`, `_csv_table`, `_archive`: what readers share: cells, label columns, tables and archives;
  `_reading`: the boundary that makes a `DataError` of whatever else a file causes.
- `new_rows`: the features of rows without labels, in all of these formats.
- `dataset`: `Dataset`, which checks what a reader found; `errors`: `DataError`.
- `mosaics`: the embedded data; `scaling`: `standardize`; `splits`: `split`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.loading import load
from mllosses_jax.data.mosaics import make_mosaics
from mllosses_jax.data.scaling import standardize
from mllosses_jax.data.splits import split

__all__ = ["DataError", "Dataset", "load", "make_mosaics", "split", "standardize"]

show_public_names(__name__)
