"""Metrics of hard sets and the classification report, against scikit-learn."""

import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax import metrics

AVERAGES = ["micro", "macro", "weighted", "samples", None]
RATIOS = {
    "precision": (metrics.precision, sk.precision_score),
    "recall": (metrics.recall, sk.recall_score),
    "f1": (metrics.f1, sk.f1_score),
    "jaccard": (metrics.jaccard, sk.jaccard_score),
}


def sets(seed=0, n=40, labels=7):
    """Returns random sets with absent and full labels, and with empty rows on either side."""
    rng = np.random.default_rng(seed)
    truth, predicted = rng.random((2, n, labels)) < 0.3
    truth[:, 0], predicted[:, 0] = False, False  # never true, never predicted
    truth[:, 1], predicted[:, 2] = False, False
    truth[:, 3], predicted[:, 3] = True, True
    truth[:6], predicted[3:9] = False, False
    return predicted, truth


CASES = {
    "random": sets(),
    "nothing true": (sets()[0], np.zeros((40, 7), bool)),
    "nothing predicted": (np.zeros((40, 7), bool), sets()[1]),
    "nothing at all": (np.zeros((40, 7), bool), np.zeros((40, 7), bool)),
}


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        warnings.filterwarnings("ignore", message="Mean of empty slice")
        yield


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", RATIOS)
def test_ratios_match_scikit_learn(name, average, zero_division, case):
    ours, peer = RATIOS[name]
    predicted, truth = CASES[case]
    if name == "jaccard" and np.isnan(zero_division):
        peer = jaccard_with_nan
    expected = peer(truth, predicted, average=average, zero_division=zero_division)
    # 1 is traced, the other values are compiled in.
    given = np.float32(zero_division) if zero_division == 1 else zero_division
    got = ours(predicted, truth, average=average, zero_division=given)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def jaccard_with_nan(truth, predicted, *, average, zero_division):
    """Replaces the peer, which refuses NaN here: undefined entries are left out by hand."""
    axis = {"micro": None, "samples": 1}.get(average, 0)
    union = np.sum(truth | predicted, axis=axis)
    both = np.sum(truth & predicted, axis=axis)
    values = np.where(union == 0, zero_division, both / np.maximum(union, 1))
    if average in {"micro", None}:
        return values
    kept = ~np.isnan(values)
    weights = truth.sum(0)[kept] if average == "weighted" else None
    if weights is not None and not weights.any():
        weights = None
    return np.average(values[kept], weights=weights) if kept.any() else np.nan


@pytest.mark.parametrize("beta", [0, 0.5, 2, 3.7, np.inf])
@pytest.mark.parametrize("average", ["micro", "macro", "samples"])
def test_fbeta_matches_scikit_learn(average, beta):
    predicted, truth = sets(1)
    expected = sk.fbeta_score(truth, predicted, beta=beta, average=average, zero_division=0)
    got = metrics.fbeta(predicted, truth, beta=beta, average=average)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", ["precision", "f1"])
