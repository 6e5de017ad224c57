"""Tables as aligned text that fits the width of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from mllosses_jax._core.text import broken, printable

NARROW_NAME = 18  # names may always be so wide, and wider on a wide terminal
GAPS = 2, 1  # spaces between columns; one alone if the table then has fewer blocks

Lines = list[str]


def aligned(heading: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    r"""Returns the lines of a table, with the names in its first column and figures in the others.

    Where the columns do not fit side by side, blocks of them stand below each other, each with the
    names. A long name or heading goes over several lines, and a figure is never cut.

    Args:
        heading: what stands above each column.
        rows: the rows, each with a cell per column, or fewer; a cell may have several lines.
        width: the most characters in a line.

    Example:
        >>> print(*aligned(["loss", "mAP", "F1"], [["focal", ".612", ".5"]], 12), sep="\n")
        loss    mAP
        focal  .612
        <BLANKLINE>
        loss   F1
        focal  .5
    """
    longest = max(NARROW_NAME, width // 4)
    table = [[_lines(cell) for cell in (*row, *[""] * (len(heading) - len(row)))] for row in rows]
    above = [[part for line in _lines(cell) for part in broken(line, longest)] for cell in heading]
    for row in table:
        row[0] = [part for line in row[0] for part in broken(line, longest)]
    table = [above, *table]
    columns = zip(*table, strict=True)
    widths = [max(len(line) for cell in column for line in cell) for column in columns]
    cuts = [_blocks(widths, width, gap) for gap in GAPS]
    blocks, gap = min(zip(cuts, GAPS, strict=True), key=lambda cut: len(cut[0]))
    found: list[str] = []
    for block in blocks:
        found += [""] * bool(found)
        places = [0, *block]
        for number, row in enumerate(table):
            cells = [row[place] for place in places]
            found += _row(cells, [widths[place] for place in places], gap, low=number == 0)
    return found


def _lines(cell: str) -> Lines:
    return printable(cell, keep="\n").split("\n")


def _blocks(widths: Sequence[int], width: int, gap: int) -> list[list[int]]:
    """Returns the places of the columns of each block, which has at least one besides the names."""
    blocks: list[list[int]] = [[]]
    used = widths[0]
    for place, each in enumerate(widths[1:], 1):
        if blocks[-1] and used + gap + each > width:
            blocks.append([])
            used = widths[0]
        blocks[-1].append(place)
        used += gap + each
    return blocks


def _row(cells: Sequence[Lines], widths: Sequence[int], gap: int, *, low: bool) -> list[str]:
    """Returns the lines of a row, whose cells begin at the top or, if `low`, end at the bottom."""
    depth = max(map(len, cells))
    filled = [
        [*[""] * (depth - len(cell)), *cell] if low else [*cell, *[""] * (depth - len(cell))]
        for cell in cells
    ]
    return [
        (" " * gap)
        .join(
            line.rjust(each) if column else line.ljust(each)
            for column, (line, each) in enumerate(zip(lines, widths, strict=True))
        )
        .rstrip()
        for lines in zip(*filled, strict=True)
    ]
