"""A comparison in words: its data, what its figures mean, and the best loss in detail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mllosses_jax.catalogue import find
from mllosses_jax.compare.experiment import MIN_POSITIVES, Outcome, Settings
from mllosses_jax.compare.judgement import Difference, decide
from mllosses_jax.data import Dataset
from mllosses_jax.metrics import classification_report

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]
Differences = Mapping[str, Mapping[str, Difference]]

MAX_LABELS = 20
AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")  # rows of the report


def heading(dataset: Dataset) -> str:
    """Returns the size of the data set, on one line."""
    assert dataset.y_test is not None
    rows, (test_rows, num_labels) = len(dataset.x_train), dataset.y_test.shape
    return (
        f"{dataset.name}: {rows} training rows, {test_rows} test rows, "
        f"{dataset.x_train.shape[1]} features, {num_labels} labels"
    )


def footnotes(
    results: Results,
    differences: Differences,
    *,
    baseline: str,
    settings: Settings,
    num_resamples: int,
    given: Mapping[str, str],
) -> list[str]:
    """Returns what a reader must know to read the table, one paragraph each."""
    compared = [
        difference
        for name, by_metric in differences.items()
        for metric, difference in by_metric.items()
        if comparable(name, metric) and not math.isnan(difference.mean)
    ]
    marked = sum(difference.excludes_zero for difference in compared)
    notes = [
        f"Mean over {settings.num_seeds} seeds; below it the 95% interval of a paired bootstrap: "
        f"{num_resamples} resamples of the test rows and of the seeds, the same for all losses, "
        f"centred on the mean."
    ]
    if compared:
        chance = 0.05 * len(compared)
        expected = f"{chance:.0f}" if chance >= 1 else f"{chance:.1f}"
        notes.append(
            f"+ better and - worse than {baseline}: the interval of the difference excludes zero. "
            f"{marked} of {len(compared)} comparisons are marked; by chance alone about "
            f"{expected} would be, for nothing is corrected for their number."
        )
    notes.append(
        f"Model: {settings.model}, AdamW, {settings.num_steps} steps. Chosen on "
        f"{settings.validation_fraction:.0%} of the training rows: weight decay, one per loss, for "
        f"the best average precision by label and by row; thresholds for the best F1, one for all "
        f"labels for micro-F1 and one per label for macro-F1 (a label with fewer than "
        f"{MIN_POSITIVES} positives takes the common one). Then the model is trained again on "
        f"training and validation data together. s: seconds per seed, compilation included."
    )
    notes.append("At 0.5: a label is predicted where sigmoid(logit) > 0.5, that is logit > 0.")
    if not all(find(name).zero_decides for name in results):
        notes[-1] += (
            " *: this loss orders the labels and fixes no origin, so that 0.5 says nothing about "
            "it and is not compared; see the tuned columns."
        )
    if given:
        each = "; ".join(f"{name}: {what}" for name, what in given.items())
        notes.append(
            f"Beside logits and labels these were given, from the training part where no number "
            f"is shown: {each}."
        )
    undefined = [name for name, figures in results.items() if math.isnan(figures["map"]["mean"])]
    diverged = [n for n in undefined if math.isnan(results[n]["micro_f1_tuned"]["mean"])]
    if diverged:
        notes.append(f"n/a: training diverged ({', '.join(diverged)}).")
    elif undefined:
        notes.append("n/a: no label has a positive in the test part, so that mAP is undefined.")
    return notes


def verdict(winner: str, score: float, baseline: str, differences: Differences) -> str:
    """Returns a sentence that names the loss of the highest mAP, and by how much it leads."""
    if math.isnan(score):
        return f"Without an mAP no loss is best. The classification report of {winner}:"
    lead = ""
    if winner in differences:
        ahead = differences[winner]["map"]
        lead = (
            f", ahead of {baseline} by {ahead.mean:.3f} ({ahead.low:.3f} to {ahead.high:.3f}"
            f"{'' if ahead.excludes_zero else ', which includes zero: not a safe lead'})"
        )
    return (
        f"Highest mAP: {winner}{lead}. Its classification report (first seed, thresholds tuned "
        f"per label):"
    )


def best_report(outcome: Outcome, dataset: Dataset, max_labels: int | None = MAX_LABELS) -> str:
    """Returns the classification report of the first seed, at thresholds tuned per label.

    Args:
        outcome: of the loss.
        dataset: its test part is the truth.
        max_labels: show only that many labels, those with the most test positives; None for all.
    """
    predictions = decide(outcome)["macro_f1_tuned"][0]
    report = classification_report(
        predictions,
        jnp.asarray(dataset.y_test),
        label_names=[f"{n} (label)" if n in AVERAGES else n for n in dataset.label_names],
        where=None if dataset.mask_test is None else jnp.asarray(dataset.mask_test),
    )
    lines = str(report).rstrip().splitlines()
    num_labels = len(dataset.label_names)
    if max_labels is None or num_labels <= max_labels:
        return "\n".join(lines)
    assert dataset.y_test is not None
    first = 2  # a heading and an empty line come before the labels
    frequent = np.sort(np.argsort(-dataset.y_test.sum(0), kind="stable")[:max_labels])
    kept = [*lines[:first], *(lines[first + label] for label in frequent)]
    kept.append(f"... {num_labels - max_labels} labels with fewer test positives are left out")
    return "\n".join([*kept, *lines[first + num_labels :]])


def csv_rows(results: Results, differences: Differences) -> list[dict[str, Any]]:
    """Returns one row per loss and metric."""
    rows = []
    for name, figures in results.items():
        for metric, figure in figures.items():
            difference = differences.get(name, {}).get(metric)
            rows.append(
                {
                    "loss": name,
                    "metric": metric,
                    **{key: figure[key] for key in ("mean", "low", "high")},
                    "difference": "" if difference is None else difference.mean,
                    "difference_low": "" if difference is None else difference.low,
                    "difference_high": "" if difference is None else difference.high,
                    "values": " ".join(map(repr, figure["values"])),
                }
            )
    return rows


def comparable(name: str, metric: str) -> bool:
    """Whether the metric says something about the loss."""
    return metric != "macro_f1_at_half" or find(name).zero_decides
