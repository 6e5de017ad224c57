"""Metrics that depend on true negatives, against scikit-learn and torchmetrics."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from mllosses_jax import metrics

AVERAGES = ["micro", "macro", "weighted", "samples", None]


def peer_specificity(truth, predicted, sample_weight=None):
    return sk.recall_score(~truth, ~predicted, zero_division=np.nan, sample_weight=sample_weight)


def peer_npv(truth, predicted, sample_weight=None):
    complements = ~truth, ~predicted
    return sk.precision_score(*complements, zero_division=np.nan, sample_weight=sample_weight)


def peer_g_mean(truth, predicted, sample_weight=None):
    return np.sqrt(np.prod(both_recalls(truth, predicted, sample_weight)))


def peer_h_mean(truth, predicted, sample_weight=None):
    recalls = both_recalls(truth, predicted, sample_weight)
    return stats.hmean(recalls) if np.all(recalls >= 0) else np.nan


def both_recalls(truth, predicted, sample_weight):
    """Returns the recall of negatives and of positives; NaN for a class that does not occur."""
    return sk.recall_score(
        *(truth, predicted),
        labels=[False, True],
        average=None,
        zero_division=np.nan,
        sample_weight=sample_weight,
    )


PEERS = {  # for one label; `zero_division` replaces the NaN of an undefined value
    "specificity": peer_specificity,
    "negative_predictive_value": peer_npv,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "g_mean": peer_g_mean,
    "h_mean": peer_h_mean,
    "matthews_corrcoef": sk.matthews_corrcoef,
    "cohen_kappa": sk.cohen_kappa_score,
}


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


def sets(seed=0, n=40, labels=8):
    """Returns random sets with every kind of degenerate label, and with empty and full rows."""
    rng = np.random.default_rng(seed)
    truth, predicted = rng.random((2, n, labels)) < 0.4
    truth[:6], predicted[3:9] = False, False
    truth[10:14], predicted[12:16] = True, True
    truth[:, 0], predicted[:, 0] = False, False  # never true, never predicted
    truth[:, 1], predicted[:, 2] = False, False
    truth[:, 3], predicted[:, 3] = True, True
    truth[:, 4], predicted[:, 5] = True, True
    return predicted, truth


def peer_value(name, predicted, truth, zero_division, weights=None):
    """Returns the peer's value for one label, or `zero_division` if it is undefined."""
    if len(truth) == 0:
        return np.nan
    both = [np.unique(side).size == 2 for side in (truth, predicted)]
    if name == "matthews_corrcoef" and not all(both):
        return zero_division
    if name == "balanced_accuracy" and not both[0] and not np.isnan(zero_division):
        # The peer averages over the classes that occur.
        only = peer_value(name, predicted, truth, np.nan, weights)
        return (only + zero_division) / 2
    value = PEERS[name](truth, predicted, sample_weight=weights)
    return zero_division if np.isnan(value) else value


def expected(name, predicted, truth, average, zero_division, weights=None, where=None):
    where = np.ones(truth.shape, bool) if where is None else where
    w = np.ones(len(truth)) if weights is None else weights
    w = np.broadcast_to(w[:, None], truth.shape)
    if average == "micro":
        return peer_value(name, predicted[where], truth[where], zero_division, w[where])
    sides = [a if average == "samples" else a.T for a in (predicted, truth, where, w)]
    values = np.array(
        [
            peer_value(name, p[keep], y[keep], zero_division, v[keep])
            for p, y, keep, v in zip(*sides, strict=True)
        ]
    )
    if average is None:
        return values
    shares = {"weighted": (w * truth * where).sum(0), "samples": w[:, 0]}.get(average)
    kept = ~np.isnan(values)
    return np.average(values[kept], weights=None if shares is None else shares[kept])


@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", PEERS)
def test_matches_scikit_learn_label_by_label(name, average, zero_division):
    predicted, truth = sets()
    got = getattr(metrics, name)(
        predicted, truth, average=average, zero_division=np.float32(zero_division)
    )
    np.testing.assert_allclose(
        got, expected(name, predicted, truth, average, zero_division), rtol=1e-6, atol=3e-7
    )


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", PEERS)
def test_weights_and_masks(name, average):
    predicted, truth = sets(1)
    rng = np.random.default_rng(2)
    where = rng.random(truth.shape) < 0.6
    where[:, -1] = False  # a label without any entry
    where[20] = False
    weights = rng.random(40)
    labels = np.where(where, truth, np.nan)
    options = {"average": average, "zero_division": np.float32(np.nan), "where": where}
    for w in (weights,) if average else (weights, None):
        got = getattr(metrics, name)(predicted, labels, weights=w, **options)
        answer = expected(name, predicted, truth, average, np.nan, w, where)
        np.testing.assert_allclose(got, answer, rtol=1e-5, atol=1e-6)


