"""The second tab: all losses in one table, and each metric as dots with intervals."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax import plots
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
        Heading("CPU s", ascending=True, hint="time of all processor cores"),
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
        "explain. Default: 0.5 for every label and sigmoid(logit); tuned: thresholds and "
        "probabilities that were fitted on held-out rows. Figures that tuning does not "
        "change are pale."
    )
    if comparison.settings.model != "scores":
        explained += f" Pareto: no other loss is both better in {leading} and faster."
    return tag("p", text(explained), class_="note")


def _dots(comparison: Comparison) -> str:
    options = []
    for place, column in enumerate(leaderboard.columns(comparison)):
        found = [
            (row.name, row.cells[column.heading])
            for row in leaderboard.rows(comparison)
            if row.decided == "tuned" and column.heading in row.cells
        ]
        names = [plain(_broken(name)) for name, _ in found]
        mean, low, high = (
            np.array([getattr(cell, end) for _, cell in found]) for end in ("mean", "low", "high")
        )
        base = {name: cell.mean for name, cell in found}.get(comparison.baseline)
        draw = functools.partial(plots.intervals, names, mean, low, high, reference=base)
        said = "; ".join(
            f"{name} {decimal(cell.mean)}, {interval(cell.low, cell.high)}" for name, cell in found
        )
        better = "higher" if column.higher_is_better else "lower"
        tuned = ", tuned" if column.is_tuned else ""
        drawn = figure(
            f"intervals-{place}",
            f"{column.heading}{tuned}; {better} is better. The dashed line is the baseline.",
            f"{column.heading} with its interval for each loss: {said}",
            draw,
            size=(3.9, 0.75 + 0.3 * len(names)),
        )
        options.append((column.heading, drawn))
    return choice("metric", "Metric", options)


def _broken(name: str, length: int = 18) -> str:
    """Returns a long name over several lines."""
    lines = [""]
    for piece in name.replace("_", "\0_").replace("(", "\0(").replace(", ", ",\0 ").split("\0"):
        if lines[-1] and len(lines[-1]) + len(piece) > length:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _warnings(comparison: Comparison) -> str:
    found = notes.warnings(comparison)
    return details("What these figures rest on", paragraphs(found)) if found else ""
