"""Thresholds of named labels with what is known about them, and the file they are kept in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mllosses_jax._core import checks, schema
from mllosses_jax._core.files import read_format, write_format
from mllosses_jax._core.text import shown

_DTYPES = ("float32", "float64")
_ONE = 1 + 1e-6  # a mean of numbers up to 1, as it may be rounded
_FORMAT = "mllosses_jax thresholds 1"
_COLUMNS = {  # field of a report: key in the file
    "thresholds": "threshold",
    "std": "std",
    "low": "low",
    "high": "high",
    "f": "f",
    "baseline_f": "baseline_f",
}


class Gain(NamedTuple):
    """An average of held-out F-beta with tuned thresholds and with the baseline.

    Attributes:
        tuned: of the tuned thresholds.
        baseline: of the one baseline threshold.
        low: the 2.5 % quantile of their difference, over bootstrap samples of the rows.
        high: the 97.5 % quantile.
    """

    tuned: float
    baseline: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """What tuning gained."""
        return self.tuned - self.baseline


@dataclasses.dataclass(frozen=True, eq=False)
class ThresholdReport:
    """Thresholds with their spread and held-out gain; see `threshold_report`.

    Attributes:
        label_names: the names of the labels, L different ones.
        thresholds: float (L,), tuned on all rows: the ones to use.
        std: float (L,), standard deviation of the threshold over the folds; infinite where only
            some folds have a finite one.
        low: float (L,), the lowest threshold of any fold.
        high: float (L,), the highest.
        f: float (L,), held-out F-beta of each label with thresholds of the other folds.
        baseline_f: float (L,), F-beta of each label with the baseline threshold.
        num_positives: int (L,), known positives.
        macro: the mean of `f` over labels, and of `baseline_f`.
        micro: F-beta over all entries as one.
        settings: how it was made: `inputs`, `baseline`, `beta`, `folds`, `seed`.
    """

    label_names: tuple[str, ...]
    thresholds: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    f: np.ndarray
    baseline_f: np.ndarray
    num_positives: np.ndarray
    macro: Gain
    micro: Gain
    settings: dict[str, Any]

    def thresholds_for(self, label_names: Sequence[str]) -> np.ndarray:
        """Returns the thresholds in the order of these names, which must be the report's.

        Raises:
            ValueError: if a name is unknown, missing or there twice.
        """
        names = checks.label_names(label_names, len(label_names))
        place = {name: label for label, name in enumerate(self.label_names)}
        given = set(names)
        unknown = [name for name in names if name not in place]
        missing = [name for name in self.label_names if name not in given]
        if unknown or missing:
            raise ValueError(
                f"label_names must be those of the thresholds; without a threshold: {unknown}, "
                f"missing: {missing}"
            )
        return self.thresholds[[place[name] for name in names]]

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes JSON keyed by label name; `load` gives the same numbers to the bit.

        Args:
            path: the file.
            force: whether to overwrite what is there.

        Raises:
            FileExistsError: if the file exists, unless `force`.
        """
        columns = {**_COLUMNS, "num_positives": "positives"}
        rows = zip(*(getattr(self, field).tolist() for field in columns), strict=True)
        content = {
            "dtype": self.thresholds.dtype.name,
            "settings": self.settings,
            "macro": self.macro._asdict(),
            "micro": self.micro._asdict(),
            "labels": {
                label: dict(zip(columns.values(), row, strict=True))
                for label, row in zip(self.label_names, rows, strict=True)
            },
        }
        write_format(path, content, format_name=_FORMAT, force=force)

    @classmethod
    def load(cls, path: str | Path) -> ThresholdReport:
        """Reads what `save` wrote.

        Raises:
            ValueError: if the file is something else.
        """
        content = read_format(path, format_name=_FORMAT)
        try:
            return _report(content)
        except ValueError as error:
            raise ValueError(f"{path} must hold thresholds of labels: {error}") from None


def _report(content: Mapping[str, Any]) -> ThresholdReport:
    """Returns what a file says; a ValueError names the field that it should not hold."""
    keys = ("format", "dtype", "settings", "macro", "micro", "labels")
    schema.mapping(content, "the file", keys)
    if content["dtype"] not in _DTYPES:
        raise ValueError(f"dtype must be {' or '.join(_DTYPES)}, got {shown(content['dtype'])}")
    dtype = np.dtype(content["dtype"])
    settings = _settings(content["settings"])
    largest = float(np.finfo(dtype).max)
    any_score = (0, 1) if settings["inputs"] == "probabilities" else (-largest, largest)
    rows = schema.named(content["labels"], "labels")
    for name, row in rows.items():
        place = f"labels[{shown(name)}]"
        schema.mapping(row, place, (*_COLUMNS.values(), "positives"))
        for key in ("threshold", "low", "high"):  # infinite: all or nothing is predicted
            schema.number(row[key], f"{place}.{key}", *any_score, others=("inf", "-inf"))
        schema.number(row["std"], f"{place}.std", 0, others=("inf",))
        for key in ("f", "baseline_f"):
            schema.number(row[key], f"{place}.{key}", 0, _ONE)
        schema.whole(row["positives"], f"{place}.positives")
        if float(row["low"]) > float(row["high"]):
            raise ValueError(f"{place}.low must be at most its high, got {row['low']}")
    columns = {
        field: np.array([float(row[key]) for row in rows.values()], dtype)
        for field, key in _COLUMNS.items()
    }
    return ThresholdReport(
        label_names=tuple(rows),
        **columns,
        num_positives=np.array([row["positives"] for row in rows.values()], np.int32),
        macro=_gain(content["macro"], "macro"),
        micro=_gain(content["micro"], "micro"),
        settings=settings,
    )


def _settings(value: object) -> dict[str, Any]:
    given = schema.mapping(value, "settings")
    if given.get("inputs") not in ("logits", "probabilities"):
        raise ValueError(
            f"settings.inputs must be logits or probabilities, got {shown(given.get('inputs'))}"
        )
    for key, entry in given.items():
        if not isinstance(entry, str | int | float | None):
            raise ValueError(f"settings.{key} must be a number or text, got {shown(entry)}")
    return {key: float(v) if v in ("inf", "-inf") else v for key, v in given.items()}


def _gain(value: object, field: str) -> Gain:
    given = schema.mapping(value, field, Gain._fields)
    ends = ("inf", "-inf", None)
    low, high = (
        schema.number(given[end], f"{field}.{end}", others=ends) for end in ("low", "high")
    )
    tuned, baseline = (
        schema.number(given[key], f"{field}.{key}", 0, _ONE, others=(None,))
        for key in ("tuned", "baseline")
    )
    return Gain(tuned, baseline, low, high)
