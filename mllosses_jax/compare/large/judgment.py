"""Metrics of ranked labels on the test part, with intervals and differences to a baseline."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax import heads
from mllosses_jax.compare import resampling
from mllosses_jax.compare.bound_loss import inverse_propensities
from mllosses_jax.compare.judgment import Judgment, Metric
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.data import Dataset

SIZES = (1, 3, 5)
METRICS: dict[str, Metric] = {
    **{f"precision_at_{k}": Metric(f"P@{k}") for k in SIZES},
    **{f"ndcg_at_{k}": Metric(f"nDCG@{k}") for k in SIZES[1:]},  # nDCG@1 is P@1
    **{f"psp_at_{k}": Metric(f"PSP@{k}") for k in SIZES},
    "micro_f1_tuned": Metric("micro-F1\ntuned"),
}

Doubles = NDArray[np.float64]


class Sums(NamedTuple):
    """A metric that is a quotient of sums over rows, both (N,)."""

    part: Doubles
    whole: Doubles


def judge(outcome: RankedOutcome, dataset: Dataset, weights: resampling.Floats) -> Judgment:
    """Returns the metrics of each model and of each resample; NaN where training diverged.

    Args:
        outcome: the outcome of one loss.
        dataset: the data set, whose test part has the true labels.
        weights: the weights of the resamples, from `resampling.draw`.
    """
    assert dataset.y_test is not None
    labels = np.asarray(dataset.y_test & dataset.known_test)
    known = np.asarray(dataset.known_test.any(axis=1))
    propensity = np.asarray(inverse_propensities(dataset), np.float64)
    # The first column of the weights stands for the test part itself.
    whole = np.concatenate([np.ones((len(labels), 1), np.float32), weights], axis=1)
    found = []
    for ranked in outcome.test:
        if ranked.usable:
            sums = _sums(ranked, labels, known, propensity, float(outcome.global_threshold))
            found.append(_on_resamples(sums, whole))
        else:
            found.append({name: np.full(whole.shape[1], math.nan) for name in METRICS})
    on_all = {name: np.stack([each[name] for each in found]) for name in METRICS}
    return Judgment(
        {name: values[:, 0] for name, values in on_all.items()},
        {name: values[:, 1:].mean(0) for name, values in on_all.items()},
        outcome.varies,
        len(labels),
    )


def _on_resamples(sums: dict[str, Sums], weights: resampling.Floats) -> dict[str, Doubles]:
    """Returns each metric on resamples (R,), or NaN where its whole is 0."""
    each = sums.values()
    entries = np.stack([*(metric.part for metric in each), *(metric.whole for metric in each)])
    parts, wholes = np.split(resampling.row_sums(entries, weights), 2)
    return dict(zip(sums, resampling.ratio(parts, wholes), strict=True))


def quality(ranked: Ranked, labels: NDArray[np.bool_], known: NDArray[np.bool_]) -> float:
    """Returns nDCG@5 of rows with labels (N, L), or -inf after divergence."""
    if not ranked.usable:
        return -math.inf
    truth = heads.positives_from_dense(labels & known)
    found = float(heads.ndcg_at_k(ranked.ids[:, :5], truth, where=known.any(axis=1)))
    return -math.inf if math.isnan(found) else found


def common_threshold(
    ranked: Ranked, labels: NDArray[np.bool_], known: NDArray[np.bool_]
) -> np.float32:
    """Returns the threshold with the best micro-F1 on rows, halfway between two scores.

    Labels that are not among the ranked ones are not predicted.
    """
    if not ranked.usable or not (labels & known).any():
        return np.float32(0)
    there = ranked.ids >= 0
    hits = hits_of(ranked, labels & known)[there]
    scores = ranked.scores[there]
    order = np.argsort(-scores, kind="stable")
    scores, true = scores[order], np.cumsum(hits[order])
    last = np.append(scores[1:] < scores[:-1], True)  # equal scores are predicted together
    predicted = np.arange(1, len(scores) + 1)
    f1 = np.where(last, 2 * true / (predicted + np.count_nonzero(labels & known)), -1)
    best = int(np.argmax(f1))
    below = scores[best + 1] if best + 1 < len(scores) else scores[best] - 1
    return np.float32((scores[best] + below) / 2)


def hits_of(ranked: Ranked, labels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which of the ranked labels are true, (N, k), for labels (N, L)."""
    there = ranked.ids >= 0
    return np.asarray(there & np.take_along_axis(labels, np.where(there, ranked.ids, 0), axis=1))


def predicted(ranked: Ranked, threshold: float) -> NDArray[np.bool_]:
    """Returns which of the ranked labels are predicted, (N, k)."""
    return np.asarray((ranked.ids >= 0) & (ranked.scores >= threshold))


def _sums(
    ranked: Ranked,
    labels: NDArray[np.bool_],
    known: NDArray[np.bool_],
    propensity: Doubles,
    threshold: float,
) -> dict[str, Sums]:
    """Returns each metric as a quotient of sums over rows."""
    ones, truth = known.astype(np.float64), heads.positives_from_dense(labels)
    found = {name: Sums(values * known, ones) for name, values in _of_rows(ranked, truth).items()}
    hits = hits_of(ranked, labels)
    weights = np.where(ranked.ids >= 0, propensity[ranked.ids], 0)
    best = -np.sort(-np.where(truth >= 0, propensity[truth], 0), axis=1)
    for k in SIZES:
        gained = (hits * weights)[:, :k].sum(axis=1)
        found[f"psp_at_{k}"] = Sums(gained * known, best[:, :k].sum(axis=1) * known)
    chosen = predicted(ranked, threshold)
    true = (hits & chosen).sum(axis=1).astype(np.float64)
    both = (chosen.sum(axis=1) + (truth >= 0).sum(axis=1)).astype(np.float64)
    found["micro_f1_tuned"] = Sums(2 * true * known, both * known)
    return found


def _of_rows(ranked: Ranked, truth: NDArray[np.int32]) -> dict[str, Doubles]:
    """Returns the metrics that are means over rows, by row (N,)."""
    found = _metrics_of_rows(jnp.asarray(ranked.ids[:, : max(SIZES)]), jnp.asarray(truth))
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


@jax.jit
def _metrics_of_rows(ids: Array, truth: Array) -> dict[str, Array]:
    def of_row(row: Array, true: Array) -> dict[str, Any]:
        top, one = row[None], true[None]
        found: dict[str, Any] = {
            f"precision_at_{k}": heads.precision_at_k(top[:, :k], one) for k in SIZES
        }
        return found | {f"ndcg_at_{k}": heads.ndcg_at_k(top[:, :k], one) for k in SIZES[1:]}

    result: dict[str, Array] = jax.vmap(of_row)(ids, truth)
    return result
