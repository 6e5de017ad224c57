"""Sets of k labels for macro measures, against an exhaustive search."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import decisions

MEASURES = [
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "macro_jaccard",
    "macro_balanced_accuracy",
]


def ratio(a, b):
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=np.asarray(b) > 0)


def macro(measure, hits, predicted, actual, cells):
    """Computes the measure of counts (..., L) from the four cells of each confusion matrix."""
    tp, fp, fn = hits, predicted - hits, actual - hits
    tn = cells - tp - fp - fn
    values = {
        "macro_f1": lambda: ratio(2 * tp, 2 * tp + fp + fn),
        "macro_precision": lambda: tp / np.maximum(tp + fp, 1),  # counts may be expectations
        "macro_recall": lambda: ratio(tp, tp + fn),
        "macro_jaccard": lambda: ratio(tp, tp + fp + fn),
        "macro_balanced_accuracy": lambda: (ratio(tp, tp + fn) + ratio(tn, tn + fp)) / 2,
    }[measure]()
    return values.mean(-1)


def worth(measure, p, sets, keep=None):
    """Computes the measure of the expected counts of sets (..., N, L)."""
    keep = np.ones(p.shape, bool) if keep is None else keep
    p = np.where(keep, p, 0).astype(np.float64)
    return macro(measure, (sets * p).sum(-2), sets.sum(-2), p.sum(0), keep.sum(0))


def tail(seed, n=60, labels=8):
    """Returns the probabilities of frequent and rare labels."""
    rng = np.random.default_rng(seed)
    odds = np.linspace(1, -3, labels) + rng.standard_normal((n, labels))
    return (1 / (1 + np.exp(-odds))).astype(np.float32)


def sets_of_size(labels, k):
    rows = []
    for members in itertools.combinations(range(labels), k):
        rows.append(np.isin(np.arange(labels), members))
    return np.array(rows)


@pytest.mark.parametrize("measure", MEASURES)
def test_block_coordinate_reaches_a_coordinate_wise_optimum(measure):
    p = tail(0)
    found = np.asarray(decisions.block_coordinate_sets(p, 2, measure=measure, tolerance=0.0))
    np.testing.assert_array_equal(found.sum(1), 2)
    value = worth(measure, p, found)
    start = worth(measure, p, np.asarray(decisions.top_k(p, 2)))
    assert value > start + 0.01 or measure == "macro_balanced_accuracy"
    assert value >= start
    for row in range(len(p)):
        for other in sets_of_size(8, 2):
            changed = found.copy()
            changed[row] = other
            assert worth(measure, p, changed) <= value + 1e-6


@pytest.mark.parametrize("measure", MEASURES)
def test_block_coordinate_against_all_sets(measure):
    options = sets_of_size(3, 1)
    everything = options[np.array(list(itertools.product(range(3), repeat=6)))]
    reached = 0
    for seed in range(12):
        p = tail(seed, 6, 3)
        best = worth(measure, p, everything).max()
        found = worth(
            measure, p, np.asarray(decisions.block_coordinate_sets(p, 1, measure=measure))
        )
        assert found <= best + 1e-6
        assert found >= worth(measure, p, np.asarray(decisions.top_k(p, 1))) - 1e-6
        reached += found > best - 1e-5
    assert reached >= 6  # a local optimum, which is mostly the global one


def test_passes_never_lose():
    p = tail(1)
    values = [worth("macro_f1", p, np.asarray(decisions.top_k(p, 3)))]
    for passes in (1, 2, 3, 10):
        found = decisions.block_coordinate_sets(p, 3, max_passes=passes)
        values.append(worth("macro_f1", p, np.asarray(found)))
    assert values[1] > values[0]
    assert np.all(np.diff(values) >= -1e-7)
    again = decisions.block_coordinate_sets(p, 3, max_passes=10)
    np.testing.assert_array_equal(again, found)
    under = jax.jit(lambda q: decisions.block_coordinate_sets(q, 3, max_passes=10))(p)
    np.testing.assert_array_equal(under, found)


def test_block_coordinate_of_masked_entries():
    p = tail(2, 30, 6)
    keep = np.random.default_rng(3).random(p.shape) < 0.6
    keep[0] = False
    keep[1] = [True, False, False, False, False, False]
    p[2, 0], keep[2, 0] = np.nan, True
    given = np.where(keep, p, np.nan)
    found = np.asarray(
        decisions.block_coordinate_sets(given, 2, measure="macro_balanced_accuracy", where=keep)
    )
    able = keep & ~np.isnan(p)
    assert not np.any(found & ~able)
    np.testing.assert_array_equal(found.sum(1), np.minimum(able.sum(1), 2))
    start = np.asarray(decisions.top_k(given, 2)) & able
    args = np.nan_to_num(p), found, able
    assert worth("macro_balanced_accuracy", *args) >= worth(
        "macro_balanced_accuracy", args[0], start, able
    )


def mixture_worth(measure, rule, p, y, k):
    """Computes the measure of the mean counts of a randomised rule."""
    hits = predicted = 0.0
    for slope, offset, share in zip(rule.slopes, rule.offsets, rule.shares, strict=True):
        sets = np.asarray(decisions.top_k(np.asarray(slope) * p + np.asarray(offset), k))
        hits = hits + float(share) * (sets & y).sum(0)
        predicted = predicted + float(share) * sets.sum(0)
    return macro(measure, hits, predicted, y.sum(0), len(y))


@pytest.mark.parametrize("measure", MEASURES)
def test_frank_wolfe_gains_on_its_data(measure):
    p = tail(4, 200)
    y = np.random.default_rng(5).random(p.shape) < p
    rule = decisions.fit_frank_wolfe(p, y, 2, measure=measure, iterations=10)
    assert rule.slopes.shape == rule.offsets.shape == (11, 8)
    np.testing.assert_allclose(np.sum(rule.shares), 1, rtol=1e-6)
    assert np.all(np.asarray(rule.shares) >= 0)
    start = np.asarray(decisions.top_k(p, 2))
    before = macro(measure, (start & y).sum(0), start.sum(0), y.sum(0), len(y))
    after = mixture_worth(measure, rule, p, y, 2)
    assert after > before + 0.005
    fewer = decisions.fit_frank_wolfe(p, y, 2, measure=measure, iterations=2)
    assert before <= mixture_worth(measure, fewer, p, y, 2) <= after + 1e-6
    np.testing.assert_array_equal(fewer.slopes, rule.slopes[:3])


def test_drawn_sets_are_as_precise_as_the_top_k():
    """A label that is predicted a hundredth of the time must not pass for a precise one."""
    rng = np.random.default_rng(2)
    prevalence = np.geomspace(0.5, 0.01, 12)
    logits = 1.5 * rng.normal(size=(200, 12)) + np.log(prevalence / (1 - prevalence))
    p = (1 / (1 + np.exp(-logits))).astype(np.float32)
    y = rng.random(p.shape) < p
    rule = decisions.fit_frank_wolfe(p, y, 3, measure="macro_precision")

    def precision(sets):
        hits, predicted = (np.asarray(sets) & y).sum(0), np.asarray(sets).sum(0)
        return macro("macro_precision", hits, predicted, y.sum(0), len(y))

    drawn = [precision(rule.sets(p, jax.random.key(i))) for i in range(20)]
    assert np.mean(drawn) > precision(decisions.top_k(p, 3))


def test_frank_wolfe_of_a_linear_measure_is_one_step():
    """Macro recall is linear: the best sets hold the labels with the highest p / positives."""
    p = tail(6, 200)
    y = np.random.default_rng(7).random(p.shape) < p
    rule = decisions.fit_frank_wolfe(p, y, 2, measure="macro_recall", iterations=5)
    np.testing.assert_array_equal(rule.shares[1], 1)
    best = decisions.top_k(p / y.sum(0).astype(np.float32), 2)
    np.testing.assert_array_equal(rule.sets(p, jax.random.key(0)), best)


def test_randomised_sets_follow_their_shares():
    k = 1
    slopes = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    rule = decisions.RandomizedTopK(slopes, jnp.zeros((2, 2)), jnp.array([0.25, 0.75]), k)
    p = jnp.full((20_000, 2), 0.5)
    sets = rule.sets(p, jax.random.key(1))
    np.testing.assert_array_equal(sets.sum(1), 1)
    np.testing.assert_allclose(sets.mean(0, dtype=jnp.float32), [0.25, 0.75], atol=0.02)
    np.testing.assert_array_equal(rule.sets(p, jax.random.key(1)), sets)
    np.testing.assert_array_equal(jax.jit(lambda r, q: r.sets(q, jax.random.key(1)))(rule, p), sets)


def test_frank_wolfe_of_masked_entries():
    p = tail(8, 100)
    rng = np.random.default_rng(9)
    y, keep = rng.random(p.shape) < p, rng.random(p.shape) < 0.8
    keep[:20] = False
    given = np.where(keep, p, np.nan), np.where(keep, y, np.nan).astype(np.float32)
    rule = decisions.fit_frank_wolfe(*given, 2, iterations=5, where=keep)
    shorter = decisions.fit_frank_wolfe(
        given[0][20:], given[1][20:], 2, iterations=5, where=keep[20:]
    )
    np.testing.assert_allclose(rule.slopes, shorter.slopes, rtol=1e-5)
    sets = rule.sets(given[0], jax.random.key(2), where=keep)
    assert not np.any(sets & ~keep)


def test_bad_input_is_named():
    p = tail(10, 4, 3)
    with pytest.raises(ValueError, match="measure must be one of 'macro_f1'"):
        decisions.block_coordinate_sets(p, 1, measure="f1")
    with pytest.raises(ValueError, match="k must be between 1 and the number of labels, 3, got 4"):
        decisions.block_coordinate_sets(p, 4)
    with pytest.raises(ValueError, match="probabilities must have two axes"):
        decisions.block_coordinate_sets(p[0], 1)
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\], got values from"):
        decisions.fit_frank_wolfe(p * 9, p > 0, 1)
    with pytest.raises(ValueError, match="labels must have the shape of probabilities"):
        decisions.fit_frank_wolfe(p, p[:2] > 0, 1)
    with pytest.raises(TypeError, match="probabilities must be a floating-point array"):
        decisions.fit_frank_wolfe(p > 0, p > 0, 1)
    with pytest.raises(TypeError, match="iterations must be a Python integer, got"):
        decisions.fit_frank_wolfe(p, p > 0, 1, iterations=2.5)
    with pytest.raises(ValueError, match="iterations must be at least 0, got -1"):
        decisions.fit_frank_wolfe(p, p > 0, 1, iterations=-1)
    with pytest.raises(TypeError, match="max_passes must be a Python integer, got"):
        decisions.block_coordinate_sets(p, 1, max_passes=2.5)
    rule = decisions.fit_frank_wolfe(p, p > 0, 1, iterations=1)
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\], got values from"):
        rule.sets(p * 9, jax.random.key(0))
    with pytest.raises(ValueError, match="probabilities must have the 3 labels of the rule"):
        rule.sets(p[:, :2], jax.random.key(0))
