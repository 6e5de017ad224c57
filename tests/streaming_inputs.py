"""One batch and one set of accumulators for the tests of streaming metrics."""

from functools import partial

import numpy as np

from mllosses_jax import metrics
from mllosses_jax.metrics import streaming

SAMPLE_METRICS = {
    "lrap": metrics.label_ranking_average_precision,
    "ranking_loss": metrics.label_ranking_loss,
    "coverage": metrics.coverage_error,
    "one_error": metrics.one_error,
    "p_at_2": partial(metrics.precision_at_k, k=2),
    "ap": partial(metrics.average_precision, average="samples", undefined="zero"),
}
SET_METRICS = {
    "f1": partial(metrics.f1, average="samples", zero_division=1),
    "subset_accuracy": metrics.subset_accuracy,
}


AVERAGES = ["micro", "macro", "weighted", None]


def batch(n=96, labels=5, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, labels)) < np.linspace(0.6, 0.05, labels)
    truth[:4], truth[4:6] = False, True
    scores = (3 * rng.standard_normal((n, labels)) + truth).astype(np.float32).round(1)
    return scores, truth


def empties():
    return {
        "counts": streaming.ConfusionCounts.init(5),
        "scores": streaming.ScoreHistogram.init(5, inputs="logits", bins=64),
        "samples": streaming.SampleMeans.init(lrap=SAMPLE_METRICS["lrap"]),
        "sets": streaming.SampleMeans.init(f1=SET_METRICS["f1"]),
    }


def update(states, scores, labels, where=None):
    return {
        "counts": states["counts"].update(scores > 0, labels, where=where),
        "scores": states["scores"].update(scores, labels, where=where),
        "samples": states["samples"].update(scores, labels, where=where),
        "sets": states["sets"].update(scores > 0, labels, where=where),
    }
