"""Metrics and threshold tuning beside scikit-learn, both exact, on the same arrays."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn import metrics as sk

from benchmarks.timing import interleaved
from mllosses_jax import decisions, metrics

Call = Callable[[], Any]


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per task: name, ours_ms, peer, peer_ms and ratio = peer_ms / ours_ms.

    Args:
        quick: whether to take (200, 20) arrays instead of (20000, 200).
    """
    samples, labels = (200, 20) if quick else (20_000, 200)
    rng = np.random.default_rng(0)
    truth = rng.random((samples, labels)) < 0.05
    truth[0], truth[1] = True, False  # no label is undefined
    scores = (rng.standard_normal((samples, labels)) + 1.5 * truth).astype(np.float32)
    predicted = scores > 1
    s, y, p = jnp.asarray(scores), jnp.asarray(truth), jnp.asarray(predicted)
    tasks: list[tuple[str, Call, Call]] = [
        (
            "classification report",
            lambda: metrics.classification_report(p, y),
            lambda: sk.classification_report(truth, predicted, zero_division=0),
        ),
        (
            "mean average precision",
            lambda: metrics.average_precision(s, y),
            lambda: sk.average_precision_score(truth, scores),
        ),
        ("ROC AUC", lambda: metrics.roc_auc(s, y), lambda: sk.roc_auc_score(truth, scores)),
        (
            "label ranking average precision",
            lambda: metrics.label_ranking_average_precision(s, y),
            lambda: sk.label_ranking_average_precision_score(truth, scores),
        ),
        (
            "label ranking loss",
            lambda: metrics.label_ranking_loss(s, y),
            lambda: sk.label_ranking_loss(truth, scores),
        ),
        (
            "coverage error",
            lambda: metrics.coverage_error(s, y),
            lambda: sk.coverage_error(truth, scores),
        ),
        (
            "F1 thresholds per label",
            lambda: decisions.tune_thresholds(s, y, min_positives=1),
            lambda: _tune_with_curves(truth, scores),
        ),
    ]
    calls = {f"ours: {name}": ours for name, ours, _ in tasks}
    calls |= {f"peer: {name}": peer for name, _, peer in tasks}
    times = interleaved(calls, 1 if quick else 5)
    return [_row(name, times[f"ours: {name}"], times[f"peer: {name}"]) for name, _, _ in tasks]


def _tune_with_curves(truth: np.ndarray, scores: np.ndarray) -> list[float]:
    """The usual recipe: the best F1 along the precision-recall curve of each label."""
    thresholds = []
    for label in range(truth.shape[1]):
        precision, recall, cuts = sk.precision_recall_curve(truth[:, label], scores[:, label])
        total = np.maximum(precision + recall, 1e-30)
        thresholds.append(float(cuts[np.argmax((2 * precision * recall / total)[:-1])]))
    return thresholds


def _row(name: str, ours: float, peer: float) -> dict[str, Any]:
    row = {"name": name, "ours_ms": ours, "peer": "scikit-learn", "peer_ms": peer}
    return row | {"ratio": peer / ours}
