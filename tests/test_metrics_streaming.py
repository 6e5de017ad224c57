"""Accumulators, against scikit-learn and brute force on all data at once."""

import dataclasses
import warnings
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from sklearn import metrics as sk
from streaming_inputs import AVERAGES, SAMPLE_METRICS, SET_METRICS, batch, empties, update

from mllosses_jax import metrics
from mllosses_jax.metrics import streaming
from mllosses_jax.metrics.streaming import _exact_sum


def merged(first, second):
    return {name: first[name].merge(second[name]) for name in first}


def assert_same(first, second):
    for name, state in first.items():
        for mine, theirs in zip(
            jax.tree.leaves(_normal(state)), jax.tree.leaves(_normal(second[name])), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)


def _normal(state):
    if isinstance(state, streaming.SampleMeans):
        return dataclasses.replace(state, digits=_exact_sum.carried(state.digits))
    return state


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


@pytest.fixture(scope="module")
def whole():
    return update(empties(), *batch())


@pytest.mark.parametrize("masked", [False, True])
def test_splits_and_merges_equal_the_whole(masked):
    scores, truth = batch()
    where = np.random.default_rng(3).random(truth.shape) < 0.7 if masked else np.ones_like(truth)
    where[7] = not masked
    scores = np.where(where | (scores > 1), scores, np.nan)  # some masked scores are not NaN
    expected = update(empties(), scores, truth, where)
    parts = [
        update(empties(), scores[i : i + 24], truth[i : i + 24], where[i : i + 24])
        for i in range(0, 96, 24)
    ]
    chain = empties()
    for i in (48, 0, 72, 24):
        chain = update(chain, scores[i : i + 24], truth[i : i + 24], where[i : i + 24])
    assert_same(chain, expected)
    a, b, c, d = parts
    assert_same(merged(merged(d, a), merged(c, b)), expected)
    assert_same(merged(a, merged(empties(), merged(merged(c, d), b))), expected)
    assert int(expected["scores"].counts.sum()) == where.sum()


def test_devices_add_up_to_the_whole(whole):
    mesh = Mesh(np.array(jax.devices()), "batch")
    assert mesh.size == 8
    scores, truth = batch()
    args = jax.device_put((scores, truth), NamedSharding(mesh, P("batch")))

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("batch"), P("batch")), out_specs=P())
    def mapped(states, scores, labels):
        new = jax.lax.psum(update(empties(), scores, labels), "batch")
        return merged(states, new)

    assert_same(mapped(empties(), *args), whole)
    assert_same(mapped(whole, *args), merged(whole, whole))
    sharded = jax.jit(update, donate_argnums=0)
    assert_same(sharded(empties(), *args), whole)
    auto = jax.jit(update, in_shardings=(None, *[NamedSharding(mesh, P("batch"))] * 2))
    assert_same(auto(empties(), scores, truth), whole)
    explicit = Mesh(np.array(jax.devices()), "batch", axis_types=(AxisType.Explicit,))
    with jax.set_mesh(explicit):
        args = jax.device_put((scores, truth), NamedSharding(explicit, P("batch")))
        assert_same(jax.jit(update)(empties(), *args), whole)
    # Here only the arrays know the mesh.
    fresh = jax.jit(lambda *args: update(empties(), *args))(*args)
    assert_same(fresh, whole)
    assert_same(update(empties(), *args), whole)
    assert_same(update(fresh, *args), merged(whole, whole))


def test_states_under_scan(whole):
    scores, truth = batch()
    batches = scores.reshape(4, 24, 5), truth.reshape(4, 24, 5)
    states, _ = jax.lax.scan(lambda s, b: (update(s, *b), None), empties(), batches)
    assert_same(states, whole)
    jitted = jax.jit(lambda s: {name: state.compute() for name, state in s.items()})(states)
    eager = {name: state.compute() for name, state in whole.items()}
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), jitted, eager)


@pytest.mark.parametrize("average", AVERAGES)
def test_counts_match_scikit_learn(average, whole):
    scores, truth = batch()
    counts, chosen = whole["counts"], scores > 0
    for name in ("precision", "recall", "f1", "jaccard"):
        peer = getattr(sk, f"{name}_score")
        expected = peer(truth, chosen, average=average, zero_division=0)
        np.testing.assert_allclose(getattr(counts, name)(average=average), expected, rtol=1e-6)
    expected = sk.fbeta_score(truth, chosen, beta=2, average=average)
    np.testing.assert_allclose(counts.fbeta(beta=2, average=average), expected, rtol=1e-6)
    if average != "weighted":  # the peer weights by the number of negatives
        expected = sk.recall_score(~truth, ~chosen, average=average)
        np.testing.assert_allclose(counts.specificity(average=average), expected, rtol=1e-6)
        expected = sk.precision_score(~truth, ~chosen, average=average)
        np.testing.assert_allclose(
            counts.negative_predictive_value(average=average), expected, rtol=1e-6
        )
    of_negatives, of_positives = (
        sk.recall_score(y, p, average=None) for y, p in ((~truth, ~chosen), (truth, chosen))
    )
    product, total = of_negatives * of_positives, of_negatives + of_positives
    np.testing.assert_allclose(counts.g_mean(average=None), np.sqrt(product), rtol=1e-6)
    np.testing.assert_allclose(counts.h_mean(average=None), 2 * product / total, rtol=1e-6)


