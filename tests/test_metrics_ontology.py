"""F-max, S-min, average precision at k and groups of labels, against their definitions."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mllosses_jax import metrics


def batch(masked, decimals=1, n=25, labels=8):
    rng = np.random.default_rng(3)
    truth = rng.random((n, labels)) < 0.25
    scores = (rng.standard_normal(truth.shape) + truth).round(decimals).astype(np.float32)
    return scores, truth, rng.random(truth.shape) < (0.6 if masked else 1)


def f_and_s(scores, truth, where, information):
    """Tries all cut-offs, one by one."""
    weight = np.where(where, information, 0.0)
    kept = (weight * truth).sum(1) > 0
    scores, truth, where, weight = (x[kept] for x in (scores, truth & where, where, weight))
    f, s = 0.0, (weight * truth).sum() / len(truth)
    for cut in np.unique(scores[where]):
        predicted = (scores >= cut) & where
        size, hits = (weight * predicted).sum(1), (weight * (predicted & truth)).sum(1)
        if size.any():
            precision = np.mean(hits[size > 0] / size[size > 0])
            recall = np.mean(hits / (weight * truth).sum(1))
            f = max(f, 2 * precision * recall / max(precision + recall, 1e-30))
        missed, wrong = truth & ~predicted, predicted & ~truth
        s = min(s, np.hypot((weight * missed).sum(), (weight * wrong).sum()) / len(truth))
    return f, s


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("masked", [False, True])
def test_f_max_and_s_min_are_the_best_of_all_cut_offs(masked, decimals):
    scores, truth, where = batch(masked, decimals)
    information = np.random.default_rng(1).random(truth.shape[1]).astype(np.float32) * 3
    information[0] = 0
    f, s = f_and_s(scores, truth, where, information)
    found = metrics.f_max(scores, truth, information=information, where=where)
    np.testing.assert_allclose(found, f, rtol=2e-6)
    found = metrics.s_min(scores, truth, information=information, where=where)
    np.testing.assert_allclose(found, s, rtol=2e-6)
    plain = metrics.f_max(scores, truth, where=where)
    np.testing.assert_allclose(plain, f_and_s(scores, truth, where, 1.0)[0], rtol=2e-6)


def test_scores_that_count_for_f_max():
    scores, truth, _ = batch(False)
    ones = jnp.ones(truth.shape[1])
    truth[3] = False
    expected = metrics.f_max(scores, truth), metrics.s_min(scores, truth, information=ones)
    scores[3] = np.nan  # a sample without true labels is left out
    assert metrics.f_max(scores, truth) == expected[0]
    assert metrics.s_min(scores, truth, information=ones) == expected[1]
    scores[4] = np.nan
    truth[4, 0] = True
    assert np.isnan(metrics.f_max(scores, truth))
    assert np.isnan(metrics.s_min(scores, truth, information=ones))
    assert np.isnan(metrics.f_max(scores, 0 * truth))


def test_wrong_information_is_refused():
    scores, truth, _ = batch(False)
    with pytest.raises(ValueError, match=r"information must have one entry per label: expected"):
        metrics.f_max(scores, truth, information=jnp.ones(3))
    with pytest.raises(ValueError, match="information must lie in"):
        metrics.s_min(scores, truth, information=-np.ones(8, np.float32))


@pytest.mark.parametrize("k", [1, 3, 8])
def test_average_precision_at_k(k):
    scores, truth, _ = batch(False, decimals=6)
    each, pooled = [], []
    for row, labels in zip(scores, truth, strict=True):
        best = np.argsort(-row, kind="stable")[:k]
        precisions = np.cumsum(labels[best]) / np.arange(1, k + 1)
        each.append(precisions[labels[best]].sum() / min(k, max(labels.sum(), 1)))
        pooled += [(row[label], labels[label]) for label in best]
    np.testing.assert_allclose(
        metrics.average_precision_at_k(scores, truth, k), np.mean(each), rtol=2e-6
    )
    s, y = map(np.asarray, zip(*pooled, strict=True))
    expected = average_precision_score(y, s) * y.sum() / truth.sum()
    found = metrics.average_precision_at_k(scores, truth, k, average="micro")
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_average_precision_at_k_of_the_labels_that_count():
    scores, truth, where = batch(True, decimals=6)
    truth[where.sum(1) < 3] = False
    rows = [
        average_precision_score(truth[i, where[i]], scores[i, where[i]])
        if (truth & where)[i].any()
        else 0.0
        for i in range(len(truth))
    ]
    found = metrics.average_precision_at_k(scores, truth, truth.shape[1], where=where)
    np.testing.assert_allclose(found, np.mean(rows), rtol=2e-6)
    with pytest.raises(ValueError, match="average must be one of 'samples', 'micro'"):
        metrics.average_precision_at_k(scores, truth, 2, average="macro")


def test_means_by_frequency():
    values = np.array([0.1, 0.2, np.nan, 0.5, 0.9], np.float32)
    counts = np.array([0, 9, 5, 10, 100])
    found = metrics.by_frequency(values, counts, [1, 10, 101])
    np.testing.assert_allclose(found, [0.1, 0.2, 0.7, np.nan], rtol=1e-6)
    with pytest.raises(ValueError, match="edges must be one axis of ascending numbers"):
        metrics.by_frequency(values, counts, [10, 1])
    with pytest.raises(ValueError, match=r"ascending numbers, got \[nan"):
        metrics.by_frequency(values, counts, [np.nan])
    with pytest.raises(ValueError, match="label_counts must have the shape of values"):
        metrics.by_frequency(values, counts[1:], [10])
    with pytest.raises(ValueError, match=r"^by_frequency: label_counts must not be negative"):
        metrics.by_frequency(values, -counts, [10])
