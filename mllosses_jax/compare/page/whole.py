"""The whole page, and the compact table that notebooks show."""

from __future__ import annotations

import importlib.resources
import string
from typing import TYPE_CHECKING

from mllosses_jax.compare import notes
from mllosses_jax.compare.page import data, findings, labels, losses, run_details, verdict
from mllosses_jax.compare.page.elements import tag, text
from mllosses_jax.compare.page.figures import drawable

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

TABS = {
    "verdict": ("Verdict", verdict.content),
    "losses": ("Losses", losses.content),
    "checks": ("Checks", findings.content),
    "labels": ("Labels", labels.content),
    "data": ("Data", data.content),
    "run": ("Run", run_details.content),
}


def html(comparison: Comparison) -> str:
    """Returns the page of a comparison: one file, which needs no network.

    Without matplotlib it has all tables and no figures, and says so.
    """
    tabs: list[str] = []
    panels: list[str] = []
    _, several = comparison.settings.what
    titles = {"losses": several.capitalize()}
    for name, (title, content) in TABS.items():
        first = "true" if not tabs else "false"
        tabs.append(
            tag(
                "a",
                text(titles.get(name, title)) + _count(comparison, name),
                role="tab",
                id=f"tab-{name}",
                href=f"#{name}",
                aria_controls=name,
                aria_selected=first,
            )
        )
        panels.append(
            tag(
                "section",
                content(comparison),
                role="tabpanel",
                id=name,
                aria_labelledby=f"tab-{name}",
                tabindex="0",
            )
        )
    missing = (
        ""
        if drawable()
        else tag("p", "Figures need matplotlib: pip install 'mllosses-jax[cli]'.", class_="note")
    )
    return string.Template(_file("page.html")).substitute(
        title=text(f"{comparison.dataset.name}: comparison of {several}"),
        name=text(comparison.dataset.name),
        about=text(notes.heading(comparison)[0].partition(": ")[2]),
        missing=missing,
        tabs="".join(tabs),
        panels="".join(panels),
        style=_file("page.css"),
        script=_file("page.js"),
    )


def compact(comparison: Comparison) -> str:
    """Returns the table of losses alone, as HTML without a script."""
    return tag("style", _file("notebook.css")) + tag(
        "div",
        losses.leaderboard_table(comparison, sortable=False),
        class_="mllosses",
    )


def _count(comparison: Comparison, name: str) -> str:
    """Returns how many issues the tab of the checks has, which its tab says."""
    issues = sum(each.kind == "issue" for each in comparison.checks)
    if name != "checks" or not issues:
        return ""
    return tag("span", str(issues), class_="count", aria_label=f"{issues} issues")


def _file(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