@pytest.mark.parametrize("name", ["balanced_accuracy", "matthews_corrcoef", "cohen_kappa"])
def test_agreement_matches_scikit_learn(name, whole):
    scores, truth = batch()
    counts, chosen = whole["counts"], scores > 0
    peer = getattr(sk, {"cohen_kappa": "cohen_kappa_score"}.get(name, name), None)
    peer = peer or sk.balanced_accuracy_score
    ours = getattr(counts, name)
    expected = [peer(y, p) for y, p in zip(truth.T, chosen.T, strict=True)]
    np.testing.assert_allclose(ours(average=None), expected, rtol=1e-5)
    np.testing.assert_allclose(ours(), np.mean(expected), rtol=1e-5)
    weighted = np.average(expected, weights=truth.sum(0))
    np.testing.assert_allclose(ours(average="weighted"), weighted, rtol=1e-5)
    np.testing.assert_allclose(
        ours(average="micro"), peer(truth.ravel(), chosen.ravel()), rtol=1e-5
    )
    nothing = streaming.ConfusionCounts.init(2).update(np.zeros((3, 2), int), np.zeros((3, 2)))
    undefined = getattr(nothing, name)
    assert undefined(zero_division=0.25) == (0.625 if name == "balanced_accuracy" else 0.25)
    assert undefined() == (1 if name == "balanced_accuracy" else 0)


def test_counts_of_everything(whole):
    scores, truth = batch()
    counts, chosen = whole["counts"], scores > 0
    np.testing.assert_allclose(counts.hamming_loss(), sk.hamming_loss(truth, chosen), rtol=1e-6)
    expected = sk.multilabel_confusion_matrix(truth, chosen)
    np.testing.assert_array_equal(counts.confusion_matrix(), expected)
    assert set(counts.compute()) == {
        *("precision", "recall", "f1", "jaccard", "specificity", "hamming_loss")
    }
    for zero_division in (0, 1, np.nan):
        empty = streaming.ConfusionCounts.init(2).update(np.zeros((3, 2), int), np.ones((3, 2)))
        got = empty.precision(average=None, zero_division=zero_division)
        np.testing.assert_array_equal(got, [zero_division] * 2)
    assert np.isnan(streaming.ConfusionCounts.init(2).compute()["hamming_loss"])


def test_counts_do_not_stop_at_a_power_of_two():
    ones = np.ones((3, 2), bool)
    state = streaming.ConfusionCounts.init(2).update(ones, ones)
    large = jax.tree.map(lambda x: x * 2**29, state)  # each count is 3·2²⁹
    after = large.update(ones, np.array([[1, 0], [1, 0], [0, 0]]))
    np.testing.assert_array_equal(after.tp, [3 * 2**29 + 2, 3 * 2**29])
    np.testing.assert_array_equal(after.entries, 3 * 2**29 + 3)
    # Totals over both labels pass 2³¹.
    assert after.f1(average="micro") == 1
    assert np.isclose(after.hamming_loss(), 4 / (6 * 2**29), rtol=1e-6, atol=0)
    assert after.jaccard() == 1
    histogram = streaming.ScoreHistogram.init(1, inputs="logits", bins=4)
    histogram = histogram.update(np.zeros((1, 1), np.float32), np.ones((1, 1)))
    histogram = jax.tree.map(lambda x: x * 2**24, histogram)
    histogram = histogram.update(np.zeros((1, 1), np.float32), np.ones((1, 1)))
    assert histogram.counts.max() == 2**24 + 1


def test_means_of_samples_match_peers():
    scores, truth = batch()
    of_scores, of_sets = (
        streaming.SampleMeans.init(**functions) for functions in (SAMPLE_METRICS, SET_METRICS)
    )
    for part in (slice(0, 48), slice(48, 96)):
        of_scores = of_scores.update(scores[part], truth[part])
        of_sets = of_sets.update(scores[part] > 0, truth[part])
    got = of_scores.compute() | of_sets.compute()
    expected = {
        "lrap": sk.label_ranking_average_precision_score(truth, scores),
        "ranking_loss": sk.label_ranking_loss(truth, scores),
        "coverage": sk.coverage_error(truth, scores),
        "ap": sk.average_precision_score(truth, scores, average="samples"),
        "f1": sk.f1_score(truth, scores > 0, average="samples", zero_division=1),
        "subset_accuracy": sk.accuracy_score(truth, scores > 0),
    }
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(truth, order, axis=1)
    expected |= {"one_error": 1 - ranked[:, 0].mean(), "p_at_2": ranked[:, :2].mean()}
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6, err_msg=name)


