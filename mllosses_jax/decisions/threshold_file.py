"""Thresholds of named labels with their evaluation, and the file that keeps them."""

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
_ONE = 1 + 1e-6  # the most to which a mean of numbers up to 1 may be rounded
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
        tuned: the average with the tuned thresholds.
        baseline: the average with the one baseline threshold.
        low: the 2.5 % quantile of their difference, over bootstrap samples of the rows.
        high: the 97.5 % quantile of their difference.
    """

    tuned: float
    baseline: float
    low: float
    high: float

    @property
    def gain(self) -> float:
        """The gain from tuning."""
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
        high: float (L,), the highest threshold of any fold.
        f: float (L,), held-out F-beta of each label with thresholds of the other folds.
        baseline_f: float (L,), F-beta of each label with the baseline threshold.
        num_positives: int (L,), the number of known positives of each label.
        macro: a `Gain`, of the means of `f` and `baseline_f` over labels.
        micro: a `Gain`, of F-beta over all entries as one label.
        settings: the settings of the report: `inputs`, `baseline`, `beta`, `folds`, `seed`.
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
        """Returns the thresholds in the order of the given names, float (L,).

        Args:
            label_names: the names of the report, in any order.

        Raises:
            ValueError: if a name is unknown, missing or repeated.
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
            path: the file to write.
            force: whether to overwrite an existing file.

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
        """Reads a report that `save` wrote.

        Args:
            path: the file to read.

        Raises:
            ValueError: if the file does not hold a report.
        """
        content = read_format(path, format_name=_FORMAT)
        try:
            return _report(content)
        except ValueError as error:
            raise ValueError(f"{path} must hold thresholds of labels: {error}") from None


def _report(content: Mapping[str, Any]) -> ThresholdReport:
    """Returns the report in a file; a ValueError names the field that is wrong."""
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
        for key in ("threshold", "low", "high"):  # an infinite one predicts all or nothing
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
