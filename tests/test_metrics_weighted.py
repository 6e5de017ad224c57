"""Metrics of scores with weights of samples, partial areas and few positives: scikit-learn's."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from sklearn import metrics as sk

from mllosses_jax import metrics

AVERAGES = ["micro", "macro", "weighted", "samples", None]
RANKING = {
    "label_ranking_average_precision": sk.label_ranking_average_precision_score,
    "label_ranking_loss": sk.label_ranking_loss,
    "coverage_error": sk.coverage_error,
}


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


def batch(n=60, labels=6):
    """Returns tied scores, labels and weights, some of which are 0."""
    rng = np.random.default_rng(5)
    truth = rng.random((n, labels)) < 0.3
    scores = (rng.standard_normal(truth.shape) + truth).round(1).astype(np.float32)
    weights = rng.random(n).astype(np.float32)
    weights[:6] = 0
    return scores, truth, weights


@pytest.mark.parametrize("average", AVERAGES)
def test_average_precision_with_weights(average):
    scores, truth, weights = batch()
    found = metrics.average_precision(
        scores, truth, average=average, undefined="zero", weights=weights
    )
    expected = sk.average_precision_score(truth, scores, average=average, sample_weight=weights)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("max_fpr", [None, 0.3, 1.0])
@pytest.mark.parametrize("average", [a for a in AVERAGES if a != "samples"])
@pytest.mark.parametrize("weighted", [False, True])
def test_roc_auc_with_weights_and_up_to_a_rate(weighted, average, max_fpr):
    scores, truth, weights = batch()
    found = metrics.roc_auc(
        scores, truth, average=average, max_fpr=max_fpr, weights=weights if weighted else None
    )
    expected = sk.roc_auc_score(
        truth,
        scores,
        average=average,
        max_fpr=max_fpr,
        sample_weight=weights if weighted else None,
    )
    np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_weights_of_samples_are_those_of_their_mean():
    scores, truth, weights = batch()
    rows = [i for i, row in enumerate(truth) if row.any() and not row.all()]
    each = [sk.roc_auc_score(truth[i], scores[i], max_fpr=0.5) for i in rows]
    found = metrics.roc_auc(scores, truth, average="samples", max_fpr=0.5, weights=weights)
    np.testing.assert_allclose(found, np.average(each, weights=weights[rows]), rtol=2e-6)


@pytest.mark.parametrize("name", RANKING)
def test_rankings_with_weights(name):
    scores, truth, weights = batch()
    expected = RANKING[name](truth, scores, sample_weight=weights)
    found = getattr(metrics, name)(scores, truth, weights=weights)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("name", ["one_error", "mean_reciprocal_rank"])
def test_a_weight_of_two_is_a_sample_twice(name):
    scores, truth, _ = batch()
    twice = np.concatenate([scores, scores[:20]]), np.concatenate([truth, truth[:20]])
    weights = np.where(np.arange(len(truth)) < 20, 2, 1).astype(np.float32)
    metric = getattr(metrics, name)
    np.testing.assert_allclose(metric(scores, truth, weights=weights), metric(*twice), rtol=2e-6)


def test_lwlrap_is_lrap_weighted_by_the_number_of_positives():
    """The metric of FSD50K: the mean over all positives of the precision at their rank."""
    rng = np.random.default_rng(0)
    truth = rng.random((40, 7)) < 0.4
    scores = rng.standard_normal(truth.shape).astype(np.float32)
    precisions = []
    for row, labels in zip(scores, truth, strict=True):
        for label in np.flatnonzero(labels):
            above = row >= row[label]
            precisions.append((above & labels).sum() / above.sum())
    found = metrics.label_ranking_average_precision(scores, truth, weights=truth.sum(1) * 1.0)
    np.testing.assert_allclose(found, np.mean(precisions), rtol=2e-6)
    np.testing.assert_allclose(metrics.lwlrap(scores, truth), np.mean(precisions), rtol=2e-6)
    known = rng.random(truth.shape) < 0.7  # an unknown label is as one below all others
    expected = RANKING["label_ranking_average_precision"](
        truth & known, np.where(known, scores, -9), sample_weight=(truth & known).sum(1)
    )
    np.testing.assert_allclose(metrics.lwlrap(scores, truth, where=known), expected, rtol=2e-6)
    assert np.isnan(metrics.lwlrap(scores, truth & False))


METRICS = {
    **{name: getattr(metrics, name) for name in (*RANKING, "one_error", "mean_reciprocal_rank")},
    "average_precision": metrics.average_precision,
    "roc_auc": metrics.roc_auc,
    "average precision of samples": lambda *a, **k: metrics.average_precision(
        *a, average="samples", **k
    ),
}


@pytest.mark.parametrize("name", METRICS)
def test_scores_and_weights_may_be_on_several_devices(name):
    metric = METRICS[name]
    rng = np.random.default_rng(0)
    truth = rng.random((8, 8)) < 0.4
    arrays = rng.standard_normal(truth.shape).astype(np.float32), truth
    weights = rng.random(8).astype(np.float32)
    mesh = jax.make_mesh((2, 4), ("n", "l"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        given = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("n", "l")))
        split = jax.device_put(weights, NamedSharding(mesh, PartitionSpec("n")))
        found = jax.device_get(jax.jit(lambda *a, w: metric(*a, weights=w))(*given, w=split))
    np.testing.assert_allclose(found, metric(*arrays, weights=weights), rtol=2e-5)


@pytest.mark.parametrize("name", METRICS)
def test_a_sample_of_weight_zero_is_as_if_deleted(name):
    scores, truth, weights = batch()
    metric = METRICS[name]
    expected = metric(scores[6:], truth[6:], weights=weights[6:])
    broken = scores.copy()
    broken[:6] = np.nan
    np.testing.assert_allclose(metric(broken, truth, weights=weights), expected, rtol=1e-6)
    assert np.isnan(metric(scores, truth, weights=0 * weights))
    assert np.isnan(metric(broken, truth, weights=np.ones_like(weights)))
    masked = jax.jit(metric)(scores, truth, weights=weights, where=np.arange(60)[:, None] >= 6)
    np.testing.assert_allclose(masked, expected, rtol=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_wrong_weights_are_refused(name):
    scores, truth, weights = batch()
    with pytest.raises(ValueError, match=r"expected \(60,\), got \(59,\)"):
        METRICS[name](scores, truth, weights=weights[1:])
    with pytest.raises(ValueError, match="weights must not be negative"):
        METRICS[name](scores, truth, weights=-weights)


def test_labels_with_few_positives_are_left_out():
    scores, truth, _ = batch()
    truth[:, 0] = np.arange(60) < 4
    for metric, peer in (
        (metrics.average_precision, sk.average_precision_score),
        (metrics.roc_auc, sk.roc_auc_score),
    ):
        each = peer(truth, scores, average=None)
        found = metric(scores, truth, average=None, min_positives=5)
        np.testing.assert_allclose(found, np.where(truth.sum(0) >= 5, each, np.nan), rtol=2e-6)
        macro = metric(scores, truth, min_positives=5, weights=np.ones(60, np.float32))
        np.testing.assert_allclose(macro, each[1:].mean(), rtol=2e-6)
        with pytest.raises(ValueError, match="min_positives must be at least 1, got 0"):
            metric(scores, truth, min_positives=0)


@pytest.mark.parametrize(
    "weights",
    [
        *([1e30] * 4, [1e-30] * 4, [1e6, 1e-3, 1e6, 1e-3], [1e-3, 1e6, 1e-3, 1e6]),
        *([1, 1e-9, 1, 1e-9], [3e37, 1e37, 2e37, 3e37]),
    ],
)
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_only_ratios_of_weights_matter_however_large(weights, average):
    scores = np.array([[0.9], [0.8], [0.3], [0.2]], np.float32)
    truth = np.array([[True], [False], [True], [False]])
    for max_fpr in (None, 0.7):
        expected = sk.roc_auc_score(truth, scores, max_fpr=max_fpr, sample_weight=weights)
        found = metrics.roc_auc(
            scores, truth, average=average, max_fpr=max_fpr, weights=np.float32(weights)
        )
        np.testing.assert_allclose(found, expected, rtol=2e-6)
    found = metrics.average_precision(scores, truth, average=average, weights=np.float32(weights))
    expected = sk.average_precision_score(truth[:, 0], scores[:, 0], sample_weight=weights)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_not_left_out(wrong):
    scores, truth, weights = batch()
    weights[7] = wrong
    keep = np.ones_like(truth)
    keep[7, 1:] = False
    for metric in (metrics.average_precision, metrics.roc_auc):
        for undefined in ("skip", "zero"):
            found = metric(scores, truth, undefined=undefined, weights=weights)
            assert np.isnan(found)
        each = metric(scores, truth, average=None, weights=weights, where=keep)
        np.testing.assert_array_equal(np.isnan(each), np.arange(6) == 0)


def test_samples_of_weight_zero_are_not_among_the_fewest_positives():
    scores, truth, weights = batch()
    fewest = int(truth[6:, 0].sum()) + 1
    truth[:6, 0] = True
    for metric in (metrics.average_precision, metrics.roc_auc):
        options = {"average": None, "min_positives": fewest}
        found = metric(scores, truth, weights=weights, **options)
        alone = metric(scores[6:], truth[6:], **options)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(alone))
        assert np.isnan(found[0])


@pytest.mark.parametrize("max_fpr", [0, 0.0, np.float32(0), -0.1, 1.5])
def test_a_false_positive_rate_out_of_range_is_refused(max_fpr):
    scores, truth, _ = batch()
    with pytest.raises(ValueError, match=r"max_fpr must lie in .0, 1\], got"):
        metrics.roc_auc(scores, truth, max_fpr=max_fpr)


def test_partial_areas_by_a_traced_rate():
    scores, truth, _ = batch()
    rates = jnp.array([0.1, 0.5])
    found = jax.vmap(lambda rate: metrics.roc_auc(scores, truth, max_fpr=rate))(rates)
    expected = [sk.roc_auc_score(truth, scores, max_fpr=rate) for rate in (0.1, 0.5)]
    np.testing.assert_allclose(found, expected, rtol=2e-6)