def test_means_of_samples_with_masks_and_nan():
    scores, truth = batch()
    where = np.random.default_rng(4).random(truth.shape) < 0.6
    where[9] = False
    broken = np.where(where, scores, np.nan)
    state = streaming.SampleMeans.init(lrap=SAMPLE_METRICS["lrap"], coverage=metrics.coverage_error)
    got = state.update(broken, truth, where=where).compute()
    rows = np.flatnonzero(where.any(1))
    lrap, coverage = [], []
    for i in rows:
        s, y = scores[i, where[i]], truth[i, where[i]]
        at_least = s[None, :] >= s[:, None]
        lrap.append(np.mean((at_least & y).sum(1)[y] / at_least.sum(1)[y]) if y.any() else 1.0)
        coverage.append((s >= s[y].min()).sum() if y.any() else 0)
    np.testing.assert_allclose(got["lrap"], np.mean(lrap), rtol=1e-6)
    np.testing.assert_allclose(got["coverage"], np.mean(coverage), rtol=1e-6)
    spoiled = state.update(np.where(np.arange(5) == 1, np.nan, scores), truth)
    assert all(np.isnan(value) for value in spoiled.update(scores, truth).compute().values())
    assert all(np.isnan(value) for value in state.compute().values())
    # A row on which a metric is undefined is left out, as by the function on the whole data.
    ap = streaming.SampleMeans.init(ap=partial(metrics.average_precision, average="samples"))
    some = truth.any(1)
    expected = sk.average_precision_score(truth[some], scores[some], average="samples")
    np.testing.assert_allclose(ap.update(scores, truth).compute()["ap"], expected, rtol=1e-6)


def test_means_of_infinite_samples_are_infinite():
    def signed(scores, labels, *, where):
        return jnp.sum(scores, where=where)

    means = streaming.SampleMeans.init(
        loss=partial(metrics.binary_log_loss, inputs="logits", average="samples"), signed=signed
    )
    finite = np.float32([[1, -2], [3, 0.5]])
    labels = np.array([[1, 0], [0, 1]])
    one, other = means.update(finite, labels), means.update(np.float32([[-3e38, 0]]), labels[:1])
    total = one.merge(other).compute()
    assert total["loss"] == np.inf  # a sample of 2^31 or more counts as infinite
    assert total["signed"] == -np.inf
    both = other.merge(means.update(np.float32([[3e38, 0]]), labels[:1])).compute()
    assert np.isnan(both["signed"])
    assert np.isfinite(one.compute()["loss"])


def test_means_of_invalid_probabilities_are_nan():
    score = partial(metrics.brier_score, inputs="probabilities", average="samples")
    means = streaming.SampleMeans.init(brier=score)
    p, labels = np.float32([[0.25, 1.5], [0.5, 0.5]]), np.array([[1, 0], [0, 1]])
    assert np.isnan(means.update(p, labels).compute()["brier"])
    masked = means.update(p, labels, where=p <= 1).compute()["brier"]
    np.testing.assert_allclose(masked, (0.75**2 + 0.25) / 2)


def test_sums_of_samples_are_exact():
    rng = np.random.default_rng(5)
    fractions = np.maximum(rng.random(1000) ** 3, 2**-16).astype(np.float32)
    values = np.concatenate([fractions, np.float32([0, 1, 70000.25, 2**31 - 128])])
    digits = np.asarray(_exact_sum.sum_digits(jnp.asarray(values)), object)

    def number(digits):
        return sum(Fraction(int(d)) * Fraction(256) ** (2 - i) for i, d in enumerate(digits))

    terms = [Fraction(float(v)) for v in values]
    assert all(term * 2**40 % 1 == 0 for term in terms)
    assert number(digits) == sum(terms)
    small = np.full(3, 2.0**-41, np.float32)
    assert number(np.asarray(_exact_sum.sum_digits(jnp.asarray(small)))) == 0
    # Of 2²⁵ samples of 1/3 and one of 1, a float32 total would lose the last.
    third = _exact_sum.sum_digits(jnp.full(2**10, 1 / 3, jnp.float32))
    for _ in range(15):
        third = _exact_sum.carried(third + third)
    with_one = _exact_sum.carried(third + _exact_sum.sum_digits(jnp.ones(1, jnp.float32)))
    assert number(np.asarray(with_one)) == 2**25 * Fraction(float(np.float32(1 / 3))) + 1
    np.testing.assert_allclose(_exact_sum.total(with_one), 2**25 / 3 + 1, rtol=1e-6)


