"""Thresholds with a promise on given scores, and what they keep on rows that they did not see."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from mllosses_jax import decisions
from mllosses_jax.cli.console import grid, number, paragraph
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.cli.score_metrics import in_precision_of
from mllosses_jax.cli.score_report import MAX_LABELS
from mllosses_jax.cli.score_thresholds import check_folds
from mllosses_jax.data.scores import ScoreTable
from mllosses_jax.decisions import SetReport, ThresholdReport

PRECISION_CONFIDENCE = 0.9  # Precision has no promise on average.


class Guarantee(NamedTuple):
    """What is promised.

    Attributes:
        of: "recall" or "precision".
        level: the level that is promised, between 0 and 1.
        confidence: the probability with which it is promised; None is on average.
        scope: one threshold for "global", or one for each "label".
    """

    of: Literal["recall", "precision"]
    level: float
    confidence: float | None
    scope: Literal["global", "label"]

    def __str__(self) -> str:
        whose = {
            ("recall", "global"): "the mean recall of new rows is",
            ("recall", "label"): "for each label, the recall of new rows is",
            ("precision", "global"): "the mean precision of new rows is",
        }[self.of, self.scope]
        how = "on average over draws of these rows"
        if self.confidence is not None:
            how = f"with a confidence of {self.confidence}"
        return f"{whose} at least {self.level}, {how}"

    def rows_needed(self) -> int:
        """Returns for how many rows, or positives of a label, there can be a promise."""
        return decisions.rows_for_guarantee(self.level, confidence=self.confidence)

    def tuner(self) -> Any:
        """Returns the function of scores, labels and where that finds the thresholds."""
        options: dict[str, Any] = {"level": self.level, "confidence": self.confidence}
        if self.of == "precision":
            return functools.partial(decisions.threshold_for_precision, **options)
        return functools.partial(decisions.threshold_for_recall, scope=self.scope, **options)


def guaranteed(
    table: ScoreTable, promise: Guarantee, *, folds: int, seed: int
) -> tuple[ThresholdReport, SetReport]:
    """Finds the thresholds that make a promise.

    Args:
        table: scores and labels.
        promise: what is promised.
        folds: number of folds of the cross-validation.
        seed: seed of the folds and of the bootstrap.

    Returns:
        The thresholds, with the promise in their settings, and what is kept on rows of each fold by
        thresholds from the other folds.

    Raises:
        UsageError: the data are too few for the promise.
    """
    check_folds(table, folds)
    known = table.known()
    _check_rows(table, promise, int(known.any(1).sum()))
    tune = promise.tuner()

    def tune_for_file(scores: Any, labels: Any, *, where: Any = None) -> Any:
        thresholds = tune(scores, labels, where=where)
        return jnp.where(jnp.isnan(thresholds), jnp.inf, thresholds)  # a file has no NaN

    with in_precision_of(table.scores):
        report = decisions.threshold_report(
            table.scores,
            table.labels,
            inputs=table.inputs,
            tune=tune_for_file,
            folds=folds,
            seed=seed,
            label_names=table.label_names,
            where=table.where,
        )
        if promise.of == "precision" and np.isposinf(report.thresholds[0]):
            raise UsageError(
                f"no threshold promises a precision of {promise.level} with a confidence of "
                f"{promise.confidence}: labels with the highest scores are wrong too often for "
                f"{known.any(1).sum()} rows; give more rows, or ask for less"
            )
        fold = np.random.default_rng(seed).permutation(len(known)) % folds
        others = known & (fold != np.arange(folds)[:, None])[:, :, None]

        def by_others(scores: NDArray[Any], labels: NDArray[np.bool_]) -> NDArray[Any]:
            of_fold = jax.jit(jax.vmap(lambda where: tune(scores, labels, where=where)))
            return np.asarray(of_fold(others)).reshape(folds, -1)[fold]

        predicted = table.scores >= by_others(table.scores, table.labels)
        left_open = None
        if promise.scope == "label":  # conformal sets promise the same where the label is absent
            left_open = predicted & (-table.scores >= by_others(-table.scores, ~table.labels))
        held_out = decisions.set_report(
            predicted, table.labels, abstained=left_open, where=table.where
        )
        held_out = jax.device_get(held_out)
    settings = {
        "promise": str(promise),
        "guarantee": promise.of,
        "level": promise.level,
        "confidence": promise.confidence,
        "scope": promise.scope,
    }
    return dataclasses.replace(report, settings={**report.settings, **settings}), held_out


def guarantee_text(report: ThresholdReport, held_out: SetReport, promise: Guarantee) -> str:
    """Returns the promise, the thresholds and what is kept on held-out rows, as text."""
    promised: dict[str, str] = {promise.of: number(promise.level)}
    kept: list[tuple[str, Any]] = [
        ("recall", 1 - held_out.false_negative_rate),
        ("recall if any label", 1 - held_out.missed_if_any),
        ("precision", 1 - held_out.false_discovery_rate),
        ("predicted labels", held_out.set_size),
        ("rows left empty", held_out.empty),
    ]
    if promise.scope == "label":
        kept.append(("labels left open", held_out.abstained))
    rows = [
        [
            name,
            promised.get(name, "") if promise.scope == "global" else "",
            number(float(value)),
        ]
        for name, value in kept
    ]
    return "\n".join(
        [
            *paragraph(f"Promised: {promise}."),
            "",
            *grid(["held out, per row", "promised", "found"], rows),
            "",
            *_thresholds(report, held_out, promise),
            "",
            *_notes(report, held_out, promise),
        ]
    )


def promise_text(settings: Mapping[str, Any], table: ScoreTable, limits: NDArray[Any]) -> str:
    """Returns the promise of a file of thresholds, and what they keep on other rows, as text.

    Args:
        settings: the settings of the thresholds, which hold a promise.
        table: scores and labels of the other rows.
        limits: (L,), the thresholds.
    """
    with in_precision_of(table.scores):
        found = jax.device_get(
            decisions.set_report(table.scores >= limits, table.labels, where=table.where)
        )
    kept = ""
    of, level = settings.get("guarantee"), settings.get("level")
    if settings.get("scope") == "label" and isinstance(level, int | float):
        recall = 1 - found.label_false_negative_rate[found.label_positives > 0]
        kept = f" On these rows, {int((recall < level).sum())} of {len(recall)} labels have less."
    elif of in ("recall", "precision"):
        missed = found.false_negative_rate if of == "recall" else found.false_discovery_rate
        kept = f" On these rows it is {number(1 - float(missed))}."
    return "\n".join(paragraph(f"Promised by the thresholds: {settings['promise']}.{kept}"))


def _check_rows(table: ScoreTable, promise: Guarantee, num_rows: int) -> None:
    """Raises unless there can be a promise for all labels together, or for one of them."""
    if not table.labels.any():
        raise UsageError("no label has a positive, so there is nothing to promise")
    needed, unit = promise.rows_needed(), "rows"
    given = num_rows
    if promise.scope == "label":
        given, unit = int(table.labels.sum(0).max()), "positives of a label"
    if given < needed:
        with_confidence = ""
        if promise.confidence is not None:
            with_confidence = f" with a confidence of {promise.confidence}"
        raise UsageError(
            f"a {promise.of} of {promise.level} can be promised{with_confidence} from "
            f"{needed} {unit} on, got {given}; give more rows, or ask for less"
        )


def _thresholds(report: ThresholdReport, held_out: SetReport, promise: Guarantee) -> list[str]:
    found = 1 - held_out.label_false_negative_rate
    if promise.scope == "global":
        return [f"Threshold of all labels: {number(float(report.thresholds[0]))}."]
    needed = promise.rows_needed()
    rows = [
        [
            name,
            str(positives),
            number(threshold),
            number(recall) if positives else "n/a",
            "" if positives >= needed else f"{needed} positives needed",
        ]
        for name, positives, threshold, recall in zip(
            report.label_names,
            report.num_positives.tolist(),
            report.thresholds.tolist(),
            found.tolist(),
            strict=True,
        )
    ]
    left_out = len(rows) - MAX_LABELS
    if left_out > 0:
        frequent = np.sort(np.argsort(-report.num_positives, kind="stable")[:MAX_LABELS])
        rows = [*(rows[label] for label in frequent), [f"... {left_out} rarer ones"]]
    return grid(["label", "positives", "threshold", "held-out recall", "no promise"], rows)


def _notes(report: ThresholdReport, held_out: SetReport, promise: Guarantee) -> list[str]:
    notes = []
    rare = int((report.num_positives < promise.rows_needed()).sum())
    empty = int(held_out.rows - held_out.rows_with_positives)
    if promise.scope == "label" and rare:
        notes.append(
            f"Labels with fewer than {promise.rows_needed()} positives: {rare}. Their threshold of "
            "-inf predicts them always, because no other one can be promised to find them."
        )
    if promise.of == "recall" and promise.scope == "global" and empty:
        notes.append(f"Rows without a positive, whose recall counts as 1: {empty}.")
    if promise.scope == "label":
        notes.append("Labels left open: conformal sets of the same promise rule out neither value.")
    if promise.of == "precision":
        notes.append("The precision of a row without a prediction counts as 1.")
    notes.append(
        f"{report.settings['folds']} folds: each row is decided by thresholds from the other "
        "folds. The promise is for rows that come from where these come from, and on which the "
        "model was not trained."
    )
    return [line for note in notes for line in paragraph(note)]