def test_sample_weights_match_scikit_learn(name, average):
    ours, peer = RATIOS[name]
    predicted, truth = sets(2)
    weights = np.random.default_rng(3).random(40)
    expected = peer(truth, predicted, average=average, sample_weight=weights, zero_division=0)
    np.testing.assert_allclose(
        ours(predicted, truth, average=average, weights=weights), expected, rtol=1e-5
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_other_counts_match_scikit_learn(weighted):
    predicted, truth = sets(4)
    w = np.random.default_rng(5).random(40) if weighted else None
    for ours, peer in [
        (metrics.hamming_loss, sk.hamming_loss),
        (metrics.subset_accuracy, sk.accuracy_score),
        (metrics.multilabel_confusion_matrix, sk.multilabel_confusion_matrix),
    ]:
        expected = peer(truth, predicted, sample_weight=w)
        np.testing.assert_allclose(
            ours(predicted, truth, weights=w), expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", [*RATIOS, "hamming_loss", "multilabel_confusion_matrix"])
def test_masked_entries_are_as_if_deleted(name):
    ours = getattr(metrics, name)
    peer = RATIOS[name][1] if name in RATIOS else getattr(sk, name)
    predicted, truth = sets(6)
    keep = np.random.default_rng(7).random(truth.shape) < 0.6
    keep[:, -1] = False  # a label without any entry
    options = {"average": None} if name in RATIOS else {}
    if name == "hamming_loss":
        np.testing.assert_allclose(
            ours(predicted, truth, where=keep), np.mean((predicted != truth)[keep]), rtol=1e-6
        )
        return
    got = np.asarray(ours(predicted, truth, where=keep, **options))
    for label in range(truth.shape[1] - 1):
        rows = keep[:, label]
        column = truth[rows, label], predicted[rows, label]
        expected = (
            peer(*column, zero_division=0)
            if name in RATIOS
            else sk.confusion_matrix(*column, labels=[False, True])
        )
        np.testing.assert_allclose(got[label], expected, rtol=1e-6)
    if name in RATIOS:
        assert np.isnan(got[-1])
        macro = ours(predicted, truth, where=keep)
        np.testing.assert_allclose(macro, np.mean(got[:-1]), rtol=1e-6)


@pytest.mark.parametrize("average", AVERAGES)
def test_masked_rows_are_as_if_deleted(average):
    predicted, truth = sets(8)
    keep = np.arange(40) % 3 > 0
    where = jnp.asarray(keep)[:, None]
    for ours, peer in (RATIOS["precision"], RATIOS["jaccard"]):
        expected = peer(truth[keep], predicted[keep], average=average, zero_division=0)
        np.testing.assert_allclose(
            ours(predicted, truth, average=average, where=where), expected, rtol=1e-6
        )
    np.testing.assert_allclose(
        metrics.subset_accuracy(predicted, truth, where=where),
        sk.accuracy_score(truth[keep], predicted[keep]),
        rtol=1e-6,
    )


def test_labels_may_be_nan_where_masked():
    predicted, truth = sets(9)
    where = np.random.default_rng(0).random(truth.shape) < 0.5
    labels = np.where(where, truth, np.nan)
    assert metrics.f1(predicted, labels, where=where) == metrics.f1(predicted, truth, where=where)


def test_counts_do_not_stop_at_the_precision_of_float32():
    n = 2**24 + 3
    ones = jnp.ones((n, 1), bool)
    matrix = metrics.multilabel_confusion_matrix(ones, ones)
    assert matrix[0, 1, 1] == n
    assert matrix.dtype == jnp.int32


@pytest.mark.parametrize("case", [*CASES, "odd fractions"])
@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("named", [False, True])
def test_report_equals_scikit_learn(case, zero_division, named):
    predicted, truth = CASES.get(case) or sets(11, n=333, labels=23)
    names = [f"label number {i}" for i in range(truth.shape[1])] if named else None
    options = {"zero_division": zero_division, "digits": 3 if named else 2}
    expected = sk.classification_report(truth, predicted, target_names=names, **options)
    assert metrics.classification_report(predicted, truth, label_names=names, **options) == expected
    expected = sk.classification_report(
        truth, predicted, target_names=names, output_dict=True, **options
    )
    got = metrics.classification_report(
        predicted, truth, label_names=names, output_dict=True, **options
    )
    assert list(got) == list(expected)
    for name, row in expected.items():
        assert list(got[name]) == list(row)
        np.testing.assert_array_equal(list(got[name].values()), list(row.values()))


@pytest.mark.parametrize("n", [255, 256, 1024])
def test_report_counts_more_than_a_byte_holds(n):
    predicted, truth = sets(13, n=n)
    predicted[:, 0] = truth[:, 0] = True
    expected = sk.classification_report(truth, predicted, zero_division=0, digits=6)
    assert metrics.classification_report(predicted, truth, digits=6) == expected
    if n % 8 == 0:
        mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
        rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
        sharded = (jax.device_put(x, rows) for x in (predicted, truth))
        assert metrics.classification_report(*sharded, digits=6) == expected


def test_report_of_masked_data():
    predicted, truth = sets(12)
    keep = np.arange(40) % 4 > 0
    report = metrics.classification_report(predicted, truth, where=keep[:, None])
    assert report == sk.classification_report(truth[keep], predicted[keep], zero_division=0)
    with pytest.raises(ValueError, match="label_names must name each of the 7 labels"):
        metrics.classification_report(predicted, truth, label_names=["a"])


def test_any_number_may_replace_undefined_values():
    predicted, truth = CASES["nothing at all"]
    counts = metrics.streaming.ConfusionCounts.init(7).update(predicted, truth)
    for value in (0.5, np.float32(0.5), jnp.float32(0.5), -1):
        for name in RATIOS:
            assert getattr(metrics, name)(predicted, truth, zero_division=value) == value
            assert getattr(counts, name)(zero_division=value) == value
        report = metrics.classification_report(
            predicted, truth, zero_division=value, output_dict=True
        )
        assert report["samples avg"]["recall"] == value


@pytest.mark.parametrize("value", ["warn", None])
def test_a_zero_division_that_is_not_a_number_is_named(value):
    predicted, truth = sets()
    counts = metrics.streaming.ConfusionCounts.init(7)
    for function in (
        partial(metrics.f1, predicted, truth),
        partial(metrics.precision_at_k, np.ones((2, 3), np.float32), np.ones((2, 3)), 1),
        partial(metrics.classification_report, predicted, truth),
        counts.recall,
        counts.compute,
    ):
        with pytest.raises(TypeError, match=f"zero_division must be a number, got {value!r}"):
            function(zero_division=value)
    with pytest.raises(TypeError, match=f"beta must be a number, got {value!r}"):
        metrics.fbeta(predicted, truth, beta=value)


def test_under_jit_vmap_and_x64():
    predicted, truth = (jnp.asarray(a) for a in sets(13))
    expected = sk.f1_score(truth, predicted, average="macro", zero_division=0)
    compiled = jax.jit(lambda p, y: metrics.f1(p, y, average="macro"))
    np.testing.assert_allclose(compiled(predicted, truth), expected, rtol=1e-6)
    pair = jnp.stack([predicted, ~predicted])
    stacked = jax.vmap(lambda p: metrics.f1(p, truth))(pair)
    other = sk.f1_score(truth, ~np.asarray(predicted), average="macro", zero_division=0)
    np.testing.assert_allclose(stacked, [expected, other], rtol=1e-6)
    with jax.enable_x64(True):
        exact = metrics.f1(np.asarray(predicted), np.asarray(truth))
        assert exact.dtype == jnp.float64
        np.testing.assert_allclose(exact, expected, rtol=1e-14)


def test_bad_input_is_named():
    predicted, truth = sets()
    with pytest.raises(TypeError, match=r"predictions must be hard sets.*apply_thresholds"):
        metrics.f1(predicted.astype(np.float32), truth)
    with pytest.raises(ValueError, match="labels must have the shape of predictions"):
        metrics.f1(predicted, truth[:, :3])
    with pytest.raises(ValueError, match=r"predictions must have two axes.*got \(40,\)"):
        metrics.f1(predicted[:, 0], truth[:, 0])
    with pytest.raises(ValueError, match=r"average must be one of 'micro', .*got 'mean'"):
        metrics.f1(predicted, truth, average="mean")
    with pytest.raises(ValueError, match=r"weights must have one entry per sample: .*\(40,\)"):
        metrics.f1(predicted, truth, weights=np.ones(7))
    with pytest.raises(ValueError, match="beta must lie in"):
        metrics.fbeta(predicted, truth, beta=-1)
