"""The fifth tab: what the data set is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mllosses_jax.compare.card import data_card, first_part, in_words
from mllosses_jax.compare.page.elements import Cell, Heading, TableRow, table, tag

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


def content(comparison: Comparison) -> str:
    """Returns the tab."""
    card = data_card(comparison.dataset)
    rows = [
        TableRow([Cell(name.replace("_", " ").capitalize()), Cell(_shown(value))])
        for name, value in card.items()
        if name not in ("name", "label_names")
    ]
    headings = [Heading("Property", numeric=False), Heading("Value")]
    caption = f"The {first_part(comparison.dataset)} part of {comparison.dataset.name}"
    return tag("h2", "Data") + table("data-table", caption, headings, rows, sortable=False)


def _shown(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return in_words(value)
