"""The common threshold of a loss as the file that `mllosses evaluate --thresholds` reads."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mllosses_jax._core.intervals import DIFFERENCE, interval
from mllosses_jax.compare import resampling
from mllosses_jax.compare.large.judgment import predicted
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.compare.thresholds import Thresholds
from mllosses_jax.data import Dataset
from mllosses_jax.decisions import ThresholdReport
from mllosses_jax.decisions.threshold_file import Gain

LABELS = 1024  # whose weights on all resamples are held at once

Doubles = NDArray[np.float64]


def thresholds(
    outcome: RankedOutcome, dataset: Dataset, weights: resampling.Floats, *, loss: str
) -> Thresholds:
    """Returns the common threshold, with its gain on the test part over a threshold of 0.

    There are no thresholds of single labels: most scores of a label are not kept.
    """
    assert dataset.y_test is not None
    labels = csr_matrix(dataset.y_test & dataset.known_test, dtype=np.float32)
    names = {"tuned": float(outcome.global_threshold), "baseline": 0.0}
    whole = np.concatenate([np.ones((len(weights), 1), np.float32), weights], axis=1)
    of_labels: dict[str, list[Doubles]] = {name: [] for name in names}
    drawn: dict[tuple[str, str], list[Doubles]] = {}
    for name, threshold in names.items():
        for ranked in outcome.test:
            by_label, averages = _f1(_sets(ranked, threshold, labels.shape), labels, whole)
            of_labels[name].append(by_label)
            for average, values in averages.items():
                drawn.setdefault((name, average), []).append(values)

    def gain(average: Literal["macro", "micro"]) -> Gain:
        tuned, baseline = (np.stack(drawn[name, average]) for name in names)
        found = interval(
            (tuned - baseline)[:, 0],
            (tuned - baseline)[:, 1:].mean(0),
            bounds=DIFFERENCE,
            num_rows=len(weights),
            varies=outcome.varies,
        )
        means = float(tuned[:, 0].mean()), float(baseline[:, 0].mean())
        return Gain(*means, found.low, found.high)

    chosen = np.full(labels.shape[1], outcome.global_threshold, np.float32)
    report = ThresholdReport(
        label_names=tuple(dataset.label_names),
        thresholds=chosen,
        std=np.zeros_like(chosen),
        low=chosen,
        high=chosen,
        f=np.mean(of_labels["tuned"], axis=0),
        baseline_f=np.mean(of_labels["baseline"], axis=0),
        num_positives=np.asarray(labels.sum(0), np.int32).ravel(),
        macro=gain("macro"),
        micro=gain("micro"),
        settings={"inputs": "logits", "baseline": 0.0, "beta": 1.0, "loss": loss},
    )
    return Thresholds(None, report)


def _sets(ranked: Ranked, threshold: float, shape: tuple[int, int]) -> Any:
    """Returns the predicted labels as a sparse matrix (N, L) of ones."""
    chosen = predicted(ranked, threshold)
    rows, _ = np.nonzero(chosen)
    return csr_matrix((np.ones(len(rows), np.float32), (rows, ranked.ids[chosen])), shape=shape)


def _f1(sets: Any, labels: Any, weights: resampling.Floats) -> tuple[Doubles, dict[str, Doubles]]:
    """Returns F1 by label (L,) with the first weights, and macro- and micro-F1 with each, (R,)."""
    true = sets.multiply(labels).T.tocsr()
    both = (sets + labels).T.tocsr()
    by_label, total, sums = [], np.zeros(weights.shape[1]), np.zeros((2, weights.shape[1]))
    for start in range(0, labels.shape[1], LABELS):
        part = slice(start, start + LABELS)
        hits, size = (each[part] @ weights for each in (true, both))
        values = 2 * hits / np.maximum(size, 1).astype(np.float64)  # 0 without a positive
        by_label.append(values[:, 0])
        total += values.sum(axis=0)
        sums += hits.sum(axis=0, dtype=np.float64), size.sum(axis=0, dtype=np.float64)
    averages = {"macro": total / labels.shape[1], "micro": 2 * sums[0] / np.maximum(sums[1], 1)}
    return np.concatenate(by_label), averages
