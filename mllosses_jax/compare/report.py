"""The report of a comparison: what was done, the tables, what they mean, and what to do."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mllosses_jax._core.text import printable
from mllosses_jax.compare import notes
from mllosses_jax.compare.intervals import Interval
from mllosses_jax.compare.judgment import decide
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.data import Dataset
from mllosses_jax.metrics import classification_report

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

WIDTH = 79
NAME_WIDTH, CELL_WIDTH = 18, 10
MAX_LABELS = 20
FIT_HEADINGS = {  # besides the CPU time
    "linear": ["strength", "models"],
    "linear_head": ["strength", "models"],
    "mlp": ["learning\nrate", "decay", "steps"],
}
AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")  # rows of the report

TABLES: Mapping[str, tuple[str, ...]] = {  # of metrics; those that were not judged are left out
    "Labels": ("map", "roc_auc", "macro_f1_at_half", "macro_f1_tuned", "micro_f1_tuned"),
    "The ranking of a row's labels": (
        "ranking_loss",
        "lrap",
        "precision_at_1",
        "precision_at_3",
        "precision_at_5",
        "ndcg_at_5",
    ),
    "Probabilities, and the fit": ("calibration_error", "calibration_error_platt"),
}

LARGE_TABLES: Mapping[str, tuple[str, ...]] = {
    "The ranking of a row's labels": (
        "precision_at_1",
        "precision_at_3",
        "precision_at_5",
        "ndcg_at_3",
        "ndcg_at_5",
    ),
    "Rare labels, and label sets": ("psp_at_1", "psp_at_3", "psp_at_5", "micro_f1_tuned"),
    "The fit": (),
}


def text(comparison: Comparison, *, max_labels: int | None = MAX_LABELS) -> str:
    """Returns the report of a comparison.

    Args:
        comparison: the comparison, of one or more losses.
        max_labels: how many labels the classification report shows, namely those with the most
            test positives; None for all.
    """
    paragraphs = [
        *notes.heading(comparison),
        *("\n".join(table) for table in _tables(comparison)),
        *notes.explanation(comparison),
        *notes.warnings(comparison),
        notes.verdict(comparison),
    ]
    filled = [p if "\n" in p else textwrap.fill(p, WIDTH) for p in paragraphs]
    label = comparison.recommended
    outcome = comparison.outcomes[label]
    if not isinstance(outcome, Outcome):
        return "\n\n".join(filled)
    title = textwrap.fill(label_title(label, outcome) + ":", WIDTH)
    report = label_report(comparison.dataset, outcome, max_labels)
    return "\n\n".join([*filled, f"{title}\n\n{report}"])


def csv_rows(
    results: Mapping[str, Mapping[str, Mapping[str, Any]]],
    differences: Mapping[str, Mapping[str, Interval]],
) -> list[dict[str, Any]]:
    """Returns one row of results.csv per loss and metric."""
    rows = []
    for name, figures in results.items():
        for metric, figure in figures.items():
            apart = differences.get(name, {}).get(metric)
            rows.append(
                {
                    "loss": name,
                    "metric": metric,
                    **{key: figure[key] for key in ("mean", "low", "high")},
                    "difference": "" if apart is None else apart.mean,
                    "difference_low": "" if apart is None else apart.low,
                    "difference_high": "" if apart is None else apart.high,
                    "marked": "" if apart is None else int(apart.excludes_zero),
                    "values": " ".join(map(repr, figure["values"])),
                }
            )
    return rows


def number(value: float) -> str:
    """Returns a number with three decimals, in at most five characters."""
    if math.isnan(value):
        return "n/a"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.2f}"


def _tables(comparison: Comparison) -> Iterator[list[str]]:
    large, metrics = comparison.settings.model == "linear_head", comparison.experiment.metrics
    for title, chosen in (LARGE_TABLES if large else TABLES).items():
        judged = [
            name for name in chosen if name in next(iter(comparison.judgments.values())).values
        ]
        is_fit, is_first = title.endswith("fit"), comparison.experiment.leading in judged
        headings = [metrics[name].heading for name in judged]
        headings += ["held-out\nscore"] if is_first else []
        headings += [*FIT_HEADINGS[comparison.settings.model], "CPU s"] if is_fit else []
        lines = [title, *_row("loss", [_over_two_lines(heading) for heading in headings])]
        for label in comparison.results:
            cells = [_cell(comparison, label, name) for name in judged]
            cells += [(number(comparison.outcomes[label].quality), "")] if is_first else []
            cells += _fit_cells(comparison, label) if is_fit else []
            star = "" if comparison.choices[label].entry.zero_decides else "*"
            lines += _row(label + star, cells)
        yield lines


def _cell(comparison: Comparison, label: str, metric: str) -> tuple[str, str]:
    """Returns a value with its mark, and the interval below it."""
    if not comparison.is_comparable(label, metric):
        return "", ""
    figure = comparison.results[label][metric]
    interval = f"{number(figure['low'])}-{number(figure['high'])}"
    return f"{number(figure['mean'])} {comparison.mark(label, metric)}".rstrip(), interval


def _fit_cells(comparison: Comparison, label: str) -> list[tuple[str, str]]:
    outcome = comparison.outcomes[label]
    cells = [
        f"{value:.1e}" if name != "steps" else f"{value:.0f}"
        for name, value in outcome.chosen.items()
    ]
    cells = [
        cell + "!" * (name in outcome.at_edge)
        for name, cell in zip(outcome.chosen, cells, strict=True)
    ]
    if comparison.settings.model != "mlp":
        cells.append(str(len(outcome.residuals)))
    return [(cell, "") for cell in (*cells, f"{outcome.cpu_seconds:.1f}")]


def _over_two_lines(heading: str) -> tuple[str, str]:
    """Returns a heading as two lines, of which a single one is the lower."""
    first, _, second = heading.rpartition("\n")
    return first, second


def _row(name: str, cells: list[tuple[str, str]]) -> list[str]:
    """Returns the lines of one row, with up to two per cell and a long name broken into several."""
    names = _wrapped(name)
    depth = max(2 if any(below for _, below in cells) else 1, len(names))
    columns = [[top, below, *[""] * (depth - 2)] for top, below in cells]
    names += [""] * (depth - len(names))
    lines = []
    for index, part in enumerate(names):
        cells_here = "".join(column[index].rjust(CELL_WIDTH) for column in columns)
        lines.append(f"{part:<{NAME_WIDTH}}{cells_here}".rstrip())
    return lines


def _wrapped(name: str) -> list[str]:
    """Breaks a long name before an underscore or a bracket, or after a comma."""
    lines = [""]
    for piece in name.replace("_", "\0_").replace("(", "\0(").replace(", ", ",\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(piece) > NAME_WIDTH:
            lines.append("")
        lines[-1] += piece
    return lines


def label_title(label: str, outcome: Outcome) -> str:
    """Returns what the classification report shows."""
    which = ", for the first of its models" if len(outcome.residuals) > 1 else ""
    return (
        f"Labels under {label} with thresholds tuned per label{which} (micro-F1 above is at the "
        "common threshold)"
    )


def label_report(dataset: Dataset, outcome: Outcome, max_labels: int | None) -> str:
    """Returns the classification report of the first model, at thresholds tuned per label."""
    assert dataset.y_test is not None
    report = classification_report(
        decide(outcome)["macro_f1_tuned"][0],
        dataset.y_test,
        label_names=_shown_names(dataset.label_names),
        where=dataset.mask_test,
    )
    lines = str(report).rstrip().splitlines()
    num_labels = len(dataset.label_names)
    if max_labels is None or num_labels <= max_labels:
        return "\n".join(lines)
    first = 2  # a heading and an empty line come before the labels
    frequent = np.sort(np.argsort(-dataset.y_test.sum(0), kind="stable")[:max_labels])
    kept = [*lines[:first], *(lines[first + label_] for label_ in frequent)]
    kept.append(f"... {num_labels - max_labels} labels with fewer test positives are not shown")
    return "\n".join([*kept, *lines[first + num_labels :]])


def _shown_names(names: Sequence[str]) -> list[str]:
    """Returns names to print, which differ from each other and from those of the averages."""
    shown = dict.fromkeys(AVERAGES)
    for name in map(printable, names):
        apart = name
        while apart in shown:
            apart += " (label)"
        shown[apart] = None
    return list(shown)[len(AVERAGES) :]
