"""The fifth tab: what the data set is like."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from mllosses_jax import plots
from mllosses_jax.compare.card import data_card, in_words
from mllosses_jax.compare.page.elements import Cell, Heading, TableRow, table, tag
from mllosses_jax.compare.page.figures import figure
from mllosses_jax.compare.per_label import positives

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
    caption = f"The training part of {comparison.dataset.name}, and the size of the test part"
    listed = table("data-table", caption, headings, rows, sortable=False)
    train, _ = positives(comparison)
    drawn = figure(
        "frequencies",
        "Training positives of each label, from the most frequent one to the rarest.",
        f"Training positives of {len(train)} labels, of which the most frequent has {train.max()}, "
        f"the median {np.median(train):g} and the rarest {train.min()}",
        functools.partial(plots.label_frequencies, train),
    )
    return tag("h2", "Data") + tag("div", listed + drawn, class_="beside")


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _shown(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return in_words(value)
