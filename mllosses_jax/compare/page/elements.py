"""The parts that the tabs of the page share. Text that is passed in is escaped here.

Functions return HTML. What they take as `content` is HTML already; everything else is text.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mllosses_jax._core.text import printable
from mllosses_jax.compare.leaderboard import MINUS


@dataclass(frozen=True)
class Heading:
    """The heading of a column.

    Attributes:
        text: what it says.
        numeric: whether its cells are numbers, which are aligned to the right.
        ascending: whether sorting begins with the lowest value.
        hint: what it means, for those who point at it.
    """

    text: str
    numeric: bool = True
    ascending: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        value: what it is sorted by; the text if None. NaN comes last.
        below: a second line.
        mark: + or - against the baseline, or "".
        dim: whether the figure is the same in another row.
    """

    text: str
    value: float | None = None
    below: str = ""
    mark: str = ""
    dim: bool = False


@dataclass(frozen=True)
class TableRow:
    """A row of a table, whose first cell is its heading.

    Attributes:
        cells: the cells, one per column.
        kind: what rows can be filtered by, or "".
        badge: a word beside the heading of the row, or "".
        apart: whether it stands below the others and is never sorted.
    """

    cells: Sequence[Cell]
    kind: str = ""
    badge: str = ""
    apart: bool = False


def text(value: object) -> str:
    """Returns text as HTML, in which nothing of it is markup or a control character."""
    return html.escape(printable(str(value)))


def prose(value: str) -> str:
    """Returns sentences as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", lambda match: tag("code", match[1]), text(value))


def tag(name: str, content: str, **attributes: str) -> str:
    """Returns an element; an underscore in the name of an attribute stands for a hyphen."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{given}>{content}</{name}>"


def paragraphs(sentences: Iterable[str]) -> str:
    """Returns texts as paragraphs."""
    return "".join(tag("p", prose(sentence)) for sentence in sentences)


def details(summary: str, content: str) -> str:
    """Returns content that is shown on demand."""
    return f"<details>{tag('summary', text(summary))}{content}</details>"


def code(language: str, source: str) -> str:
    """Returns lines to copy, with a button that does so."""
    button = tag("button", "Copy", type="button", class_="copy", aria_label=f"Copy {language}")
    head = tag("div", tag("span", text(language)) + button, class_="code-head")
    keep_lines = html.escape(printable(source, keep="\n"))
    return tag("div", f"{head}<pre tabindex=0><code>{keep_lines}</code></pre>", class_="code")


def table(
    name: str,
    caption: str,
    headings: Sequence[Heading],
    rows: Sequence[TableRow],
    *,
    sortable: bool = True,
) -> str:
    """Returns a table that scrolls by itself where it is wider than the page.

    Args:
        name: its id.
        caption: what it shows.
        headings: the columns.
        rows: the rows.
        sortable: whether the headings sort the rows.
    """
    head = "".join(_heading(heading, sortable) for heading in headings)
    bodies = [
        tag("tbody", "".join(_row(row, headings) for row in part), class_=kind)
        for kind, part in (
            ("rows", [row for row in rows if not row.apart]),
            ("apart", [row for row in rows if row.apart]),
        )
        if part
    ]
    content = (
        tag("caption", tag("span", text(caption))) + tag("thead", tag("tr", head)) + "".join(bodies)
    )
    return tag(
        "div",
        tag("table", content, id=name),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _heading(heading: Heading, sortable: bool) -> str:
    attributes = {"scope": "col", "class": "number" if heading.numeric else "name"}
    if heading.hint:
        attributes["title"] = heading.hint
    if not sortable:
        return tag("th", text(heading.text), **attributes)
    attributes["aria-sort"] = "none"
    attributes["data-first"] = "ascending" if heading.ascending else "descending"
    # The arrow that the style adds to the last word stays on its line.
    *others, last = heading.text.split(" ")
    words = "".join(f"{text(word)} " for word in others) + tag("span", text(last))
    return tag("th", tag("button", words, type="button"), **attributes)


def _row(row: TableRow, headings: Sequence[Heading]) -> str:
    cells = []
    for place, (cell, heading) in enumerate(zip(row.cells, headings, strict=True)):
        badge = tag("span", text(row.badge), class_="badge") if row.badge and not place else ""
        cells.append(_cell(cell, heading, badge, is_heading=not place))
    return tag("tr", "".join(cells), data_kind=row.kind) if row.kind else tag("tr", "".join(cells))


def _cell(cell: Cell, heading: Heading, badge: str, *, is_heading: bool) -> str:
    attributes = {"class": "number" if heading.numeric else "name"}
    if cell.dim:
        attributes["class"] += " dim"
    if heading.numeric:
        value = math.nan if cell.value is None else cell.value
        attributes["data-value"] = "" if math.isnan(value) else repr(float(value))
    content = text(cell.text)
    if not heading.numeric and not cell.text.isspace():
        content = content.replace("_", "_<wbr>")
    if cell.mark:
        content += mark(cell.mark)
    elif heading.numeric and cell.below:
        content += "<span class=no-mark></span>"
    content += badge
    if cell.below:
        content += tag("small", text(cell.below))
    if is_heading:
        return tag("th", content, scope="row", **attributes)
    return tag("td", content, **attributes)


def mark(sign: str) -> str:
    """Returns the mark of a figure against the baseline, with words for those who do not see it."""
    better = sign == "+"
    words = "better than the baseline" if better else "worse than the baseline"
    shown = tag("span", "+" if better else MINUS, aria_hidden="true")
    kind = "better" if better else "worse"
    return tag("span", shown + tag("span", f" {words}", class_="unseen"), class_=f"mark {kind}")


def choice(name: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    """Returns contents of which a list lets one choose one; all of them are seen without a script.

    Args:
        name: the id of the list.
        label: what is chosen.
        options: (text, content) of each.
    """
    if len(options) == 1:
        return options[0][1]
    listed = "".join(
        tag("option", text(shown), value=f"{name}-{place}")
        for place, (shown, _) in enumerate(options)
    )
    chooser = tag("label", f"{text(label)} {tag('select', listed, id=name)}", class_="chooser")
    contents = "".join(
        tag("div", content, id=f"{name}-{place}", class_="chosen", data_of=name)
        for place, (_, content) in enumerate(options)
    )
    return chooser + contents
