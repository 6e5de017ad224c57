"""The data set that every reader returns; features and labels are checked here, once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.data._dense import dense
from mllosses_jax.data._text import check_names
from mllosses_jax.data.columns import ColumnEncoder, Columns, fit_encoder, rows_of
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.group_splits import group_codes, split_groups
from mllosses_jax.data.scaling import sparse_scale, standardize
from mllosses_jax.data.splits import split


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dataset:
    """Features and labels of a training part and, if there is one, a test part.

    Arrays are checked and converted: features to float32, labels and masks to bool.

    Args:
        name: the name of the data set.
        label_names: the names of the L labels.
        x_train: (N, D) features, finite; or (N, ...), for a model of your own.
        y_train: (N, L) labels, 0 or 1, or NaN if unknown; unknown labels become 0.
        mask_train: (N, L), True where the label is known; None if every label that is not NaN is
            known.
        x_test: (M, D) or (M, ...) features, or None if there is no test part.
        y_test: (M, L) labels, or None.
        mask_test: (M, L), or None.
        sparse: whether the features were stored sparse (mostly zeros, such as word counts); sparse
            features are used as they are, while dense ones are standardised. Features of more than
            two axes are used as they are, too.
        feature_names: the names of the D features, or None if they have none.
        encoder: what made the features of the columns of a table, or None if they are as given.
        groups_train: (N,), the group of each training row, such as a patient, as a number or text;
            rows of a group stay together wherever rows are split. It becomes the number of the
            group, from 0. None if rows are unrelated.

    Raises:
        DataError: shapes disagree, labels are not 0 or 1, features are not finite, a group is
            missing, or label names are repeated or differ in number from the labels.

    Example:
        >>> Dataset(name="toy", label_names=("a", "b"), x_train=[[0.5], [1]], y_train=[[1, 0]] * 2)
        Dataset('toy': 2 training rows, no test part, 1 features, 2 labels)
    """

    name: str
    label_names: tuple[str, ...]
    x_train: NDArray[np.float32]
    y_train: NDArray[np.bool_]
    mask_train: NDArray[np.bool_] | None = None
    x_test: NDArray[np.float32] | None = None
    y_test: NDArray[np.bool_] | None = None
    mask_test: NDArray[np.bool_] | None = None
    sparse: bool = False
    feature_names: tuple[str, ...] | None = None
    encoder: ColumnEncoder | None = None
    groups_train: NDArray[np.intp] | None = None
    # The columns of the training rows. A copy by `replace` has none, as its features may be others.
    _columns: Columns | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        name = self.name.encode("utf-8", "replace").decode()  # a file name may not be valid text
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "label_names", _label_names(self.label_names))
        shape = self._check_part("train")
        if not (self.x_test is None and self.y_test is None):
            test_shape = self._check_part("test")
            if test_shape != shape:
                has = [" x ".join(map(str, each)) for each in (shape, test_shape)]
                raise DataError(
                    f"x_train has {has[0]} features but x_test has {has[1]}; both parts need the "
                    "same columns"
                )
        elif self.mask_test is not None:
            raise DataError("mask_test without x_test and y_test; give all three or none")
        if self.groups_train is not None:
            codes = group_codes(self.groups_train, len(self.y_train))
            object.__setattr__(self, "groups_train", codes)
        if self.feature_names is not None:
            names = tuple(str(name) for name in self.feature_names)
            check_names(names, "feature name")
            if (len(names),) != shape:
                has_features = " x ".join(map(str, shape))
                raise DataError(
                    f"{len(names)} feature names for {has_features} features; name each"
                )
            object.__setattr__(self, "feature_names", names)

    def _check_part(self, part: str) -> tuple[int, ...]:
        """Checks and converts a part, "train" or "test"; returns the shape of a row's features."""
        x, y, mask = (getattr(self, f"{kind}_{part}") for kind in ("x", "y", "mask"))
        if x is None or y is None:
            raise DataError(f"x_{part} and y_{part} go together; give both or neither")
        x = _features(dense(x, f"x_{part}"), f"x_{part}")
        y = dense(y, f"y_{part}")
        if mask is not None:
            mask = _binary(
                dense(mask, f"mask_{part}"),
                f"mask_{part}",
                "1 where the label is known and 0 elsewhere",
            )
            if y.shape != mask.shape:
                raise DataError(
                    f"mask_{part} {mask.shape} and y_{part} {y.shape} differ in shape; a mask "
                    "has one entry per label"
                )
        if y.dtype.kind == "f" and np.isnan(y).any():
            mask = ~np.isnan(y) if mask is None else mask & ~np.isnan(y)
        if mask is not None and y.dtype.kind in "biuf":  # other kinds are refused below
            y = np.where(mask, y, 0)
        y = _binary(y, f"y_{part}", f"0 or 1, and an unknown label is NaN or has 0 in mask_{part}")
        if len(x) != len(y):
            raise DataError(
                f"x_{part} has {len(x)} rows but y_{part} has {len(y)}; both need one row per "
                "sample"
            )
        if y.shape[1] != len(self.label_names):
            raise DataError(
                f"{len(self.label_names)} label names for the {y.shape[1]} columns of y_{part}; "
                "give one name per column"
            )
        object.__setattr__(self, f"x_{part}", x)
        object.__setattr__(self, f"y_{part}", y)
        known = mask is None or bool(mask.all())
        object.__setattr__(self, f"mask_{part}", None if known else mask)
        return x.shape[1:]

    def __repr__(self) -> str:
        test = "no test part" if self.x_test is None else f"{len(self.x_test)} test rows"
        return (
            f"Dataset({self.name!r}: {len(self.x_train)} training rows, {test}, "
            f"{' x '.join(map(str, self.feature_shape))} features, {len(self.label_names)} labels)"
        )

    @classmethod
    def from_columns(
        cls, columns: Columns, *, left_out: tuple[str, ...] = (), **others: Any
    ) -> Dataset:
        """Makes a data set of columns, with an encoder that `with_test` fits anew.

        Args:
            columns: the columns of the training rows.
            left_out: the columns of the file that are no features.
            **others: the other arguments of `Dataset`, without `x_train`.
        """
        encoder = fit_encoder(columns, left_out)
        data = cls(
            x_train=encoder(columns),
            encoder=encoder,
            feature_names=encoder.feature_names,
            **others,
        )
        object.__setattr__(data, "_columns", columns)
        return data

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of the features of a row: (D,), or more axes."""
        return self.x_train.shape[1:]

    @property
    def known_train(self) -> NDArray[np.bool_]:
        """Bool (N, L), True where a training label is known."""
        return np.ones_like(self.y_train) if self.mask_train is None else self.mask_train

    @property
    def known_test(self) -> NDArray[np.bool_]:
        """Bool (M, L), True where a test label is known; raises ValueError without a test part."""
        if self.y_test is None:
            raise ValueError(f"{self.name} has no test part")
        return np.ones_like(self.y_test) if self.mask_test is None else self.mask_test

    def with_groups(self, groups: ArrayLike) -> Dataset:
        """Returns the data set with `groups` (N,) as the groups of its training rows.

        Raises:
            DataError: there is not one group for each training row, or one is missing.
        """
        data = replace(self, groups_train=group_codes(groups, len(self.y_train)))
        object.__setattr__(data, "_columns", self._columns)
        return data

    def with_test(self, fraction: float, *, seed: int) -> Dataset:
        """Splits a test part off the training part, keeping rare labels in both and groups whole.

        Args:
            fraction: the share of the test part, between 0 and 1.
            seed: the same seed gives the same split.

        Returns:
            The data set with a test part.

        Raises:
            DataError: there is a test part already, or there is only one row or group.

        Example:
            >>> y = [[0, 1], [1, 0]] * 4
            >>> data = Dataset(name="toy", label_names=("a", "b"), x_train=[[1]] * 8, y_train=y)
            >>> data.with_test(0.25, seed=0)
            Dataset('toy': 6 training rows, 2 test rows, 1 features, 2 labels)
        """
        if self.x_test is not None:
            raise DataError(f"{self.name} has a test part already; use it")
        if len(self.y_train) < 2:
            raise DataError(f"{self.name} has one row, so no test part can be split off; add rows")
        groups, mask = self.groups_train, self.mask_train
        # Unknown labels are 0 in y_train, so they do not count.
        if groups is None:
            rest, part = split(self.y_train, fraction, seed=seed)
        elif groups.max() == 0:
            raise DataError(
                f"{self.name} has one group, so no test part can be split off; add rows of "
                "other groups (groups)"
            )
        else:
            rest, part = split_groups(self.y_train, groups, (1 - fraction, fraction), seed=seed)
        encoder, names = self.encoder, self.feature_names
        if encoder is None or self._columns is None:
            x_train, x_test = self.x_train[rest], self.x_train[part]
        else:
            encoder = fit_encoder(rows_of(self._columns, rest), encoder.left_out)
            names = encoder.feature_names
            x_train, x_test = (encoder(rows_of(self._columns, rows)) for rows in (rest, part))
        return replace(
            self,
            encoder=encoder,
            feature_names=names,
            x_train=x_train,
            y_train=self.y_train[rest],
            mask_train=None if mask is None else mask[rest],
            groups_train=None if groups is None else groups[rest],
            x_test=x_test,
            y_test=self.y_train[part],
            mask_test=None if mask is None else mask[part],
        )

    def standardized(self) -> Dataset:
        """Standardises dense features on the training part; scales sparse ones to about 1.

        All sparse features are multiplied by the same power of two, which keeps zeros at zero and
        nearly always leaves every value unchanged. Features of more than two axes, such as pictures
        or sequences, are left as they are: what scale suits them depends on what the axes mean.

        Split off the test part first: its rows must not enter the means.

        Returns:
            The data set with features that suit a linear model.

        Example:
            >>> data = Dataset(name="a", label_names=("a",), x_train=[[0], [4]], y_train=[[0], [1]])
            >>> data.standardized().x_train.tolist()
            [[-1.0], [1.0]]
        """
        if len(self.feature_shape) > 1:
            return self
        if self.sparse:
            scale = np.float32(sparse_scale(self.x_train))
            x_test = None if self.x_test is None else self.x_test * scale
            return replace(self, x_train=self.x_train * scale, x_test=x_test)
        if self.x_test is None:
            return replace(self, x_train=standardize(self.x_train)[0])
        x_train, x_test = standardize(self.x_train, self.x_test)
        return replace(self, x_train=x_train, x_test=x_test)


def _label_names(names: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(str(name) for name in names)
    if not names:
        raise DataError("no labels; a data set needs at least one")
    check_names(names, "label name")
    return names


def _features(x: NDArray[Any], what: str) -> NDArray[np.float32]:
    if x.ndim < 2 or 0 in x.shape:
        raise DataError(
            f"{what} has shape {x.shape}; it must be (rows, features) or have more axes, none of "
            "them 0"
        )
    if x.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {x.dtype} values; features must be numbers")
    with np.errstate(over="ignore"):  # values beyond float32 become infinite and are refused below
        x = x.astype(np.float32, copy=False)
    finite = np.isfinite(x)
    if not finite.all():
        row, *place = np.argwhere(~finite)[0].tolist()
        raise DataError(
            f"{what} is NaN or infinite at row {row}, column {', '.join(map(str, place))}; fill in "
            "such values, for example with the column's mean, or drop the row"
        )
    return x


def _binary(array: NDArray[Any], what: str, rule: str) -> NDArray[np.bool_]:
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{what} has shape {array.shape}; it must be (rows, labels), neither 0")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        raise DataError(f"{what} holds {array.dtype} values; they must be {rule}")
    good = (array == 0) | (array == 1)
    if not good.all():
        row, column = np.argwhere(~good)[0]
        raise DataError(
            f"{what} has {array[row, column]} at row {row}, column {column}; values are {rule}"
        )
    return array.astype(np.bool_)
