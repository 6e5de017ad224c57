"""The rows of the table of losses, from which the page and the Markdown report are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

MINUS = "\N{MINUS SIGN}"
Decided = Literal["default", "tuned"]

# What tuning changes: the metric with it, and the one without it, if that is judged.
WITHOUT_TUNING = {
    "macro_f1_tuned": "macro_f1_at_half",
    "micro_f1_tuned": None,
    "calibration_error_platt": "calibration_error",
}


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        heading: its heading.
        metrics: the metric that a row shows, or None.
        higher_is_better: whether higher values are better.
    """

    heading: str
    metrics: Mapping[Decided, str | None]
    higher_is_better: bool

    @property
    def is_tuned(self) -> bool:
        """Whether the two rows of a loss differ in it."""
        return self.metrics["default"] != self.metrics["tuned"]


@dataclass(frozen=True)
class Cell:
    """A figure with its interval, and its mark against the baseline."""

    mean: float
    low: float
    high: float
    mark: Literal["+", "-", ""]


@dataclass(frozen=True)
class Row:
    """A loss with its default decisions (0.5, uncalibrated) or with tuned ones.

    Attributes:
        name: the loss, or what is shown for reference.
        decided: which decisions it is shown with.
        cells: by heading; a metric that says nothing about the loss has none.
        seconds: the wall-clock time, and NaN if it is not known.
        cpu_seconds: the time of all processor cores.
        fast: whether no other loss is both better in the leading metric and faster.
        ordering: whether the loss only orders the labels, which a star says.
    """

    name: str
    decided: Decided
    cells: Mapping[str, Cell]
    seconds: float
    cpu_seconds: float
    fast: bool
    ordering: bool

    @property
    def shown(self) -> str:
        """The name with its star."""
        return f"{self.name}*" if self.ordering else self.name

    def count(self, mark: Literal["+", "-"]) -> int:
        """Returns in how many metrics the loss is marked."""
        return sum(cell.mark == mark for cell in self.cells.values())


def columns(comparison: Comparison) -> tuple[Column, ...]:
    """Returns the columns, one for each metric; with and without tuning they are one."""
    metrics = comparison.metrics
    judged = comparison.judgments[comparison.baseline].values
    untuned = set(WITHOUT_TUNING.values())
    found = []
    for name in judged:
        if name in untuned:
            continue
        heading, higher = metrics[name].heading, metrics[name].higher_is_better
        if name in WITHOUT_TUNING:
            default = WITHOUT_TUNING[name]
            both: dict[Decided, str | None] = {
                "default": default if default in judged else None,
                "tuned": name,
            }
            found.append(Column(heading.split("\n")[0], both, higher))
        else:
            both = {"default": name, "tuned": name}
            found.append(Column(heading.replace("\n", " "), both, higher))
    return tuple(found)


def rows(comparison: Comparison) -> list[Row]:
    """Returns the rows of the losses, in the order of the comparison."""
    fast = _front(comparison)
    return [
        row
        for label, figures in comparison.results.items()
        for row in _rows(comparison, label, figures, fast=label in fast)
    ]


def reference_rows(comparison: Comparison) -> list[Row]:
    """Returns the rows of what is shown for reference, such as a model that predicts the prior."""
    references = comparison.references
    return [
        row
        for label, figures in references.items()
        for row in _rows(comparison, label, figures, fast=False)
    ]


def _rows(
    comparison: Comparison, label: str, figures: Mapping[str, Mapping[str, Any]], *, fast: bool
) -> list[Row]:
    shown = columns(comparison)
    found = []
    decisions: tuple[Decided, ...] = ("default", "tuned")
    for decided in decisions:
        cells = {}
        for column in shown:
            metric = column.metrics[decided]
            if metric is None or metric not in figures:
                continue
            if label in comparison.choices and not comparison.is_comparable(label, metric):
                continue
            mean, low, high = (float(figures[metric][key]) for key in ("mean", "low", "high"))
            cells[column.heading] = Cell(mean, low, high, comparison.mark(label, metric))
        seconds, cpu_seconds = (
            float(figures[clock]["mean"]) if clock in figures else math.nan
            for clock in ("seconds", "cpu_seconds")
        )
        # Default decisions without a figure of their own would only repeat the other row.
        own = any(column.is_tuned and column.heading in cells for column in shown)
        if own or decided == "tuned":
            choice = comparison.choices.get(label)
            ordering = choice is not None and not choice.zero_decides
            found.append(Row(label, decided, cells, seconds, cpu_seconds, fast, ordering))
    return found


def _front(comparison: Comparison) -> set[str]:
    """Returns the Pareto front of quality and time: losses that none beats in both."""
    points = {
        label: (figures[comparison.experiment.leading]["mean"], figures["cpu_seconds"]["mean"])
        for label, figures in comparison.results.items()
    }
    return {
        label
        for label, (quality, time) in points.items()
        if not math.isnan(quality + time)
        and not any(
            other >= quality and clock <= time and (other, clock) != (quality, time)
            for other, clock in points.values()
        )
    }


def interval(low: float, high: float, *, signed: bool = False) -> str:
    """Returns an interval as text, or "" if it is undefined."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{decimal(low, signed=signed)} to {decimal(high, signed=signed)}"


def decimal(value: float, *, signed: bool = False) -> str:
    """Returns a number with three decimals, or n/a if it is undefined."""
    if math.isnan(value):
        return "n/a"
    rounded = round(value, 3) or 0.0  # no zero is negative
    return f"{rounded:{'+' if signed and rounded else ''}.3f}".replace("-", MINUS)
