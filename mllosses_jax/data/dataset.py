"""The data set that every reader returns; features and labels are checked here, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.data._checked_arrays import check_part, label_names
from mllosses_jax.data._dense import dense
from mllosses_jax.data._text import check_names
from mllosses_jax.data.columns import ColumnEncoder, Columns, fit_encoder, rows_of
from mllosses_jax.data.errors import DataError
from mllosses_jax.data.group_splits import checked_groups, number_groups, split_groups
from mllosses_jax.data.scaling import sparse_scale, standardize
from mllosses_jax.data.splits import split

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
KINDS = ("x", "y", "mask", "groups", "rows")  # what there is of a part, one entry for each row


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Dataset:
    """Features and labels of a training part and, if there are any, a validation and a test part.

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
        x_validation: (V, D) or (V, ...) features of rows to choose on, or None if they are to be
            drawn from the training part.
        y_validation: (V, L) labels, or None.
        mask_validation: (V, L), or None.
        sparse: whether the features were stored sparse (mostly zeros, such as word counts); sparse
            features are used as they are, while dense ones are standardised. Features of more than
            two axes are used as they are, too.
        feature_names: the names of the D features, or None if they have none; () for rows without
            features, which are arrays (N, 0).
        encoder: what made the features of the columns of a table, or None if they are as given.
        groups_train: (N,), the group of each training row, such as a patient, as a number or text;
            rows of a group stay together wherever rows are split. It becomes the number of the
            group, from 0. None if rows are unrelated.
        groups_validation: (V,), the groups of the validation rows, or None if they are not known.
        groups_test: (M,), those of the test rows, or None.
        group_names: the name of each number, if the groups are numbers of groups already.
        rows_train: (N,), the number of each training row among the rows of its file, from 0; None,
            or as many as there are not after `dataclasses.replace`, for all rows in their order.
        rows_validation: (V,), those of the validation rows in their file.
        rows_test: (M,), those of the test rows, in the file that they were drawn from.

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
    x_validation: NDArray[np.float32] | None = None
    y_validation: NDArray[np.bool_] | None = None
    mask_validation: NDArray[np.bool_] | None = None
    groups_validation: NDArray[np.intp] | None = None
    groups_test: NDArray[np.intp] | None = None
    group_names: tuple[str, ...] | None = None
    rows_train: NDArray[np.intp] | None = None
    rows_validation: NDArray[np.intp] | None = None
    rows_test: NDArray[np.intp] | None = None
    # The columns of the training rows. A copy by `replace` has none, as its features may be others.
    _columns: Columns | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        name = self.name.encode("utf-8", "replace").decode()  # a file name may not be valid text
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "label_names", label_names(self.label_names))
        shape = self._check_part("train")
        for part in PARTS[1:]:
            if not self.has(part):
                self._check_absent(part)
            elif (found := self._check_part(part)) != shape:
                has = [" x ".join(map(str, each)) for each in (shape, found)]
                raise DataError(
                    f"x_train has {has[0]} features but x_{part} has {has[1]}; both parts need the "
                    "same columns"
                )
        self._number_groups()
        if self.feature_names is not None:
            names = tuple(str(name) for name in self.feature_names)
            check_names(names, "feature name")
            if (len(names),) != shape:
                has_features = " x ".join(map(str, shape))
                raise DataError(
                    f"{len(names)} feature names for {has_features} features; name each"
                )
            object.__setattr__(self, "feature_names", names)

    def has(self, part: Part) -> bool:
        """Returns whether there is a part: "train", "validation" or "test"."""
        return not (getattr(self, f"x_{part}") is None and getattr(self, f"y_{part}") is None)

    def _check_absent(self, part: Part) -> None:
        """Raises unless nothing at all is given of a part."""
        if getattr(self, f"mask_{part}") is not None:
            raise DataError(f"mask_{part} without x_{part} and y_{part}; give all three or none")
        for kind in ("groups", "rows"):
            if getattr(self, f"{kind}_{part}") is not None:
                raise DataError(f"{kind}_{part} without x_{part} and y_{part}; give these too")

    def _number_groups(self) -> None:
        """Gives each group a number, the same in all parts."""
        given = {
            part: checked_groups(groups, len(getattr(self, f"y_{part}")), part)
            for part in PARTS
            if (groups := getattr(self, f"groups_{part}")) is not None
        }
        if not given:
            object.__setattr__(self, "group_names", None)
            return
        if "train" not in given:
            raise DataError(f"groups_{next(iter(given))} without groups_train; give these too")
        if self.group_names is None:
            numbers, names = number_groups(list(given.values()))
            object.__setattr__(self, "group_names", names)
        else:
            numbers = list(given.values())
            for each in numbers:
                if each.dtype.kind not in "iu" or not (
                    each.min() >= 0 and each.max() < len(self.group_names)
                ):
                    raise DataError(
                        f"groups must be numbers below {len(self.group_names)}, as there are "
                        "group_names; leave group_names out, or give numbers"
                    )
        for part, groups in zip(given, numbers, strict=True):
            object.__setattr__(self, f"groups_{part}", groups)

    def _check_part(self, part: Part) -> tuple[int, ...]:
        """Checks and converts a part; returns the shape of a row's features."""
        given = {kind: getattr(self, f"{kind}_{part}") for kind in ("x", "y", "mask", "rows")}
        nothing = self.feature_names == ()
        checked = check_part(**given, part=part, names=self.label_names, no_features=nothing)
        for kind, array in checked.items():
            object.__setattr__(self, f"{kind}_{part}", array)
        return self.__dict__[f"x_{part}"].shape[1:]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        test = "no test part" if self.x_test is None else f"{len(self.x_test)} test rows"
        if self.x_validation is not None:
            test = f"{len(self.x_validation)} validation rows, {test}"
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

    def take(self, rows: Mapping[Part, NDArray[np.intp]]) -> Dataset:
        """Returns the data set with some of the rows of the parts named, and all of the others."""
        chosen: dict[str, Any] = {}
        for part, some in rows.items():
            arrays = {f"{kind}_{part}": getattr(self, f"{kind}_{part}") for kind in KINDS}
            chosen |= {name: None if a is None else a[some] for name, a in arrays.items()}
        return replace(self, **chosen)

    def with_groups(self, groups: ArrayLike) -> Dataset:
        """Returns the data set with `groups` (N,) as the groups of its training rows.

        Those of the other parts are then not known.

        Raises:
            DataError: there is not one group for each training row, or one is missing.
        """
        changed: dict[str, Any] = {"groups_train": groups, "group_names": None}
        data = replace(self, **changed, groups_validation=None, groups_test=None)
        object.__setattr__(data, "_columns", self._columns)
        return data

    def with_validation(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        mask: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Dataset:
        """Returns the data set with a validation part, on which `compare` makes its choices.

        Args:
            x: (V, ...) features, as those of the training part.
            y: (V, L) labels, 0 or 1, or NaN if unknown.
            mask: (V, L), True where the label is known.
            groups: (V,), the groups of the rows, under the names that those of the training part
                have.

        Raises:
            DataError: shapes disagree, or values are wrong.

        Example:
            >>> data = Dataset(name="a", label_names=("a",), x_train=[[0], [4]], y_train=[[0], [1]])
            >>> data.with_validation([[1]], [[0]])
            Dataset('a': 2 training rows, 1 validation rows, no test part, 1 features, 1 labels)
        """
        numbers, names = None, self.group_names
        if groups is not None:
            checked = checked_groups(groups, len(dense(y, "y_validation")), "validation")
            if names is None:
                raise DataError("the training rows have no groups; leave those out (groups)")
            [numbers], names = number_groups([checked], names)
        arrays: dict[str, Any] = {"x_validation": x, "y_validation": y, "mask_validation": mask}
        return replace(
            self,
            **arrays,
            groups_validation=numbers,
            group_names=names,
            rows_validation=None,
        )

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
        assert self.rows_train is not None
        groups, mask = self.groups_train, self.mask_train
        # Unknown labels are 0 in y_train, so they do not count.
        if groups is None:
            rest, part = split(self.y_train, fraction, seed=seed)
        elif len(np.unique(groups)) == 1:
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
            rows_train=self.rows_train[rest],
            x_test=x_test,
            y_test=self.y_train[part],
            mask_test=None if mask is None else mask[part],
            groups_test=None if groups is None else groups[part],
            rows_test=self.rows_train[part],
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
        features = {f"x_{part}": getattr(self, f"x_{part}") for part in PARTS if self.has(part)}
        if self.sparse:
            scale = np.float32(sparse_scale(self.x_train))
            rescaled: dict[str, Any] = {name: x * scale for name, x in features.items()}
            return replace(self, **rescaled)
        scaled = standardize(*features.values())  # the first is that of the training part
        standard: dict[str, Any] = dict(zip(features, scaled, strict=True))
        return replace(self, **standard)
