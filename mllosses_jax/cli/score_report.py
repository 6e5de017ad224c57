"""What `mllosses evaluate`, `tune` and `calibrate` print."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mllosses_jax.cli.console import grid, number, paragraph
from mllosses_jax.cli.score_calibration import LARGEST_LOGIT
from mllosses_jax.cli.score_metrics import AVERAGES, METRICS, OVERALL, SET_METRICS, Evaluation
from mllosses_jax.data.scores import ScoreTable
from mllosses_jax.decisions import ThresholdReport

MAX_LABELS = 30  # the most labels in a table that is printed unasked
LABEL_HEADINGS = {
    "support": "support",
    "threshold": "threshold",
    "average_precision": "AP",
    "roc_auc": "AUC",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "brier_score": "Brier",
    "ece": "ECE",
}
_SET_HEADINGS = {"f1": "F1", "precision": "precision", "recall": "recall"}
_REMARKS = {
    "unknown_entries": "Unknown entries, which no metric counts",
    "labels_unknown": "Labels without a known entry, left out of averages over labels",
    "labels_without_positives": "Labels without a positive, whose AP, AUC and ECE / prevalence are "
    "undefined and left out of averages, while F1, precision and recall count as 0",
    "labels_without_negatives": "Labels without a negative, whose AUC is undefined and left out of "
    "averages",
    "rows_unknown": "Rows without a known label, left out of averages over rows",
    "rows_without_positives": "Rows without a positive, which count as 1 in LRAP and one-error, "
    "and as 0 in ranking loss, coverage, P@k, nDCG, R-precision and averages over samples",
}


def evaluation_text(evaluation: Evaluation, table: ScoreTable, at: str, *, per_label: bool) -> str:
    """Returns the metrics of an evaluation as text.

    Args:
        evaluation: the result of `evaluate`.
        table: the scores and labels that were evaluated.
        at: what the thresholds of the decisions are called, such as "threshold 0.5".
        per_label: whether to add a table of the labels.
    """
    counts = evaluation.counts
    rows = [[METRICS[name], number(value)] for name, value in evaluation.metrics.items()]
    sets = [
        [_SET_HEADINGS[name]]
        + [number(evaluation.decisions[f"{name}_{average}"]) for average in AVERAGES]
        for name in SET_METRICS
    ]
    sets.append(["Hamming loss", number(evaluation.decisions["hamming_loss"])])
    sets.append(["subset accuracy", number(evaluation.decisions["subset_accuracy"])])
    percent = [f"{evaluation.decisions[name]:.2f}" for name in OVERALL]
    lines = [
        *paragraph(
            f"{counts['rows']} rows, {counts['labels']} labels, {counts['positives']} positives; "
            f"scores are {table.inputs}"
        ),
        "",
        *grid(["without a threshold", ""], rows),
        "",
        *grid([f"at {at}", *AVERAGES], sets),
        "",
        *grid(["in percent", *OVERALL], [["", *percent]]),
    ]
    if per_label:
        by_label = [
            [name, *(number(row[key]) for key in LABEL_HEADINGS)]
            for name, row in evaluation.per_label.items()
        ]
        lines += ["", *grid(["label", *LABEL_HEADINGS.values()], by_label)]
    remarks = [
        line
        for name, text in _REMARKS.items()
        if counts[name]
        for line in paragraph(f"{text}: {counts[name]}.")
    ]
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def tuning_text(report: ThresholdReport) -> str:
    """Returns the gain from tuning, and the thresholds of the most frequent labels, as text."""
    settings = report.settings
    score = "F1" if settings["beta"] == 1 else f"F{settings['beta']:g}"
    gains = [
        [
            f"{average} {score}",
            number(gain.baseline),
            number(gain.tuned),
            f"{gain.gain:+.4f}",
            f"{gain.low:+.4f} to {gain.high:+.4f}",
        ]
        for average, gain in (("macro", report.macro), ("micro", report.micro))
    ]
    heading = ["held out", f"at {settings['baseline']:g}", "tuned", "gain", "95 % interval"]
    thresholds = [
        [name, *(number(value) for value in values)]
        for name, *values in zip(
            report.label_names,
            report.num_positives.tolist(),
            report.thresholds.tolist(),
            report.std.tolist(),
            report.low.tolist(),
            report.high.tolist(),
            report.f.tolist(),
            report.baseline_f.tolist(),
            strict=True,
        )
    ]
    columns = [
        "positives",
        "threshold",
        "std",
        "low",
        "high",
        score,
        f"at {settings['baseline']:g}",
    ]
    if settings["scope"] == "global":
        thresholds = [["all", number(int(report.num_positives.sum())), *thresholds[0][2:6]]]
        columns = columns[:5]
    left_out = len(thresholds) - MAX_LABELS
    if left_out > 0:
        frequent = np.sort(np.argsort(-report.num_positives, kind="stable")[:MAX_LABELS])
        thresholds = [*(thresholds[label] for label in frequent), [f"... {left_out} rarer ones"]]
    return "\n".join(
        [
            *grid(heading, gains),
            "",
            *grid(["label", *columns], thresholds),
            "",
            *paragraph(
                f"{settings['folds']} folds: each row is decided by thresholds from the other "
                f"folds; std, low and high describe the threshold over the folds. The interval is "
                f"from a bootstrap of the rows."
            ),
        ]
    )


def calibration_text(before: Mapping[str, float], after: Mapping[str, float], how: str) -> str:
    """Returns metrics before and after calibration as text; `how` says on which rows."""
    rows = [
        [METRICS[name], number(before[name]), number(after[name])]
        for name in METRICS
        if name in before
    ]
    return "\n".join(grid([how, "before", "after"], rows))


def clipping_note(table: ScoreTable) -> str:
    """Returns a note on how probabilities of 0 and 1 are treated, or an empty text without any."""
    extreme = (table.scores == 0) | (table.scores == 1)
    if table.inputs == "logits" or not extreme.any():
        return ""
    return "\n".join(
        paragraph(
            f"{int(extreme.sum())} probabilities are 0 or 1: their logits count as "
            f"-{LARGEST_LOGIT:g} and {LARGEST_LOGIT:g}."
        )
    )