def test_undefined_values_by_default():
    predicted, truth = sets()
    absent = truth[:, 1:2], predicted[:, 1:2]
    assert metrics.matthews_corrcoef(absent[1], absent[0]) == sk.matthews_corrcoef(
        absent[0][:, 0], absent[1][:, 0]
    )
    np.testing.assert_allclose(
        metrics.balanced_accuracy(absent[1], absent[0]),
        sk.balanced_accuracy_score(absent[0][:, 0], absent[1][:, 0]),
        rtol=1e-6,
    )
    assert metrics.cohen_kappa(predicted[:, :1], truth[:, :1]) == 0
    assert metrics.specificity(predicted[:, 3:4], truth[:, 3:4]) == 0


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
def test_matches_torchmetrics(average):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("torchmetrics.functional.classification")
    predicted, truth = sets(3)
    p, y = torch.tensor(predicted).int(), torch.tensor(truth).int()
    answer = peers.multilabel_specificity(p, y, 8, average=average or "none")
    got = metrics.specificity(predicted, truth, average=average)
    np.testing.assert_allclose(got, answer.numpy(), rtol=1e-6)
    answer = peers.multilabel_negative_predictive_value(p, y, 8, average=average or "none")
    got = metrics.negative_predictive_value(predicted, truth, average=average)
    if average != "weighted":  # the peer weights by the number of negatives
        np.testing.assert_allclose(got, answer.numpy(), rtol=1e-6)
    if average == "micro":
        answer = peers.multilabel_matthews_corrcoef(p, y, 8)
        got = metrics.matthews_corrcoef(predicted, truth, average=average)
        np.testing.assert_allclose(got, answer.numpy(), rtol=1e-5)


def test_products_of_large_counts():
    """Products of a million samples' counts exceed int32, and the exact integers of float32."""
    rng = np.random.default_rng(4)
    prevalence = np.array([1e-5, 1e-3, 0.1, 0.5, 0.9999])
    truth = rng.random((10**6, 5)) < prevalence
    predicted = truth ^ (rng.random((10**6, 5)) < prevalence * np.array([1, 0.7, 0.3, 1, 1e-4]))
    tp, fp, fn, tn = (
        np.sum(cell, axis=0).astype(np.float64)
        for cell in (truth & predicted, predicted > truth, truth > predicted, ~(truth | predicted))
    )
    covariance = tp * tn - fp * fn
    mcc = covariance / np.sqrt(tp + fp) / np.sqrt(tp + fn) / np.sqrt(tn + fp) / np.sqrt(tn + fn)
    kappa = 2 * covariance / ((tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))
    predicted, truth = jnp.asarray(predicted), jnp.asarray(truth)
    options = {"average": None}
    np.testing.assert_allclose(
        metrics.matthews_corrcoef(predicted, truth, **options), mcc, rtol=0, atol=2e-7
    )
    np.testing.assert_allclose(
        metrics.cohen_kappa(predicted, truth, **options), kappa, rtol=0, atol=2e-7
    )
    # Few of many entries are negative: a difference of rounded sums of weights would be wrong.
    weights = jnp.asarray(rng.random(10**6, dtype=np.float32))
    few = np.asarray(~truth[:, -1])
    w, wrong = np.asarray(weights, np.float64)[few], np.asarray(predicted)[few, -1]
    got = metrics.specificity(predicted[:, -1:], truth[:, -1:], weights=weights)
    np.testing.assert_allclose(got, np.sum(w * ~wrong) / np.sum(w), rtol=1e-6)


def test_more_entries_than_an_int32_counts():
    """There are 2³¹ entries, which never exist as an array."""

    @jax.jit
    def specificity(predicted, truth):
        shape = 2**17, 2**14
        return metrics.specificity(
            jnp.broadcast_to(predicted[None], shape),
            jnp.broadcast_to(truth[None], shape),
            average="micro",
        )

    assert specificity(jnp.arange(2**14) % 4 == 0, jnp.zeros(2**14, bool)) == 0.75


def test_under_jit_vmap_and_x64():
    predicted, truth = (jnp.asarray(a) for a in sets(5))
    pair = jnp.stack([predicted, ~predicted])
    for name in PEERS:
        ours = getattr(metrics, name)
        both = jax.jit(jax.vmap(lambda p, f=ours: f(p, truth, average="micro")))(pair)
        answers = [expected(name, np.asarray(p), np.asarray(truth), "micro", np.nan) for p in pair]
        np.testing.assert_allclose(both, answers, rtol=1e-6, atol=1e-6)
        with jax.enable_x64(True):
            exact = ours(np.asarray(predicted), np.asarray(truth), average="micro")
            assert exact.dtype == jnp.float64
            np.testing.assert_allclose(exact, answers[0], rtol=1e-13, atol=1e-15)


def test_bad_input_is_named():
    predicted, truth = sets()
    with pytest.raises(ValueError, match=r"average must be one of"):
        metrics.cohen_kappa(predicted, truth, average="mean")
    for ours in (metrics.balanced_accuracy, metrics.matthews_corrcoef):
        with pytest.raises(TypeError, match=r"zero_division must be a number, got 'warn'"):
            ours(predicted, truth, zero_division="warn")
    with pytest.raises(TypeError, match=r"predictions must be hard sets"):
        metrics.specificity(predicted.astype(np.float32), truth)
