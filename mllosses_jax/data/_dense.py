"""Conversion of arrays from callers, which must be dense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.data.errors import DataError


def dense(values: ArrayLike, what: str) -> NDArray[Any]:
    """Returns an array; raises for a sparse matrix, which NumPy would wrap as a single object."""
    if hasattr(values, "toarray"):
        raise DataError(f"{what} is a sparse {type(values).__name__}; give {what}.toarray()")
    return np.asarray(values)
