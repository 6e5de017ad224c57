"""The way of a row's features from the data to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.data import Dataset
from mllosses_jax.data._dense import dense
from mllosses_jax.data.columns import ColumnEncoder
from mllosses_jax.data.scaling import sparse_scale, standardization


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """What was done to the features of the training part, to be done to those of new rows.

    Attributes:
        shape: the shape of a row's features, as they are in the data.
        names: the names of the D features, or None if they have none.
        shift: what is subtracted from the features, (D,), or () if that is nothing.
        scale: what they are multiplied by then, (D,) or ().
        encoder: what makes the features of the columns of a table, or None if they are as given.
    """

    shape: tuple[int, ...]
    names: tuple[str, ...] | None
    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    encoder: ColumnEncoder | None = None

    @classmethod
    def of(cls, dataset: Dataset) -> Preprocessing:
        """Returns what `Dataset.standardized` does to the features of a data set."""
        shape = dataset.x_train.shape[1:]
        if len(shape) > 1:
            shift, scale = np.zeros(()), np.ones(())
        elif dataset.sparse:
            shift, scale = np.zeros(shape), np.full(shape, sparse_scale(dataset.x_train))
        else:
            shift, scale = standardization(dataset.x_train)
        return cls(shape, dataset.feature_names, shift, scale, dataset.encoder)

    def __call__(self, features: ArrayLike) -> NDArray[np.float32]:
        """Returns the features of rows as the model takes them.

        Raises:
            ComparisonError: the features have another shape, or are not finite numbers.
        """
        x = self.checked(features).astype(np.float64)
        with np.errstate(over="ignore"):
            return ((x - self.shift) * self.scale).astype(np.float32)

    def checked(self, features: ArrayLike) -> NDArray[np.float32]:
        """Returns features of rows as a float32 array; raises as `__call__` does."""
        x = dense(features, "features")
        if x.shape[1:] != self.shape or x.ndim != len(self.shape) + 1:
            raise ComparisonError(
                f"features have shape {x.shape}; the model was trained on features of shape "
                f"{('rows', *self.shape)}".replace("'", "")
            )
        if x.dtype.kind not in "biuf":
            raise ComparisonError(f"features are {x.dtype}; they must be numbers")
        with np.errstate(over="ignore"):  # values beyond float32 become infinite
            x = x.astype(np.float32, copy=False)
        finite = np.isfinite(x)
        if not finite.all():
            row, *place = map(int, np.argwhere(~finite)[0])
            raise ComparisonError(
                f"features are NaN or infinite at row {row}, place {', '.join(map(str, place))}; "
                "fill in such values, or leave the row out"
            )
        return x

    def arrays(self) -> dict[str, Any]:
        """Returns the fields as the arrays of a file."""
        return {
            "feature_shape": np.array(self.shape, np.int64),
            "feature_shift": self.shift,
            "feature_scale": self.scale,
            **({} if self.names is None else {"feature_names": np.array(self.names, str)}),
            **({} if self.encoder is None else {"encoder": np.array(self.encoder.to_json())}),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Preprocessing:
        """Returns what the arrays of a file say.

        Raises:
            KeyError: an array is missing.
            ValueError: an array has the wrong shape.
        """
        shift, scale = arrays["feature_shift"], arrays["feature_scale"]
        shape = tuple(arrays["feature_shape"].tolist())
        names = tuple(arrays["feature_names"].tolist()) if "feature_names" in arrays else None
        encoder = None
        if "encoder" in arrays:
            encoder = ColumnEncoder.from_json(str(arrays["encoder"]))
        if scale.shape != shift.shape or shift.shape not in {(), shape}:
            raise ValueError("shift and scale do not fit the features")
        if names is not None and (len(names),) != shape:
            raise ValueError("the names do not fit the features")
        if encoder is not None and encoder.feature_names != names:
            raise ValueError("the encoder does not fit the names")
        return cls(shape, names, shift, scale, encoder)
