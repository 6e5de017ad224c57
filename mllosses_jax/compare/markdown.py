"""The report of a comparison as GitHub-flavoured Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mllosses_jax._core.text import printable
from mllosses_jax.compare import leaderboard, notes, report
from mllosses_jax.compare.leaderboard import MINUS, decimal, interval
from mllosses_jax.compare.outcome import Outcome

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

METRICS_AT_ONCE = 4  # columns of metrics in one table, which then fits a page


def text(comparison: Comparison) -> str:
    """Returns the report of a comparison as Markdown."""
    first, *how = notes.heading(comparison)
    verdict = notes.verdict(comparison).removeprefix("Verdict: ")
    parts = [
        f"# {plain(comparison.dataset.name)}: comparison of losses",
        plain(first),
        "## Verdict",
        plain(verdict[0].upper() + verdict[1:]),
        "## Losses",
        *_tables(comparison),
        *map(plain, notes.explanation(comparison)),
        *map(plain, notes.warnings(comparison)),
        *_findings(comparison),
        *_labels(comparison),
        "## Run",
        *map(plain, how),
        _times(comparison),
    ]
    return "\n\n".join(parts) + "\n"


def plain(value: str) -> str:
    r"""Returns text in which nothing is markup.

    Example:
        >>> print(plain("a|b *c* <d>"))
        a\|b \*c\* \<d\>
    """
    return re.sub(r"([\\`*\[\]<>|~]|(?<!\w)_|_(?!\w)|^[-+#])", r"\\\1", printable(value))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> str:
    """Returns a table whose columns are aligned, also for those who read it as text.

    Args:
        headings: the headings.
        rows: the rows.
        names: how many columns hold names, on the left; numbers are aligned to the right.
    """
    filled = [[plain(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*filled, strict=True)]
    aligned = [
        [
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in filled
    ]
    rule = [
        "-" * width if place < names else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (aligned[0], rule, *aligned[1:]))


def _tables(comparison: Comparison) -> list[str]:
    """Returns the table of losses, cut into several with a few metrics each."""
    columns = leaderboard.columns(comparison)
    rows = [(row.shown, row) for row in leaderboard.rows(comparison)]
    rows += [(f"({row.name})", row) for row in leaderboard.reference_rows(comparison)]
    found = []
    for start in range(0, len(columns), METRICS_AT_ONCE):
        headings = [column.heading for column in columns[start : start + METRICS_AT_ONCE]]
        cells = [
            [name, row.decided, *(_cell(row, head) for head in headings)] for name, row in rows
        ]
        found.append(table(["loss", "decisions", *headings], cells, names=2))
    return found


def _cell(row: leaderboard.Row, heading: str) -> str:
    cell = row.cells.get(heading)
    if cell is None:
        return ""
    ends = interval(cell.low, cell.high)
    mark = {"+": "+", "-": MINUS, "": " "}[cell.mark]
    return f"{decimal(cell.mean)}{f' ({ends})' if ends else ''} {mark}".rstrip()


def _findings(comparison: Comparison) -> list[str]:
    found = comparison.checks
    if not found:
        return []
    parts = ["## Checks"]
    for finding in found:
        evidence = "".join(f"\n  - {plain(line)}" for line in finding.evidence)
        told = " ".join(plain(each) for each in (f"{finding.title}.", finding.why, finding.remedy))
        parts.append(f"- **{finding.kind} {finding.code}** {told}{evidence}")
    return parts


def _labels(comparison: Comparison) -> list[str]:
    label = comparison.recommended
    outcome = comparison.outcomes[label]
    if not isinstance(outcome, Outcome):
        return []
    found = report.labels_table(comparison, label, outcome, None)
    return ["## Labels", plain(found["title"]), table(found["heading"], found["rows"])]


def _times(comparison: Comparison) -> str:
    names = list(next(iter(comparison.outcomes.values())).chosen)
    rows = [
        [
            label,
            *(f"{outcome.chosen[name]:.3g}{'!' * (name in outcome.at_edge)}" for name in names),
            "n/a" if math.isinf(outcome.quality) else decimal(outcome.quality),
            str(len(outcome.residuals)),
            f"{outcome.seconds:.1f}",
            f"{outcome.cpu_seconds:.1f}",
        ]
        for label, outcome in comparison.outcomes.items()
    ]
    spoken = [name.replace("_", " ") for name in names]
    return table(["loss", *spoken, "held-out score", "models", "seconds", "CPU s"], rows)
