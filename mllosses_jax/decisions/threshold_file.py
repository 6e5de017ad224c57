"""Thresholds of named labels with what is known about them, and the file they are kept in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mllosses_jax._core import checks
from mllosses_jax._core.files import read_json, write_json

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
        positives: int (L,), known positives.
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
    positives: np.ndarray
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
        columns = {**_COLUMNS, "positives": "positives"}
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
        write_json(path, content, format_name=_FORMAT, force=force)

    @classmethod
    def load(cls, path: str | Path) -> ThresholdReport:
        """Reads what `save` wrote.

        Raises:
            ValueError: if the file is something else.
        """
        content = read_json(path, format_name=_FORMAT)
        try:
            dtype, labels = np.dtype(content["dtype"]), content["labels"]
            columns = {
                field: np.array([float(row[key]) for row in labels.values()], dtype)
                for field, key in _COLUMNS.items()
            }
            return cls(
                label_names=tuple(labels),
                **columns,
                positives=np.array([row["positives"] for row in labels.values()], np.int32),
                macro=_gain(content["macro"]),
                micro=_gain(content["micro"]),
                settings={key: _decoded(value) for key, value in content["settings"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} must hold thresholds of labels: {error!r}") from None


def _gain(entries: dict[str, Any]) -> Gain:
    return Gain(**{key: float(value) for key, value in entries.items()})


def _decoded(value: Any) -> Any:
    return float(value) if value in ("inf", "-inf", "nan") else value
