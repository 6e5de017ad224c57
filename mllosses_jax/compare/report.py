"""The report of a comparison: what was done, the tables, what they mean, and what to do."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mllosses_jax._core.text import printable
from mllosses_jax.compare import notes
from mllosses_jax.compare.judgment import decide
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.data import Dataset
from mllosses_jax.metrics import classification_report

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

WIDTH = 79
NAME_WIDTH, CELL_WIDTH = 18, 10
MAX_LABELS = 20
MAX_EVIDENCE = 3  # of a finding
FIT_HEADINGS = {  # besides the CPU time, which is not known of models trained elsewhere
    "linear": ["strength", "models"],
    "linear_head": ["strength", "models"],
    "mlp": ["learning\nrate", "decay", "steps"],
    "own": ["learning\nrate", "decay", "steps"],
    "scores": ["models"],
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
        *_checks(comparison),
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


def _checks(comparison: Comparison) -> list[str]:
    """Returns what the checks found, as no or one paragraph."""
    if not comparison.checks:
        return []
    lines = ["Checks of the data and of the models, issues first:"]
    for finding in comparison.checks:
        evidence = printable(finding.brief(MAX_EVIDENCE))
        lines += textwrap.wrap(
            f"{finding.code} {finding.kind}: {finding.title}: {evidence}. {finding.remedy}",
            WIDTH,
            subsequent_indent="  ",
        )
    return ["\n".join(lines)]


def csv_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Returns one row of results.csv per loss and metric, and then per reference and metric."""
    rows = []
    for name, figures in (comparison.results | comparison.references).items():
        for metric, figure in figures.items():
            row: dict[str, Any] = {"loss": name, "metric": metric}
            row |= {key: figure[key] for key in ("mean", "low", "high")}
            apart = comparison.differences.get(name, {}).get(metric)
            together = comparison.simultaneous.get(name, {}).get(metric)
            row |= {
                "difference": "" if apart is None else apart.mean,
                "difference_low": "" if apart is None else apart.low,
                "difference_high": "" if apart is None else apart.high,
                "simultaneous_low": "" if together is None else together.low,
                "simultaneous_high": "" if together is None else together.high,
                "marked": "" if together is None else int(together.excludes_zero),
                "values": " ".join(map(repr, figure["values"])),
            }
            rows.append(row)
    return rows


def number(value: float) -> str:
    """Returns a number with three decimals, in at most five characters."""
    if math.isnan(value):
        return "n/a"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.2f}"


def _tables(comparison: Comparison) -> Iterator[list[str]]:
    tables = dict(LARGE_TABLES if comparison.settings.model == "linear_head" else TABLES)
    if comparison.further_metrics:
        tables["Further metrics"] = tuple(each.label for each in comparison.further_metrics)
    metrics = comparison.metrics
    for title, chosen in tables.items():
        judged = [
            name for name in chosen if name in next(iter(comparison.judgments.values())).values
        ]
        is_fit, is_first = title.endswith("fit"), comparison.experiment.leading in judged
        headings = [metrics[name].heading for name in judged]
        headings += ["held-out\nscore"] if is_first else []
        headings += _fit_headings(comparison) if is_fit else []
        lines = [
            title,
            *_row(comparison.settings.what[0], [_over_two_lines(heading) for heading in headings]),
        ]
        for label in comparison.results:
            cells = [_cell_of(comparison, label, name) for name in judged]
            cells += [(number(comparison.outcomes[label].quality), "")] if is_first else []
            cells += _fit_cells(comparison, label) if is_fit else []
            star = "" if comparison.choices[label].zero_decides else "*"
            lines += _row(label + star, cells)
        for name, figures in comparison.references.items():
            cells = [_cell(figures[metric]) for metric in judged]
            cells += [("", "")] * (len(headings) - len(cells))
            if is_fit:
                cells[-1] = f"{figures['cpu_seconds']['mean']:.1f}", ""
            lines += _row(f"({name})", cells)
        yield lines


def _cell_of(comparison: Comparison, label: str, metric: str) -> tuple[str, str]:
    """Returns a value of a loss with its mark, and the interval below it."""
    if not comparison.is_comparable(label, metric):
        return "", ""
    return _cell(comparison.results[label][metric], comparison.mark(label, metric))


def _cell(figure: Mapping[str, Any], mark: str = "") -> tuple[str, str]:
    interval = f"{number(figure['low'])}-{number(figure['high'])}"
    return f"{number(figure['mean'])} {mark}".rstrip(), interval


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
    if not comparison.settings.trains_in_steps:
        cells.append(str(len(outcome.residuals)))
    if comparison.settings.model != "scores":
        cells.append(f"{outcome.cpu_seconds:.1f}")
    return [(cell, "") for cell in cells]


def _fit_headings(comparison: Comparison) -> list[str]:
    headings = FIT_HEADINGS[comparison.settings.model]
    return headings if comparison.settings.model == "scores" else [*headings, "CPU s"]


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
    """Breaks a long name before an underscore, a bracket, a plus or a space, or after a comma."""
    broken = name.replace(", ", ",\0")
    for sign in "_(+ ":
        broken = broken.replace(sign, f"\0{sign}")
    lines = [""]
    for piece in broken.split("\0"):
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
