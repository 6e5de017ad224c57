"""The last tab: how the models were trained, with which versions, and how long it took."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from mllosses_jax import plots
from mllosses_jax.compare import notes
from mllosses_jax.compare.document import versions
from mllosses_jax.compare.page.elements import (
    Cell,
    Heading,
    TableRow,
    choice,
    paragraphs,
    table,
    tag,
    text,
)
from mllosses_jax.compare.page.figures import figure

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison


def content(comparison: Comparison) -> str:
    """Returns the tab."""
    searches, learning = _searches(comparison), _learning(comparison)
    return (
        tag("h2", "Run")
        + paragraphs(notes.heading(comparison)[1:])
        + _training(comparison)
        + (tag("h3", "Learning curves") + learning if learning else "")
        + (tag("h3", "What was tried") + searches if searches else "")
        + _versions(comparison)
    )


def _training(comparison: Comparison) -> str:
    names = list(next(iter(comparison.outcomes.values())).chosen)
    headings = [
        Heading("Loss", numeric=False, ascending=True),
        *(Heading(_spoken(name), hint="! is at an edge of what was tried") for name in names),
        Heading("Held-out score"),
        Heading("Models"),
        Heading("Seconds", ascending=True),
        Heading("CPU seconds", ascending=True),
    ]
    rows = []
    for label, outcome in comparison.outcomes.items():
        chosen = [
            Cell(
                f"{outcome.chosen[name]:.3g}" + "!" * (name in outcome.at_edge),
                outcome.chosen[name],
            )
            for name in names
        ]
        rows.append(
            TableRow(
                [
                    Cell(label),
                    *chosen,
                    Cell(f"{outcome.quality:.3f}", outcome.quality),
                    Cell(str(len(outcome.residuals)), len(outcome.residuals)),
                    Cell(f"{outcome.seconds:.1f}", outcome.seconds),
                    Cell(f"{outcome.cpu_seconds:.1f}", outcome.cpu_seconds),
                ]
            )
        )
    caption = "The chosen hyper-parameters of each loss, and the time that it took"
    return table("run-table", caption, headings, rows)


def _learning(comparison: Comparison) -> str:
    """Returns the loss and the score in each round of training, loss by loss."""
    drawn = []
    for place, (label, outcome) in enumerate(comparison.outcomes.items()):
        curves = outcome.curves
        if not curves or not np.isfinite(curves["training_loss"]).any():
            continue
        chosen = outcome.chosen["steps"]
        draw = functools.partial(
            plots.learning_curves,
            curves["steps"],
            curves["training_loss"],
            curves["score"],
            final_loss=curves["final_loss"],
            chosen=chosen,
        )
        described = (
            f"Training loss and held-out score of {label} against the steps of training, of which "
            f"{chosen:.0f} were chosen, with a score of {outcome.quality:.3f}"
        )
        drawn.append(figure(f"learning-{place}", label, described, draw, size=(3.6, 2.4)))
    if not any(drawn):
        return ""
    explained = (
        "With the chosen step size and decay: the training loss and the score of rows that were "
        "held out, as means over the models, after each round of steps. The upright line is the "
        "number of steps that was chosen; the dashed curve is the loss of the final training on "
        "all rows, which ends there. Losses differ in scale, so that their curves may not be "
        "compared in height."
    )
    return tag("p", text(explained), class_="note") + tag("div", "".join(drawn), class_="grid")


def _searches(comparison: Comparison) -> str:
    """Returns the score against each hyper-parameter that was searched, loss by loss."""
    options = []
    names = list(next(iter(comparison.outcomes.values())).chosen)
    for number, name in enumerate(names):
        drawn = []
        for place, (label, outcome) in enumerate(comparison.outcomes.items()):
            tried, scores = outcome.tried.get(name), outcome.tried["score"]
            if tried is None or len(np.unique(tried)) < 2 or not np.isfinite(scores).any():
                continue
            chosen = outcome.chosen[name]
            draw = functools.partial(
                plots.search_curve, tried, scores, chosen=chosen, name=_spoken(name).lower()
            )
            drawn.append(
                figure(
                    f"search-{number}-{place}",
                    label,
                    f"Held-out score of {label} against {_spoken(name)}, of which {chosen:.3g} was "
                    f"chosen, with a score of {outcome.quality:.3f}",
                    draw,
                    size=(3, 2.2),
                )
            )
        if any(drawn):
            options.append((_spoken(name), tag("div", "".join(drawn), class_="grid")))
    if not options:
        return ""
    explained = (
        "The score of rows that were held out against each value that was tried. The upright line "
        "is the value that was chosen."
    )
    return tag("p", text(explained), class_="note") + choice("search", "Hyper-parameter", options)


def _versions(comparison: Comparison) -> str:
    settings = {
        "model": comparison.settings.own_model or comparison.settings.model,
        "seeds": comparison.settings.num_seeds,
        "test resamples": comparison.resamples.shape[1],
    }
    rows = [
        TableRow([Cell(name), Cell(str(value))])
        for name, value in (*settings.items(), *versions().items())
    ]
    headings = [Heading("What", numeric=False), Heading("Value", numeric=False)]
    title = tag("h3", "Settings and versions")
    caption = "What the figures depend on"
    return title + table("versions-table", caption, headings, rows, sortable=False)


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()