def test_under_x64_and_with_narrow_scores(whole):
    scores, truth = batch()
    narrow = jnp.asarray(scores, jnp.bfloat16)
    state = empties()["scores"]
    wide = state.update(narrow.astype(jnp.float32), truth)
    np.testing.assert_array_equal(state.update(narrow, truth).counts, wide.counts)
    with jax.enable_x64(True):
        states = {
            name: empties()[name].update(scores.astype(np.float64), truth)
            for name in ("scores", "samples")
        }
        assert states["scores"].counts.dtype == jnp.int32
        assert states["samples"].digits.dtype == jnp.int32
        np.testing.assert_array_equal(states["scores"].counts, whole["scores"].counts)
        bounds = states["scores"].average_precision()
        assert bounds.lower.dtype == jnp.float64
        exact = sk.average_precision_score(truth, scores)
        assert bounds.lower <= exact <= bounds.upper
        got = states["samples"].compute()["lrap"]
        exact = sk.label_ranking_average_precision_score(truth, scores)
        np.testing.assert_allclose(got, exact, rtol=1e-11)


def test_bad_input_is_named(whole):
    scores, truth = batch()
    counts, histogram, means = (whole[name] for name in ("counts", "scores", "samples"))
    with pytest.raises(TypeError, match="predictions must be hard sets"):
        counts.update(scores, truth)
    with pytest.raises(ValueError, match=r"labels of the accumulator: expected \(N, 5\), got"):
        counts.update(truth[:, :3], truth[:, :3])
    with pytest.raises(ValueError, match=r"scores must have the labels of the accumulator"):
        histogram.update(scores[:, :3], truth[:, :3])
    with pytest.raises(ValueError, match="average must be one of"):
        counts.f1(average="samples")
    with pytest.raises(TypeError, match="zero_division must be a number, got 'nan'"):
        counts.f1(zero_division="nan")
    with pytest.raises(ValueError, match="beta must be 0 or more, got -1"):
        counts.fbeta(beta=-1)
    with pytest.raises(ValueError, match="average must be one of"):
        histogram.roc_auc(average="samples")
    with pytest.raises(ValueError, match="undefined must be one of 'skip', 'nan', 'zero'"):
        histogram.average_precision(undefined="drop")
    with pytest.raises(ValueError, match="scope must be one of"):
        histogram.best_thresholds(scope="macro")
    with pytest.raises(ValueError, match="num_labels must be a positive integer, got 0"):
        streaming.ConfusionCounts.init(0)
    with pytest.raises(ValueError, match="inputs must be one of 'logits', 'probabilities'"):
        streaming.ScoreHistogram.init(5, inputs="scores")
    with pytest.raises(ValueError, match="bins must be an even integer from 4 to 65536, got 7"):
        streaming.ScoreHistogram.init(5, inputs="logits", bins=7)
    with pytest.raises(ValueError, match=r"num_labels \* \(bins \+ 1\) must be less than 2\^30"):
        streaming.ScoreHistogram.init(2**20, inputs="logits")
    with pytest.raises(TypeError, match="where must be a bool array"):
        histogram.update(scores, truth, where=np.ones(truth.shape))
    with pytest.raises(ValueError, match="other must be an accumulator like this one"):
        histogram.merge(streaming.ScoreHistogram.init(5, inputs="probabilities", bins=64))
    with pytest.raises(ValueError, match="other must be an accumulator like this one"):
        counts.merge(streaming.ConfusionCounts.init(1))
    with pytest.raises(ValueError, match="metrics must hold at least one function"):
        streaming.SampleMeans.init()
    with pytest.raises(TypeError, match="loss must be a function, got float"):
        streaming.SampleMeans.init(loss=0.5)
    with pytest.raises(TypeError, match="fix its options by keyword"):
        streaming.SampleMeans.init(f=partial(metrics.f1, 1))
    with pytest.raises(TypeError, match="options that can be hashed"):
        streaming.SampleMeans.init(f=partial(metrics.f1, weights=np.ones(3)))
    with pytest.raises(ValueError, match='cannot have undefined="nan"'):
        streaming.SampleMeans.init(f=partial(metrics.average_precision, undefined="nan"))
    with pytest.raises(TypeError, match="predictions must be hard sets"):
        whole["sets"].update(scores, truth)
    with pytest.raises(ValueError, match="labels must have the shape"):
        means.update(scores, truth[:5])


def test_histograms_refuse_labels_of_numpy_that_are_nan_and_count():
    scores, truth = batch()
    truth = truth.astype(np.float32)
    truth[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"labels must be known where they count, .*\(3, 1\)"):
        empties()["scores"].update(scores, truth)
    empties()["scores"].update(scores, truth, where=~np.isnan(truth))
