"""The fifth tab: what the data set is like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mllosses_jax.compare.card import data_card, in_words
from mllosses_jax.compare.page.elements import Cell, Heading, TableRow, table, tag

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


MEANINGS = {
    "cardinality": "Labels per row (cardinality)",
    "density": "Share of the labels that a row has (density)",
    "mean_imbalance_ratio": "How much rarer labels are than the most frequent one, on average "
    "(mean imbalance ratio)",
    "unknown_entries": "Entries of the label matrix that are unknown",
}


def content(comparison: Comparison) -> str:
    """Returns the tab."""
    card = data_card(comparison.dataset)
    rows = [
        TableRow([Cell(MEANINGS.get(name) or _spoken(name)), Cell(_shown(value))])
        for name, value in card.items()
        if name not in ("name", "label_names")
    ]
    headings = [Heading("Property", numeric=False), Heading("Value")]
    caption = f"{comparison.dataset.name}; all but the test rows is about the training part"
    return tag("h2", "Data") + table("data-table", caption, headings, rows, sortable=False)


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _shown(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return in_words(value)
