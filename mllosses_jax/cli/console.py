"""What the command writes to a terminal: aligned text and progress."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mllosses_jax._core.text import printable
from mllosses_jax._core.text_table import aligned

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from mllosses_jax.compare.progress import OnProgress

NARROWEST, WIDEST = 60, 88  # of tables, and of sentences


def width() -> int:
    """Returns the columns that tables may take: those of the terminal, but at least 60.

    Where the output is no terminal, such as in a pipe, they are 80. COLUMNS takes precedence.
    """
    return max(shutil.get_terminal_size(fallback=(80, 24)).columns, NARROWEST)


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
    """Returns a table that fits the terminal, with names to the left and numbers to the right."""
    return aligned(heading, [[printable(cell) for cell in row] for row in rows], width())


def paragraph(text: str, indent: str = "") -> list[str]:
    """Returns the lines of a sentence or more."""
    return _filled(text, indent, indent)


def definitions(texts: Mapping[str, str], indent: str = "") -> list[str]:
    """Returns names, each with a text beside it, or below it where there is too little room."""
    column = max(map(len, texts)) + 2
    below = indent + " " * column
    lines = []
    for name, text in texts.items():
        beside = _filled(text, f"{indent}{name:<{column}}", below)
        if 2 * len(below) > width() or max(map(len, beside), default=0) > width():
            lines += [f"{indent}{name}", *paragraph(text, f"{indent}    ")]
        else:
            lines += beside
    return lines


def _filled(text: str, first: str, rest: str) -> list[str]:
    """Returns text in lines that fit the terminal; a word, such as a path, is never cut."""
    columns = min(width(), WIDEST)
    return textwrap.wrap(
        printable(text),
        columns,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


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
