"""What the command writes to a terminal: aligned text, the table of losses, progress."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax.catalogue import find

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

    from mllosses_jax.compare.comparison import OnProgress
    from mllosses_jax.compare.judgement import Difference
    from mllosses_jax.compare.report import Differences, Results

WIDTH = 88  # of text that is printed as it is
MAX_WIDTH = 100  # of paragraphs that are as wide as the terminal
HEADINGS = {
    "map": "mAP",
    "macro_f1_at_half": "macro-F1\nat 0.5",
    "macro_f1_tuned": "macro-F1\ntuned",
    "micro_f1_tuned": "micro-F1\ntuned",
    "ranking_loss": "ranking\nloss",
    "precision_at_1": "P@1",
}


def number(value: float) -> str:
    """Returns four decimals, or a whole number as it is; n/a where undefined."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "n/a"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def grid(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns aligned lines: names to the left, numbers to the right."""
    filled = [[*row, *[""] * (len(heading) - len(row))] for row in (heading, *rows)]
    widths = np.max([[len(cell) for cell in row] for row in filled], axis=0)
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in filled
    ]


def table(results: Results, differences: Differences) -> Table:
    """Returns the table of all losses; 80 columns are enough for it.

    Args:
        results: ``results[LOSS][METRIC]`` of `judgement.summary`.
        differences: ``differences[LOSS][METRIC]`` to the baseline, which has no row there.
    """
    from rich.table import Table
    from rich.text import Text

    from mllosses_jax.compare.judgement import HIGHER_IS_BETTER
    from mllosses_jax.compare.report import comparable

    lines = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    lines.add_column("loss", width=15, overflow="fold")
    for heading in HEADINGS.values():
        lines.add_column(heading, width=9, overflow="fold")
    lines.add_column("s", justify="right", min_width=4)
    for name, figures in results.items():
        cells = [Text(_wrapped(name + ("" if find(name).zero_decides else "*")))]
        for metric, better in HIGHER_IS_BETTER.items():
            figure, difference = figures[metric], None
            if comparable(name, metric):
                difference = differences.get(name, {}).get(metric)
            mark, style = _mark(difference, better)
            cell = Text(_short(figure["mean"]) + mark, style=style)
            cell.append(f"\n{_short(figure['low'])}-{_short(figure['high'])}", style="dim")
            cells.append(cell)
        seconds = figures["seconds"]["mean"]
        lines.add_row(*cells, f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:.0f}")
    return lines


def paragraph(console: Console, text: str) -> None:
    """Prints a paragraph below an empty line, as wide as the terminal where that is narrow."""
    width = min(console.width, MAX_WIDTH)
    console.print("\n" + textwrap.fill(text, width), markup=False, soft_wrap=True)


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Yields what shows progress: a bar on a terminal, a line per loss elsewhere; on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task: TaskID | None = None

    def show(done_passes: int, total_passes: int, text: str) -> None:
        nonlocal task
        if task is None:  # errors in the arguments come before there is a bar
            bar.start()
            task = bar.add_task(text, total=total_passes)
        bar.update(task, completed=done_passes, total=total_passes, description=text)

    try:
        yield show
    finally:
        if task is not None:
            bar.stop()


class _Lines:
    """Prints each text once."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = ""

    def __call__(self, done_passes: int, total_passes: int, text: str) -> None:
        if text != self.last:
            self.console.print(text, markup=False)
        self.last = text


def _short(value: float) -> str:
    """Three decimals in at most four characters."""
    if math.isnan(value):
        return "n/a"
    return "1.00" if value >= 0.9995 else f"{value:.3f}".removeprefix("0")


def _mark(difference: Difference | None, higher_is_better: bool) -> tuple[str, str]:
    if difference is None or not difference.excludes_zero:
        return "", ""
    better = (difference.mean > 0) == higher_is_better
    return (" +", "bold green") if better else (" -", "bold red")


def _wrapped(name: str, width: int = 15) -> str:
    """Breaks a long name before an underscore, so that no line is longer than the column."""
    lines = [""]
    for index, word in enumerate(name.split("_")):
        piece = word if index == 0 else f"_{word}"
        if len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)
