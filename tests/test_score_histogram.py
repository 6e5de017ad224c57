"""Histograms of scores: bins, bounds against exact values and brute force, thresholds."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk
from streaming_inputs import AVERAGES, batch, empties

from mllosses_jax import decisions, metrics
from mllosses_jax.metrics import streaming
from mllosses_jax.metrics.streaming import _grid


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


@pytest.mark.parametrize("bins", [4, 6, 64, 1000, 1024])
@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_bins_are_those_of_the_edges(inputs, bins):
    edges = _grid.grid(bins, inputs).edges
    assert edges.shape == (bins - 1,)
    assert (np.diff(edges) >= 0).all()
    rng = np.random.default_rng(6)
    scores = rng.standard_normal(20000) * rng.choice([0.1, 3, 12], 20000)
    extremes = [0, 1e-30, 0.5, np.inf, -np.inf, 1e30, -1e30]
    low, high = np.float32(-100), np.float32(100)
    if inputs == "probabilities":
        scores = 1 / (1 + np.exp(-scores))
        extremes = [0, 1e-30, 0.5, 2**-24, 1 - 2**-24, 1]
        low, high = np.float32(0), np.float32(1)
    around = [edges, np.nextafter(edges, low), np.nextafter(edges, high)]
    scores = np.concatenate([scores.astype(np.float32), np.float32(extremes), *around])
    got = jax.jit(lambda s: _grid.bins_of(s, bins, inputs))(scores)
    # XLA's CPU backend treats subnormal logits as 0.
    scores = np.where(np.abs(scores) < np.finfo(np.float32).tiny, np.float32(0), scores)
    np.testing.assert_array_equal(got, np.searchsorted(edges, scores, side="right"))
    # Half of the edges lie at the quantiles of either scale, up to the resolution of keys.
    uniform = np.arange(1, bins // 2) / (bins // 2)
    wanted = uniform if inputs == "probabilities" else np.log(uniform / (1 - uniform))
    distance = np.abs(wanted[:, None] - edges).min(axis=1)
    assert distance.max() <= (0.5 if inputs == "probabilities" else 2) / bins


def exact_ap(scores, truth):
    """Computes the average precision of each label (L,) by definition: no sort, no bins."""
    at_least = scores[None] >= scores[:, None]
    precision = (at_least & truth[None]).sum(1) / at_least.sum(1)
    return (precision * truth).sum(0) / truth.sum(0)


def exact_auc(scores, truth):
    """Computes the area under the ROC curve of each label by counting pairs."""
    pairs = truth[:, None] & ~truth[None]
    wins = (scores[:, None] > scores[None]) + 0.5 * (scores[:, None] == scores[None])
    return (pairs * wins).sum((0, 1)) / pairs.sum((0, 1))


def test_bounds_hold_for_every_order_inside_bins():
    # All rankings with ties and all label sets of five samples, one per label. The three scores
    # lie in one bin, in two with the border on either side of the middle score, or in three.
    ranks = np.array(list(itertools.product(range(3), repeat=5)))
    sets = np.array(list(itertools.product([False, True], repeat=5)))[1:-1]
    which = np.repeat(ranks, len(sets), axis=0).T
    truth = np.tile(sets, (len(ranks), 1)).T
    seen = []
    for values in ([0.41, 0.42, 0.43], [0.2, 0.42, 0.43], [0.41, 0.42, 0.6], [0.2, 0.4, 0.6]):
        scores = np.array(values, np.float32)[which]
        state = streaming.ScoreHistogram.init(truth.shape[1], inputs="probabilities", bins=8)
        state = state.update(scores, truth)
        for exact, bounds in (
            (exact_ap(scores, truth), state.average_precision(average=None)),
            (exact_auc(scores, truth), state.roc_auc(average=None)),
        ):
            assert (bounds.lower <= exact).all()
            assert (exact <= bounds.upper).all()
            seen.append((np.min(exact - bounds.lower), np.min(bounds.upper - exact)))
    # No bound is wider than necessary: the extremes occur.
    assert np.max(seen) < 5e-5


def _adversarial(regime, rng, n, prevalence):
    truth = rng.random((n, len(prevalence))) < prevalence
    truth[0], truth[1] = True, False
    noise = rng.standard_normal(truth.shape)
    signal = {
        "flat": 0.05 * (noise + truth),
        "moderate": noise + 2 * truth - 2,
        "sharp": 12 * (noise + truth - 1),
        "rare": 2 * (noise + truth) + np.log(prevalence) - 4,
        "tied": (noise + truth).round(),
        "one bin, worst": np.where(truth, 1e-4, 2e-4) * (1 + rng.random(truth.shape)),
        "one bin, best": np.where(truth, 4e-4, 1e-4) * (1 + rng.random(truth.shape)),
        "one bin, ties on top": np.where(truth, 1e-3, 1e-4),
        "beyond the grid": 40 + 20 * noise + truth,
        "equal": np.zeros_like(noise),
    }[regime]
    return signal.astype(np.float32), truth


REGIMES = [
    *("flat", "moderate", "sharp", "rare", "tied", "one bin, worst", "one bin, best"),
    *("one bin, ties on top", "beyond the grid", "equal"),
]


@pytest.mark.parametrize("bins", [8, 64])
@pytest.mark.parametrize("regime", REGIMES)
def test_bounds_contain_the_exact_values(regime, bins):
    prevalence = np.geomspace(0.5, 0.005, 5)
    for seed in range(3):
        logits, truth = _adversarial(regime, np.random.default_rng(seed), 200, prevalence)
        probabilities = np.asarray(jax.nn.sigmoid(logits))
        for inputs, scores in (("logits", logits), ("probabilities", probabilities)):
            state = streaming.ScoreHistogram.init(5, inputs=inputs, bins=bins)
            state = state.update(scores, truth)
            wide = scores.astype(np.float64)
            for average in AVERAGES:
                exact = {
                    "average_precision": sk.average_precision_score(truth, wide, average=average),
                    "roc_auc": sk.roc_auc_score(truth, wide, average=average),
                }
                for name, bounds in state.compute(average=average).items():
                    assert np.all(bounds.lower <= exact[name]), (name, average, inputs)
                    assert np.all(exact[name] <= bounds.upper), (name, average, inputs)
                    middle = (bounds.lower + bounds.upper) / 2
                    np.testing.assert_allclose(bounds.estimate, middle, atol=2e-5)


@pytest.mark.parametrize("scale", [0.4, 1.5, 4.0])  # flat, moderate, sharp
def test_bounds_are_narrow(scale):
    rng = np.random.default_rng(0)
    truth = rng.random((5000, 6)) < np.geomspace(0.2, 0.02, 6)
    scores = (scale * (rng.standard_normal(truth.shape) + 1.5 * truth - 2)).astype(np.float32)
    state = streaming.ScoreHistogram.init(6, inputs="logits").update(scores, truth)
    for bounds in state.compute().values():
        assert bounds.upper - bounds.lower < 0.02
    error = state.average_precision().estimate - sk.average_precision_score(truth, scores)
    assert abs(error) < 0.002


def test_bounds_of_huge_counts():
    # 2³⁰ entries per label, which float32 cannot count exactly; micro counts exceed 2³¹.
    scores, truth = _adversarial("moderate", np.random.default_rng(0), 1024, np.full(5, 0.1))
    state = empties()["scores"].update(scores, truth)
    large = jax.tree.map(lambda x: x * 2**20, state)
    for average in AVERAGES:
        # Every score occurs 2²⁰ times; these ties change neither value.
        exact = sk.average_precision_score(truth, scores, average=average)
        bounds = large.average_precision(average=average)
        assert np.all((bounds.lower <= exact) & (exact <= bounds.upper))
        exact = sk.roc_auc_score(truth, scores, average=average)
        bounds = large.roc_auc(average=average)
        assert np.all((bounds.lower <= exact) & (exact <= bounds.upper))
    assert (bounds.lower > 0).all()


@pytest.mark.parametrize("undefined", ["skip", "nan", "zero"])
@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
def test_undefined_labels_follow_the_exact_functions(name, undefined):
    scores, truth = batch()
    truth[:, 3] = False
    where = np.ones_like(truth)
    where[:, 1] = False
    state = empties()["scores"].update(scores, truth, where=where)
    for average in AVERAGES:
        options = {"average": average, "undefined": undefined}
        exact = np.asarray(getattr(metrics, name)(scores, truth, where=where, **options))
        bounds = getattr(state, name)(**options)
        for value in bounds:
            np.testing.assert_array_equal(np.isnan(value), np.isnan(exact))
        inside = (bounds.lower <= exact) & (exact <= bounds.upper)
        assert np.all(inside | np.isnan(exact))
    assert np.isnan(empties()["scores"].roc_auc().estimate)


def test_invalid_scores_are_never_hidden():
    scores, truth = batch()
    scores[3, 2] = np.nan
    state = empties()["scores"].update(scores, truth)
    np.testing.assert_array_equal(state.invalid, [0, 0, 1, 0, 0])
    assert state.counts.sum() == truth.size - 1
    for bounds in state.compute(average=None).values():
        np.testing.assert_array_equal(np.isnan(bounds.estimate), np.arange(5) == 2)
    for average in ("macro", "micro", "weighted"):
        assert np.isnan(state.average_precision(average=average).lower)
    np.testing.assert_array_equal(np.isnan(state.best_thresholds()), np.arange(5) == 2)
    assert np.isnan(state.best_thresholds(scope="global"))
    curve = state.precision_recall_curve()
    assert np.isnan(curve.precision[2]).all()
    assert np.isfinite(curve.recall[1]).all()
    # Logits passed by mistake raise an error where values can be checked, else give NaN.
    state = streaming.ScoreHistogram.init(1, inputs="probabilities")
    wrong, labels = np.array([[0.5], [1.5]], np.float32), np.array([[1], [0]])
    with pytest.raises(ValueError, match=r"scores must lie in \[0, 1\].*to 1.5"):
        state.update(wrong, labels)
    after = state.update(jnp.asarray(wrong), labels)
    np.testing.assert_array_equal(after.invalid, [1])
    assert np.isnan(after.roc_auc().upper)
    fine = state.update(wrong, labels, where=np.array([[True], [False]]))
    assert fine.invalid == 0


@pytest.mark.parametrize("inputs", ["logits", "probabilities"])
def test_thresholds_of_bins_are_exact(inputs):
    scores, truth = batch(200)
    scores = scores if inputs == "logits" else np.asarray(jax.nn.sigmoid(scores))
    state = streaming.ScoreHistogram.init(5, inputs=inputs, bins=64).update(scores, truth)
    curve = state.precision_recall_curve()
    thresholds = np.asarray(curve.thresholds)
    chosen = scores[None] >= thresholds[:, None, None]
    hits, predicted = (chosen & truth).sum(1).T, chosen.sum(1).T
    expected = np.where(predicted == 0, 1, hits / np.maximum(predicted, 1))
    np.testing.assert_allclose(curve.precision, expected, rtol=1e-6)
    np.testing.assert_allclose(curve.recall, hits / truth.sum(0)[:, None], rtol=1e-6)
    best = state.best_thresholds()
    f1 = metrics.f1(decisions.apply_thresholds(scores, best), truth, average=None)
    all_f1 = 2 * hits / (predicted + truth.sum(0)[:, None])
    np.testing.assert_allclose(f1, all_f1.max(1), rtol=1e-6)
    for label in range(5):
        ties = np.flatnonzero(np.isclose(all_f1[label], all_f1[label].max(), rtol=1e-9))
        assert best[label] == thresholds[ties[-1]]
    overall = state.best_thresholds(scope="global", beta=2)
    by_hand = 5 * hits.sum(0) / (predicted.sum(0) + 4 * truth.sum())
    assert overall == thresholds[len(by_hand) - 1 - np.argmax(by_hand[::-1])]


def test_negative_zero_is_the_lowest_probability():
    scores, truth = np.float32([[-0.0], [0.0], [0.3], [0.9]]), np.array([[0], [0], [1], [1]])
    histogram = streaming.ScoreHistogram.init(1, inputs="probabilities").update(scores, truth)
    np.testing.assert_array_equal(histogram.counts[0, 0], [2, 0])
    assert sk.roc_auc_score(truth, scores) == 1
    assert histogram.roc_auc().upper == 1


def test_update_holds_no_array_of_samples_times_bins():
    state = streaming.ScoreHistogram.init(80, inputs="logits")
    program = jax.jit(lambda s, x, y: s.update(x, y), donate_argnums=0)
    shape = (1024, 80)
    compiled = program.lower(
        state, jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape, jnp.bool_)
    ).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 16 * shape[0] * shape[1]
