"""Data: readers for npz, CSV, svmlight and ARFF files, the embedded data set, and splits."""

from mllosses_jax.data.dataset import Dataset
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.loading import load
from mllosses_jax.data.mosaics import make_mosaics
from mllosses_jax.data.scaling import standardise
from mllosses_jax.data.splits import split

__all__ = ["DataError", "Dataset", "load", "make_mosaics", "split", "standardise"]
