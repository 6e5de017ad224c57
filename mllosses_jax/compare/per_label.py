"""The figures of each label: how frequent it is, and how well each loss does on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mllosses_jax.compare.card import first_part
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.metrics import average_precision

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison

Doubles = NDArray[np.float64]


class LabelFigures(NamedTuple):
    """The figures of each label under one loss, (L,) each, as means over its models.

    Attributes:
        average_precision: average precision on the test part; NaN without a test positive, and
            where only the highest scores of a row are kept.
        f1_default: F1 at 0.5.
        f1: F1 at the threshold.
        thresholds: the tuned thresholds, of logits.
    """

    average_precision: Doubles
    f1_default: Doubles
    f1: Doubles
    thresholds: Doubles


def label_figures(comparison: Comparison, label: str) -> LabelFigures:
    """Returns the figures of each label under one loss."""
    dataset, outcome = comparison.dataset, comparison.outcomes[label]
    both = comparison.thresholds[label]
    report = both.common if both.by_label is None else both.by_label
    assert dataset.y_test is not None
    by_label = np.full(dataset.y_test.shape[1], np.nan)
    if isinstance(outcome, Outcome) and np.isfinite(outcome.test_scores).all():
        by_label = np.mean(
            [
                np.asarray(
                    average_precision(
                        scores, dataset.y_test, average=None, where=dataset.known_test
                    ),
                    np.float64,
                )
                for scores in outcome.test_scores
            ],
            axis=0,
        )
    return LabelFigures(by_label, *map(_doubles, (report.baseline_f, report.f, report.thresholds)))


def positives(comparison: Comparison) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the known positives of each label in the first and in the test part, (L,)."""
    dataset = comparison.dataset
    assert dataset.y_test is not None
    train = (dataset.y_train & dataset.known_train).sum(0, dtype=np.int64)
    return train, (dataset.y_test & dataset.known_test).sum(0, dtype=np.int64)


def csv_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Returns one row of per_label.csv per loss and label."""
    train, test = positives(comparison)
    first = first_part(comparison.dataset)
    rows = []
    for loss in comparison.results:
        columns = label_figures(comparison, loss)._asdict()
        for place, name in enumerate(comparison.dataset.label_names):
            rows.append(
                {
                    "loss": loss,
                    "label": name,
                    f"{first}_positives": int(train[place]),
                    "test_positives": int(test[place]),
                    **{column: float(values[place]) for column, values in columns.items()},
                }
            )
    return rows


def predictions(comparison: Comparison) -> dict[str, Any]:
    """Returns the arrays of predictions.npz: what the recommended loss says of the test rows.

    They are those of the first of its models, with thresholds tuned per label.
    """
    dataset, label = comparison.dataset, comparison.recommended
    outcome = comparison.outcomes[label]
    names = {"label_names": np.array(dataset.label_names), "loss": np.array(label)}
    if not isinstance(outcome, Outcome):
        ranked = outcome.test[0]
        chosen = (ranked.ids >= 0) & (ranked.scores >= outcome.global_threshold)
        return {"top_ids": ranked.ids, "top_scores": ranked.scores, "label_sets": chosen, **names}
    scores = outcome.test_scores[0]
    return {
        "scores": scores,
        "inputs": np.array("logits"),
        "probabilities": np.asarray(outcome.decisions.calibrator(scores)),
        "label_sets": scores >= outcome.decisions.label_thresholds,
        "labels": dataset.y_test,
        "where": dataset.known_test,
        **names,
    }


def _doubles(values: Any) -> Doubles:
    return np.asarray(values, np.float64)
