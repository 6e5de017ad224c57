"""The report of a comparison: what was done, the tables, what they mean, and what to do."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, final

import numpy as np

from mllosses_jax._core.text import printable
from mllosses_jax._core.text_table import aligned
from mllosses_jax.compare import notes
from mllosses_jax.compare.judgment import decide
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.metrics import classification_report

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

WIDTH = 80  # of a terminal that is not known; sentences are not wider on any
MAX_LABELS = 20
MAX_EVIDENCE = 3  # of a finding
FIT_HEADINGS = {  # besides the CPU time
    "linear": ["strength", "models"],
    "linear_head": ["strength", "models"],
    "mlp": ["learning\nrate", "decay", "steps"],
    "own": ["learning\nrate", "decay", "steps"],
}
FRACTIONS = "precision", "recall", "f1-score"
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


@final
class Table(TypedDict):
    """A table: its title, the heading of each column, and the cells of its rows."""

    title: str
    heading: list[str]
    rows: list[list[str]]


@final
class Items(TypedDict):
    """A list: its title and its items."""

    title: str
    items: list[str]


Part: TypeAlias = str | Table | Items  # str: a paragraph


def text(comparison: Comparison, *, width: int = WIDTH, max_labels: int | None = MAX_LABELS) -> str:
    """Returns the report of a comparison.

    Args:
        comparison: the comparison, of one or more losses.
        width: the most characters in a line, at least 60.
        max_labels: how many labels the classification report shows, namely those with the most
            test positives; None for all.
    """
    return laid_out(parts(comparison, max_labels=max_labels), width)


def parts(comparison: Comparison, *, max_labels: int | None = MAX_LABELS) -> list[Part]:
    """Returns the report as paragraphs, tables and lists, which results.json keeps."""
    found = [
        *notes.heading(comparison),
        *_tables(comparison),
        *notes.explanation(comparison),
        *_checks(comparison),
        *notes.warnings(comparison),
        notes.verdict(comparison),
    ]
    label = comparison.recommended
    outcome = comparison.outcomes[label]
    if isinstance(outcome, Outcome):
        found.append(labels_table(comparison, label, outcome, max_labels))
    return found


def laid_out(report: Sequence[Part], width: int) -> str:
    """Returns the parts of a report as text that fits a terminal.

    Args:
        report: what `parts` returned.
        width: the most characters in a line, at least 60.
    """
    return "\n\n".join("\n".join(_lines(part, width)) for part in report)


def _lines(part: Part, width: int) -> list[str]:
    narrow = min(width, WIDTH)
    if isinstance(part, str):
        return textwrap.wrap(part, narrow)
    lines = textwrap.wrap(part["title"], narrow)
    if "rows" in part:
        return lines + aligned(part["heading"], part["rows"], width)
    for item in part["items"]:
        lines += textwrap.wrap(item, narrow, subsequent_indent="  ")
    return lines


def _checks(comparison: Comparison) -> list[Part]:
    """Returns what the checks found, as no or one part."""
    if not comparison.checks:
        return []
    items = [
        f"{finding.code} {finding.kind}: {finding.title}: "
        f"{printable(finding.brief(MAX_EVIDENCE))}. {finding.remedy}"
        for finding in comparison.checks
    ]
    return [Items(title="Checks of the data and of the models, issues first:", items=items)]


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


def _tables(comparison: Comparison) -> Iterator[Table]:
    tables = dict(LARGE_TABLES if comparison.settings.model == "linear_head" else TABLES)
    if comparison.further_metrics:
        tables["Further metrics"] = tuple(each.label for each in comparison.further_metrics)
    metrics = comparison.metrics
    for title, chosen in tables.items():
        judged = [
            name for name in chosen if name in next(iter(comparison.judgments.values())).values
        ]
        is_fit, is_first = title.endswith("fit"), comparison.experiment.leading in judged
        headings = ["loss", *(metrics[name].heading for name in judged)]
        headings += ["held-out\nscore"] if is_first else []
        headings += [*FIT_HEADINGS[comparison.settings.model], "CPU s"] if is_fit else []
        rows = []
        for label in comparison.results:
            star = "" if comparison.choices[label].zero_decides else "*"
            cells = [label + star, *(_cell_of(comparison, label, name) for name in judged)]
            cells += [number(comparison.outcomes[label].quality)] if is_first else []
            cells += _fit_cells(comparison, label) if is_fit else []
            rows.append(cells)
        for name, figures in comparison.references.items():
            cells = [f"({name})", *(_cell(figures[metric]) for metric in judged)]
            cells += [""] * (len(headings) - len(cells))
            if is_fit:
                cells[-1] = f"{figures['cpu_seconds']['mean']:.1f}"
            rows.append(cells)
        yield Table(title=title, heading=headings, rows=rows)


def _cell_of(comparison: Comparison, label: str, metric: str) -> str:
    """Returns a value of a loss with its mark, and the interval below it."""
    if not comparison.is_comparable(label, metric):
        return ""
    return _cell(comparison.results[label][metric], comparison.mark(label, metric))


def _cell(figure: Mapping[str, Any], mark: str = "") -> str:
    interval = f"{number(figure['low'])}-{number(figure['high'])}"
    return f"{number(figure['mean'])} {mark}".rstrip() + f"\n{interval}"


def _fit_cells(comparison: Comparison, label: str) -> list[str]:
    outcome = comparison.outcomes[label]
    cells = [
        (f"{value:.1e}" if name != "steps" else f"{value:.0f}") + "!" * (name in outcome.at_edge)
        for name, value in outcome.chosen.items()
    ]
    if not comparison.settings.trains_in_steps:
        cells.append(str(len(outcome.residuals)))
    return [*cells, f"{outcome.cpu_seconds:.1f}"]


def labels_table(
    comparison: Comparison, label: str, outcome: Outcome, max_labels: int | None
) -> Table:
    """Returns the classification report of the first model, at thresholds tuned per label."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    report = classification_report(
        decide(outcome)["macro_f1_tuned"][0],
        dataset.y_test,
        label_names=_shown_names(dataset.label_names),
        where=dataset.mask_test,
        output_dict=True,
    )
    assert isinstance(report, dict)
    rows = [
        [name, *(f"{of[column]:.2f}" for column in FRACTIONS), f"{of['support']:.0f}"]
        for name, of in report.items()
    ]
    num_labels = len(dataset.label_names)
    which = ", for the first of its models" if len(outcome.residuals) > 1 else ""
    title = (
        f"Labels under {label} with thresholds tuned per label{which} (micro-F1 above is at the "
        "common threshold)"
    )
    if max_labels is not None and num_labels > max_labels:
        frequent = np.sort(np.argsort(-dataset.y_test.sum(0), kind="stable")[:max_labels])
        rows = [*(rows[place] for place in frequent), *rows[num_labels:]]
        title += f"; {num_labels - max_labels} labels with fewer test positives are not shown"
    return Table(title=f"{title}:", heading=["label", *FRACTIONS, "support"], rows=rows)


def _shown_names(names: Sequence[str]) -> list[str]:
    """Returns names to print, which differ from each other and from those of the averages."""
    shown = dict.fromkeys(AVERAGES)
    for name in map(printable, names):
        apart = name
        while apart in shown:
            apart += " (label)"
        shown[apart] = None
    return list(shown)[len(AVERAGES) :]
