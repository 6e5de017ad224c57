"""Times metrics and threshold tuning against scikit-learn and, if installed, torchmetrics.

All are exact and take the same arrays. "host" is an eager call, which may use numpy on a CPU;
"traced" is the same function inside the caller's own compiled program.
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import metrics as sk

from benchmarks.timing import interleaved
from mllosses_jax import decisions, metrics

Call = Callable[[], Any]
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def run(quick: bool) -> list[dict[str, Any]]:
    """Returns one row per task, shape and path, with our time, each peer's time and the ratio.

    Args:
        quick: whether to take small arrays instead of (20000, 200) and (40000, 80).
    """
    shapes = [(200, 20)] if quick else [(20_000, 200), (40_000, 80)]
    return [row for shape in shapes for row in _rows(shape, 1 if quick else 5)]


def _rows(shape: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    truth = rng.random(shape) < 0.05
    truth[0], truth[1] = True, False  # no label is undefined
    scores = (rng.standard_normal(shape) + 1.5 * truth).astype(np.float32)
    arrays = scores, truth, scores > 1
    ours, peers = _ours(arrays), _scikit_learn(arrays)
    others = _torchmetrics(arrays) if importlib.util.find_spec("torchmetrics") else {}
    calls = {f"{task} {path}": call for task, paths in ours.items() for path, call in paths.items()}
    calls |= {f"{task} scikit-learn": call for task, call in peers.items()}
    calls |= {f"{task} torchmetrics": call for task, call in others.items()}
    times = interleaved(calls, rounds)
    rows = []
    for task, paths in ours.items():
        for path in paths:
            row: dict[str, Any] = {"name": task, "shape": str(shape), "path": path}
            row["ours_ms"] = times[f"{task} {path}"]
            for peer in ("scikit-learn", "torchmetrics"):
                if f"{task} {peer}" in times:
                    row[f"{peer}_ms"] = times[f"{task} {peer}"]
                    row[f"x {peer}"] = row[f"{peer}_ms"] / row["ours_ms"]
            rows.append(row)
    return rows


def _ours(arrays: Arrays) -> dict[str, dict[str, Call]]:
    scores, truth, predicted = map(jnp.asarray, arrays)
    both = {
        "mean average precision": metrics.average_precision,
        "ROC AUC": metrics.roc_auc,
        "label ranking average precision": metrics.label_ranking_average_precision,
        "label ranking loss": metrics.label_ranking_loss,
    }
    return {
        "classification report": {
            "host": lambda: metrics.classification_report(predicted, truth),
        },
        **{task: _both_paths(function, scores, truth) for task, function in both.items()},
        "coverage error": {"traced": lambda: metrics.coverage_error(scores, truth)},
        "F1 thresholds per label": {
            "traced": lambda: decisions.tune_thresholds(scores, truth, min_positives=1),
        },
    }


def _both_paths(
    function: Callable[..., jax.Array], scores: jax.Array, truth: jax.Array
) -> dict[str, Call]:
    program = jax.jit(function)
    return {"traced": lambda: program(scores, truth), "host": lambda: function(scores, truth)}


def _scikit_learn(arrays: Arrays) -> dict[str, Call]:
    scores, truth, predicted = arrays
    return {
        "classification report": lambda: sk.classification_report(
            truth, predicted, zero_division=0
        ),
        "mean average precision": lambda: sk.average_precision_score(truth, scores),
        "ROC AUC": lambda: sk.roc_auc_score(truth, scores),
        "label ranking average precision": lambda: sk.label_ranking_average_precision_score(
            truth, scores
        ),
        "label ranking loss": lambda: sk.label_ranking_loss(truth, scores),
        "coverage error": lambda: sk.coverage_error(truth, scores),
        "F1 thresholds per label": lambda: _tune_with_curves(truth, scores),
    }


def _torchmetrics(arrays: Arrays) -> dict[str, Call]:
    import torch
    from torchmetrics.functional import classification as tm

    scores, truth = torch.tensor(arrays[0]), torch.tensor(arrays[1].astype(int))
    labels = truth.shape[1]
    return {
        "mean average precision": lambda: tm.multilabel_average_precision(scores, truth, labels),
        "ROC AUC": lambda: tm.multilabel_auroc(scores, truth, labels),
        "label ranking average precision": lambda: tm.multilabel_ranking_average_precision(
            scores, truth, labels
        ),
        "label ranking loss": lambda: tm.multilabel_ranking_loss(scores, truth, labels),
        "coverage error": lambda: tm.multilabel_coverage_error(scores, truth, labels),
    }


def _tune_with_curves(truth: np.ndarray, scores: np.ndarray) -> list[float]:
    """Returns the thresholds of the usual recipe: the best F1 on each precision-recall curve."""
    thresholds = []
    for label in range(truth.shape[1]):
        precision, recall, cuts = sk.precision_recall_curve(truth[:, label], scores[:, label])
        total = np.maximum(precision + recall, 1e-30)
        thresholds.append(float(cuts[np.argmax((2 * precision * recall / total)[:-1])]))
    return thresholds
