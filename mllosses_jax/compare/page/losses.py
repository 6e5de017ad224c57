"""The second tab: all losses in one table, and each metric as dots with intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax import plots
from mllosses_jax._core.text import broken
from mllosses_jax.compare import leaderboard, notes
from mllosses_jax.compare.leaderboard import MINUS, decimal, interval
from mllosses_jax.compare.page.elements import (
    Cell,
    Heading,
    TableRow,
    choice,
    details,
    paragraphs,
    table,
    tag,
    text,
)
from mllosses_jax.compare.page.figures import figure, plain

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

NAME_WIDTH = 18  # characters of a line in a figure
ROWS = {"": "default and tuned", "tuned": "tuned", "default": "default"}


def content(comparison: Comparison) -> str:
    """Returns the tab."""
    return (
        tag("h2", comparison.settings.what[1].capitalize())
        + _filters()
        + leaderboard_table(comparison)
        + _legend(comparison)
        + tag("h3", "Each metric with its intervals")
        + _dots(comparison)
        + details("How to read these figures", paragraphs(notes.explanation(comparison)))
        + _warnings(comparison)
    )


def leaderboard_table(comparison: Comparison, *, sortable: bool = True) -> str:
    """Returns the table of losses, with what is shown for reference at its end."""
    columns = leaderboard.columns(comparison)
    headings = [
        Heading(comparison.settings.what[0].capitalize(), numeric=False, ascending=True),
        Heading("Decisions", numeric=False, ascending=True),
        *(
            Heading(
                column.heading,
                ascending=not column.higher_is_better,
                hint="higher is better" if column.higher_is_better else "lower is better",
            )
            for column in columns
        ),
        Heading("Wins", hint="in how many metrics it is marked as better and worse"),
        Heading("CPU seconds", ascending=True, hint="time of all processor cores"),
    ]
    rows = [_row(comparison, row, columns) for row in leaderboard.rows(comparison)]
    rows += [
        _row(comparison, row, columns, apart=True) for row in leaderboard.reference_rows(comparison)
    ]
    caption = f"Metrics on test rows, with 95% intervals. The baseline is {comparison.baseline}."
    return table("losses-table", caption, headings, rows, sortable=sortable)


def _row(
    comparison: Comparison,
    row: leaderboard.Row,
    columns: tuple[leaderboard.Column, ...],
    *,
    apart: bool = False,
) -> TableRow:
    cells = [Cell(row.shown), Cell(row.decided)]
    for column in columns:
        found = row.cells.get(column.heading)
        if found is None:
            cells.append(Cell(""))
            continue
        same = row.decided == "default" and not column.is_tuned
        below = interval(found.low, found.high).replace(" to ", "\N{EN DASH}")
        cells.append(Cell(decimal(found.mean), found.mean, below, found.mark, dim=same))
    is_baseline = row.name == comparison.baseline
    better, worse = row.count("+"), row.count("-")
    cells.append(
        Cell("") if is_baseline or apart else Cell(f"+{better} {MINUS}{worse}", better - worse)
    )
    clock = row.cpu_seconds
    cells.append(Cell("" if math.isnan(clock) else f"{clock:.1f}", clock))
    badges = ["baseline"] * is_baseline + ["recommended"] * (row.name == comparison.recommended)
    badges += ["Pareto"] * row.fast
    return TableRow(cells, row.decided, " \N{MIDDLE DOT} ".join(badges), apart)


def _filters() -> str:
    search = tag(
        "label", 'Filter <input type="search" data-filters="losses-table">', class_="chooser"
    )
    options = "".join(tag("option", text(shown), value=kind) for kind, shown in ROWS.items())
    kinds = f'<select data-kinds="losses-table">{options}</select>'
    count = '<output data-counts="losses-table"></output>'
    return tag(
        "div", search + tag("label", f"Rows {kinds}", class_="chooser") + count, class_="bar"
    )


def _legend(comparison: Comparison) -> str:
    leading = comparison.metrics[comparison.experiment.leading].heading
    explained = (
        "+ and \N{MINUS SIGN}: better or worse than the baseline, beyond what test rows and seeds "
        "explain. That is judged row by row, so intervals that overlap may belong to losses that "
        "differ. Default: 0.5 for every label and sigmoid(logit); tuned: thresholds and "
        "probabilities that were fitted on held-out rows. Figures that tuning does not "
        "change are pale."
    )
    if comparison.settings.model != "scores":
        explained += f" Pareto: no other loss is both better in {leading} and faster."
    if any(row.ordering for row in leaderboard.rows(comparison)):
        explained += (
            " *: the loss only orders the labels, or does not decide at a logit of 0, so that "
            "without tuning there is nothing to show."
        )
    return tag("p", text(explained), class_="note")


def _dots(comparison: Comparison) -> str:
    """Returns each metric of the losses, and how far they are from the baseline."""
    options = []
    for place, column in enumerate(leaderboard.columns(comparison)):
        drawn = _metric(comparison, place, column) + _differences(comparison, place, column)
        options.append((column.heading, tag("div", drawn, class_="grid") if drawn else ""))
    return choice("metric", "Metric", options)


def _metric(comparison: Comparison, place: int, column: leaderboard.Column) -> str:
    found = {
        row.name: row.cells[column.heading]
        for row in leaderboard.rows(comparison)
        if row.decided == "tuned" and column.heading in row.cells
    }
    base = found[comparison.baseline].mean if comparison.baseline in found else None
    better = "higher" if column.higher_is_better else "lower"
    tuned = ", tuned" if column.is_tuned else ""
    return _intervals(
        f"intervals-{place}",
        f"{column.heading}{tuned}; {better} is better. The dashed line is the baseline.",
        f"{column.heading} with its interval for each loss",
        {name: (cell.mean, cell.low, cell.high) for name, cell in found.items()},
        base,
    )


def _differences(comparison: Comparison, place: int, column: leaderboard.Column) -> str:
    metric = column.metrics["tuned"]
    found = {
        label: (each.mean, each.low, each.high)
        for label, by_metric in comparison.simultaneous.items()
        for name, each in by_metric.items()
        if name == metric and not math.isnan(each.low)
    }
    together = ", which hold for all losses together" if len(found) > 1 else ""
    return _intervals(
        f"differences-{place}",
        f"The same rows as differences from {comparison.baseline}, with intervals{together}. "
        "Losses whose interval excludes 0 are marked.",
        f"{column.heading} minus that of {comparison.baseline}",
        found,
        0.0,
    )


def _intervals(
    name: str,
    caption: str,
    what: str,
    found: Mapping[str, tuple[float, float, float]],
    reference: float | None,
) -> str:
    """Returns a mean with its interval for each loss, or "" without any."""
    if not found:
        return ""
    names = [plain("\n".join(broken(loss, NAME_WIDTH))) for loss in found]
    mean, low, high = np.array(list(found.values())).T
    said = "; ".join(
        f"{loss} {decimal(middle)}, {interval(*ends)}" for loss, (middle, *ends) in found.items()
    )
    return figure(
        name,
        caption,
        f"{what}: {said}",
        functools.partial(plots.intervals, names, mean, low, high, reference=reference),
        size=(3.9, 0.75 + 0.3 * len(names)),
    )


def _warnings(comparison: Comparison) -> str:
    found = notes.warnings(comparison)
    return details("What these figures rest on", paragraphs(found)) if found else ""
