"""The fourth tab: each label, and the curves of a few."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import NDArray

from mllosses_jax import plots
from mllosses_jax.compare.card import first_part
from mllosses_jax.compare.leaderboard import decimal
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.page.elements import Cell, Heading, TableRow, choice, table, tag, text
from mllosses_jax.compare.page.figures import figure, plain
from mllosses_jax.compare.per_label import LabelFigures, label_figures, positives

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

MAX_ROWS = 300
FREQUENT = 3  # labels with curves, besides those that stand out
EDGES = (20, 100)  # training positives of medium labels
ENOUGH = 10  # test positives from which on a label can stand out


def content(comparison: Comparison) -> str:
    """Returns the tab."""
    taken, other = comparison.recommended, _other(comparison)
    figures = label_figures(comparison, taken)
    against = None if other is None else label_figures(comparison, other)
    overview = [
        *_of_all(comparison, figures, other, against),
        _reliability(comparison),
    ]
    curves = _curves(comparison, figures, against)
    return (
        tag("h2", "Labels")
        + tag("p", _introduction(taken, other), class_="note")
        + tag("div", "".join(overview), class_="grid")
        + (tag("h3", "The curves of a label") + curves if curves else "")
        + tag("h3", "Every label")
        + _table(comparison, figures, other, against)
    )


def _introduction(taken: str, other: str | None) -> str:
    under = f"Labels under {tag('code', text(taken))}, on test rows"
    return f"{under}." if other is None else f"{under}, beside {tag('code', text(other))}."


def _other(comparison: Comparison) -> str | None:
    """Returns the loss to compare with: the baseline, or the next best if that is recommended."""
    taken = comparison.recommended
    if taken != comparison.baseline:
        return comparison.baseline
    others = [label for label in comparison.results if label != taken]
    return max(others, key=lambda label: comparison.outcomes[label].quality, default=None)


def _of_all(
    comparison: Comparison, figures: LabelFigures, other: str | None, against: LabelFigures | None
) -> list[str]:
    """Returns the figures over all labels, of average precision or, without it, of F1.

    A label without a test positive is left out: its F1 is 0 whatever is predicted.
    """
    taken, (train, test) = comparison.recommended, positives(comparison)
    first = first_part(comparison.dataset)
    metric = _metric(figures)
    values = {taken: np.where(test > 0, getattr(figures, metric), np.nan)}
    if other is not None and against is not None:
        values[other] = np.where(test > 0, getattr(against, metric), np.nan)
    name = _NAMES[metric]
    title = name[0].upper() + name[1:]
    frequency = figure(
        "frequency",
        f"{title} of each label against its {first} positives, under {taken}.",
        f"{title} of each label against its number of {first} positives under {taken}; "
        f"the numbers are in the table of every label",
        functools.partial(_by_frequency, values[taken], train, name, first),
    )
    found = [frequency]
    if len(_groups(train)) > 1:
        told = "; ".join(
            f"{group}, {loss} {decimal(float(np.nanmean(of_loss[part])))}"
            for group, part in _groups(train).items()
            for loss, of_loss in values.items()
            if np.isfinite(of_loss[part]).any()
        )
        drawn = figure(
            "groups",
            f"Mean {name} of frequent, medium and rare labels, by {first} positives; labels "
            "without a test positive are left out.",
            f"Mean {name} by frequency: {told}",
            functools.partial(_grouped, values, train, name),
        )
        found.append(drawn)
    if other is None:
        return found
    better = int(np.sum(values[taken] > values[other]))
    pair = figure(
        "pair",
        f"{title} of each label under two {comparison.settings.what[1]}. Above the line, {taken} "
        "is better.",
        f"{title} of each label under {other} and {taken}, which is better for {better} of "
        f"{len(train)} labels",
        functools.partial(
            plots.two_losses, values[other], values[taken], names=(plain(other), plain(taken))
        ),
    )
    return [pair, *found]


_NAMES = {"average_precision": "average precision", "f1": "F1"}


def _metric(figures: LabelFigures) -> str:
    return "average_precision" if np.isfinite(figures.average_precision).any() else "f1"


def _by_frequency(values: Any, train: Any, name: str, first: str, *, ax: Any) -> None:
    plots.average_precision_by_frequency(values, train, ax=ax)
    ax.set(xlabel=f"{first} positives", ylabel=name)


def _grouped(values: dict[str, Any], train: Any, name: str, *, ax: Any) -> None:
    plots.head_medium_tail(
        {plain(loss): of_loss for loss, of_loss in values.items()}, train, edges=EDGES, ax=ax
    )
    ax.set_ylabel(f"mean {name}")
    if len(values) > 1:
        ax.set_ylim(0, 1.3)  # room for the legend
        ax.set_yticks([0, 0.25, 0.5, 0.75, 1])


def _groups(train: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Returns which labels are in the groups of `plots.head_medium_tail` that have any."""
    low, high = EDGES
    parts = {"head": train > high, "medium": (train >= low) & (train <= high), "tail": train < low}
    return {group: part for group, part in parts.items() if part.any()}


