"""What the command writes to a terminal: aligned text and progress."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax._core.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from mllosses_jax.compare.progress import OnProgress

WIDTH = 88  # Printed text is wrapped at this width.


def number(value: float) -> str:
    """Returns a number with four decimals, a whole number as it is, or n/a if undefined."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "n/a"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"


def say(text: str) -> None:
    """Prints text, with escapes for control characters, which names from files may contain."""
    print(printable(text, keep="\n"))


def grid(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns aligned lines, with names to the left and numbers to the right."""
    filled = [[*map(printable, row), *[""] * (len(heading) - len(row))] for row in (heading, *rows)]
    widths = np.max([[len(cell) for cell in row] for row in filled], axis=0)
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in filled
    ]


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Yields a callback that shows progress on stderr: a bar on a terminal, else lines of text."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, emoji=False, markup=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task: TaskID | None = None

    def show(done_passes: int, total_passes: int, text: str) -> None:
        nonlocal task
        if task is None:  # No bar appears if the arguments are wrong.
            bar.start()
            task = bar.add_task(text, total=total_passes)
        bar.update(task, completed=done_passes, total=total_passes, description=text)

    try:
        yield show
    finally:
        if task is not None:
            bar.stop()


class _Lines:
    """Prints each new text once."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.last = ""

    def __call__(self, done_passes: int, total_passes: int, text: str) -> None:
        if text != self.last:
            self.console.print(printable(text))
        self.last = text