def _reliability(comparison: Comparison) -> str:
    """Returns the reliability diagram before and after calibration, or "" without scores."""
    dataset, taken = comparison.dataset, comparison.recommended
    outcome = comparison.outcomes[taken]
    if not isinstance(outcome, Outcome) or not np.isfinite(outcome.test_scores).all():
        return ""
    scores = outcome.test_scores[0]
    labels, known = dataset.y_test, dataset.known_test
    assert labels is not None
    stages = {"after": np.asarray(outcome.decisions.calibrator(scores))}
    if comparison.choices[taken].zero_decides:
        stages = {"before": np.asarray(jax.nn.sigmoid(scores)), **stages}

    def draw(*, ax: Any) -> None:
        for name, probabilities in stages.items():
            plots.reliability_diagram(probabilities, labels, where=known, name=name, ax=ax)

    errors = {"before": "calibration_error", "after": "calibration_error_platt"}
    told = ", ".join(
        f"{name} {decimal(comparison.results[taken][errors[name]]['mean'])}" for name in stages
    )
    return figure(
        "reliability",
        f"Reliability before and after Platt calibration, all labels together, under {taken}.",
        f"Fraction of positives against the predicted probability under {taken}; the expected "
        f"calibration error is {told} calibration",
        draw,
    )


def _curves(comparison: Comparison, figures: LabelFigures, against: LabelFigures | None) -> str:
    """Returns the curves of a few labels under the recommended loss."""
    dataset, taken = comparison.dataset, comparison.recommended
    outcome = comparison.outcomes[taken]
    if not isinstance(outcome, Outcome) or not np.isfinite(outcome.test_scores).all():
        return ""
    scores, truth, known = outcome.test_scores[0], dataset.y_test, dataset.known_test
    assert truth is not None
    options = []
    for place, why in _telling(comparison, figures, against).items():
        column, where = (scores[:, place], truth[:, place]), known[:, place]
        tuned = float(figures.thresholds[place])
        drawn = [
            figure(
                f"threshold-{place}",
                "Against the threshold of the logit. The dashed line is the tuned one.",
                f"F1, precision and recall against the threshold; the tuned threshold is "
                f"{tuned:.3g}, with an F1 of {decimal(figures.f1[place])}",
                functools.partial(plots.threshold_curve, *column, tuned=tuned, where=where),
            ),
            figure(
                f"precision-recall-{place}",
                f"Precision against recall; average precision "
                f"{decimal(figures.average_precision[place])}.",
                f"Precision against recall, with an average precision of "
                f"{decimal(figures.average_precision[place])}",
                functools.partial(plots.precision_recall, *column, where=where),
            ),
        ]
        if any(drawn):
            options.append(
                (f"{dataset.label_names[place]} ({why})", tag("div", "".join(drawn), class_="grid"))
            )
    return choice("label", "Label", options) if options else ""


def _telling(
    comparison: Comparison, figures: LabelFigures, against: LabelFigures | None
) -> dict[int, str]:
    """Returns places of labels that are worth a look, each with the reason."""
    _, test = positives(comparison)
    found: dict[int, str] = {}
    for place in np.argsort(-test, kind="stable")[:FREQUENT]:
        if test[place]:
            found[int(place)] = "frequent"
    enough = test >= min(ENOUGH, test.max(initial=0))

    def add(values: NDArray[Any], why: str) -> None:
        usable = np.where(enough & np.isfinite(values), values, -math.inf)
        place = int(np.argmax(usable))
        if math.isfinite(usable[place]):
            found.setdefault(place, why)

    add(-figures.average_precision, "lowest average precision")
    add(figures.f1 - figures.f1_default, "gains most from its threshold")
    if against is not None:
        gap = np.abs(figures.average_precision - against.average_precision)
        add(gap, f"the {comparison.settings.what[1]} differ most")
    return found


def _table(
    comparison: Comparison, figures: LabelFigures, other: str | None, against: LabelFigures | None
) -> str:
    train, test = positives(comparison)
    names = comparison.dataset.label_names
    origin = comparison.choices[comparison.recommended].zero_decides
    with_precision = _metric(figures) == "average_precision"
    columns: list[tuple[Heading, NDArray[Any], bool]] = [
        (Heading(f"{first_part(comparison.dataset).capitalize()} positives"), train, True),
        (Heading("Test positives"), test, True),
    ]
    if with_precision:
        columns.append((Heading("Average precision"), figures.average_precision, False))
        if other is not None and against is not None:
            lead = figures.average_precision - against.average_precision
            columns.append((Heading("Lead"), lead, False))
    if origin:
        columns.append((Heading("F1 at 0.5"), figures.f1_default, False))
    columns.append((Heading("F1 tuned"), figures.f1, False))
    columns.append((Heading("Threshold"), figures.thresholds, False))
    shown = np.argsort(-test, kind="stable")[:MAX_ROWS]
    rows = [
        TableRow(
            [
                Cell(names[place]),
                *(
                    Cell(
                        str(int(values[place])) if whole else decimal(float(values[place])),
                        float(values[place]),
                    )
                    for _, values, whole in columns
                ),
            ]
        )
        for place in shown
    ]
    headings = [Heading("Label", numeric=False, ascending=True), *(head for head, *_ in columns)]
    caption = f"Labels under {comparison.recommended}, by the number of test positives."
    if with_precision and other is not None:
        caption += f" Lead: in average precision over {other}."
    caption += " Thresholds are of logits."
    search = tag(
        "label", 'Filter <input type="search" data-filters="labels-table">', class_="chooser"
    )
    count = '<output data-counts="labels-table"></output>'
    rest = len(names) - len(shown)
    more = f"{rest} labels with fewer test positives are in per_label.csv alone." if rest else ""
    return (
        tag("div", search + count, class_="bar")
        + table("labels-table", caption, headings, rows)
        + (tag("p", more, class_="note") if rest else "")
    )
