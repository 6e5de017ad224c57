"""Constrained, shrunk, proportional and plug-in thresholds, each against a search in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from mllosses_jax import decisions

N, L = 50, 6


def problem(case, seed):
    """Returns scores and truth: label 0 is never true, label 1 rarely; no score is masked."""
    rng = np.random.default_rng(seed)
    truth = rng.random((N, L)) < rng.uniform(0.1, 0.7, L)
    truth[:, 0] = truth[:, 1] = False
    truth[3:5, 1] = True
    scores = (rng.standard_normal((N, L)) + truth).astype(np.float32)
    if case == "tied":
        scores = scores.round(0)
    return scores, truth


def mask_of(case, seed):
    keep = np.random.default_rng(seed + 100).random((N, L)) < 0.7
    keep[:, 5] = False  # nothing of label 5 is known
    return keep if case == "masked" else np.ones((N, L), bool)


def broken(scores, truth, keep):
    """Returns scores and labels with NaN where masked."""
    return np.where(keep, scores, np.nan), np.where(keep, truth, np.nan).astype(np.float32)


def halfway_cuts(scores):
    """Returns the thresholds of all cut-offs of one label, from the highest down."""
    if not scores.size:
        return np.zeros(0, np.float32)
    distinct = np.unique(scores)[::-1]
    below = np.append(distinct[1:], distinct[-1:])
    return (distinct / 2 + below / 2).astype(np.float32)


def f_of(hits, predicted, actual, beta=1.0):
    total = beta**2 * actual + predicted
    return (1 + beta**2) * hits / total if total else 0.0


CASES = ["random", "tied", "masked"]


@pytest.mark.parametrize("shrinkage", [0.5, 3.0, 20.0, np.inf])
@pytest.mark.parametrize("case", CASES)
def test_shrinkage_maximises_smoothed_f(case, shrinkage):
    scores, truth = problem(case, 1)
    if case == "tied":
        scores[:, ::2] += 0.5  # cuts of one label lie on scores of others
    keep = mask_of(case, 1)
    tuned = decisions.tune_thresholds(
        *broken(scores, truth, keep),
        objective="fbeta",
        beta=1.5,
        shrinkage=np.float32(shrinkage),
        where=keep,
    )
    pool, pool_truth = scores[keep], truth[keep]
    own_share = 1 / (1 + shrinkage)
    pooled_share = 1 - own_share

    def smoothed(label, t):
        s, y = scores[keep[:, label], label], truth[keep[:, label], label]
        of_label = np.array([(y & (s >= t)).sum(), (s >= t).sum(), y.sum()])
        of_all = np.array([(pool_truth & (pool >= t)).sum(), (pool >= t).sum(), pool_truth.sum()])
        return f_of(*(own_share * of_label + pooled_share * of_all / pool_truth.sum()), 1.5)

    common = float(
        decisions.tune_thresholds(
            *broken(scores, truth, keep), objective="fbeta", beta=1.5, scope="global", where=keep
        )
    )
    for label in range(L):
        cuts = [*halfway_cuts(scores[keep[:, label], label]), common]
        assert tuned[label] in cuts
        best = max(smoothed(label, t) for t in cuts)
        np.testing.assert_allclose(smoothed(label, tuned[label]), best, rtol=1e-6)


def test_shrinkage_lies_between_own_and_global():
    scores, truth = problem("random", 2)
    own = decisions.tune_thresholds(scores, truth, min_positives=1)
    common = decisions.tune_thresholds(scores, truth, scope="global")
    little = decisions.tune_thresholds(scores, truth, shrinkage=np.float32(1e-6))
    same = (scores >= np.asarray(little)) == (scores >= np.asarray(own))
    assert same[:, 1:].all()  # label 0 has no positives of its own
    much = decisions.tune_thresholds(scores, truth, shrinkage=np.float32(1e7))
    np.testing.assert_array_equal(much, common)
    low = scores - 10.0 * (np.arange(L) == 1)  # no cut of label 1 is near the global one
    kept = decisions.tune_thresholds(low, truth, shrinkage=np.float32(50))[1]
    assert kept > low[:, 1].max()
    nothing = decisions.tune_thresholds(
        scores, np.zeros_like(truth), shrinkage=np.float32(2), default=0.25
    )
    np.testing.assert_array_equal(nothing, 0.25)


@pytest.mark.parametrize("rule", ["0", "1"])
@pytest.mark.parametrize("case", CASES)
def test_fbr(case, rule):
    scores, truth = problem(case, 3)
    keep = mask_of(case, 3)
    for fbr in (0.0, 0.55, 0.6499):
        tuned = decisions.tune_thresholds_fbr(
            *broken(scores, truth, keep), fbr=np.float32(fbr), rule=rule, beta=2, where=keep
        )
        given_up = 0
        for label in range(L):
            s, y = scores[keep[:, label], label], truth[keep[:, label], label]
            if not s.size:
                assert tuned[label] == np.inf
                continue
            cuts = halfway_cuts(s)
            values = [f_of((y & (s >= t)).sum(), (s >= t).sum(), y.sum(), 2) for t in cuts]
            if max(values) < fbr:
                given_up += 1
                assert tuned[label] == (np.inf if rule == "0" else s.max())
            else:
                assert tuned[label] == cuts[np.argmax(values)]
        assert (given_up > 0) == (fbr > 0)
    lost = np.full_like(scores, np.nan)
    np.testing.assert_array_equal(decisions.tune_thresholds_fbr(lost, truth, fbr=0), np.inf)


@pytest.mark.parametrize("scope", ["label", "global"])
@pytest.mark.parametrize("case", CASES)
def test_precision_floor(case, scope):
    scores, truth = problem(case, 4)
    keep = mask_of(case, 4)
    for floor in (0.25, 0.5, 0.8, 1.0):
        tuned = decisions.tune_thresholds_for_precision(
            *broken(scores, truth, keep), precision=np.float32(floor), scope=scope, where=keep
        )
        assert tuned.shape == ((L,) if scope == "label" else ())
        columns = range(L) if scope == "label" else [slice(None)]
        for place, column in enumerate(columns):
            known = keep[:, column]
            s, y = scores[:, column][known], truth[:, column][known]
            found = np.ravel(tuned)[place]
            if not y.any():
                assert found == np.inf
                continue
            precision, recall, cuts = precision_recall_curve(y, s)
            fine = (precision[:-1] >= floor - 1e-7) & (recall[:-1] > 0)
            if not fine.any():
                assert found == np.inf
                continue
            predicted = s >= found
            assert (y & predicted).sum() / predicted.sum() >= floor - 1e-7
            best = recall[:-1][fine].max()
            np.testing.assert_allclose((y & predicted).sum() / y.sum(), best)
            highest = cuts[fine & (recall[:-1] == best)].max()
            np.testing.assert_array_equal(predicted, s >= highest)


def test_precision_per_label():
    scores, truth = problem("random", 5)
    floors = np.linspace(0.3, 1, L).astype(np.float32)
    together = decisions.tune_thresholds_for_precision(scores, truth, precision=floors)
    alone = [
        decisions.tune_thresholds_for_precision(scores, truth, precision=floor)[label]
        for label, floor in enumerate(floors)
    ]
    np.testing.assert_array_equal(together, jnp.stack(alone))


@pytest.mark.parametrize("scope", ["label", "global"])
@pytest.mark.parametrize("case", CASES)
def test_proportional(case, scope):
    scores, _ = problem(case, 6)
    keep = mask_of(case, 6)
    scores[0, 2] = np.nan
    frequencies = np.array([0.0, 0.009, 0.3, 0.5, 0.99, 0.4], np.float32)
    given = np.where(keep, scores, np.nan)
    tuned = decisions.proportional_thresholds(given, frequencies, scope=scope, where=keep)
    assert tuned.shape == ((L,) if scope == "label" else ())
    columns = range(L) if scope == "label" else [slice(None)]
    for place, column in enumerate(columns):
        target = np.sum(frequencies[column] * keep[:, column].sum(0), dtype=np.float64)
        s = scores[:, column][keep[:, column]]
        s = s[~np.isnan(s)]
        cuts = np.concatenate([[np.inf], halfway_cuts(s) if s.size else []])
        distance = [abs((s >= t).sum() - target) for t in cuts]
        found = np.ravel(tuned)[place]
        assert found in cuts.astype(np.float32)
        np.testing.assert_allclose(abs((s >= found).sum() - target), min(distance), atol=1e-4)
    assert decisions.proportional_thresholds(scores, np.float32(0)) == np.inf


@pytest.mark.parametrize("masked", [False, True])
def test_largest_gap(masked):
    rng = np.random.default_rng(7)
    scores = rng.standard_normal((40, 5)).astype(np.float32)
    scores[::3] = scores[::3].round(0)
    scores[1] = 2.0
    scores[2, :3] = np.nan
    scores[3] = [np.inf, np.inf, 0, -1, -np.inf]
    scores[4] = np.nan
    scores[5] = [3e38, -3e38, -3.1e38, np.nan, np.nan]
    keep = rng.random(scores.shape) < 0.6
    got = decisions.largest_gap_sets(scores, where=keep if masked else None)
    for row in range(40):
        able = ~np.isnan(scores[row]) & (keep[row] if masked else True)
        s = np.sort(scores[row, able].astype(np.float64))[::-1]
        expected = np.zeros(5, bool)
        if s.size:
            with np.errstate(invalid="ignore"):
                gaps = np.nan_to_num(s[:-1] - s[1:], posinf=np.inf)
            lowest = s[np.argmax(gaps)] if gaps.size and gaps.max() > 0 else s[-1]
            expected = able & (scores[row] >= lowest)
        np.testing.assert_array_equal(got[row], expected, err_msg=str(scores[row]))
    np.testing.assert_array_equal(decisions.largest_gap_sets(np.ones(1, np.float32)), [True])


def test_costs():
    rng = np.random.default_rng(8)
    wrong, missed = rng.uniform(0.1, 3, (2, L)).astype(np.float32)
    p = rng.random((200, L)).astype(np.float32)
    chosen = decisions.apply_thresholds(
        p, decisions.cost_threshold(wrong, missed, inputs="probabilities")
    )
    np.testing.assert_array_equal(chosen, (1 - p) * wrong <= p * missed)
    logits = np.log(p) - np.log1p(-p)
    same = decisions.apply_thresholds(
        logits, decisions.cost_threshold(wrong, missed, inputs="logits")
    )
    np.testing.assert_array_equal(same, chosen)
    for inputs, low, high in (("probabilities", 0, 1), ("logits", -np.inf, np.inf)):
        assert decisions.cost_threshold(0, 2, inputs=inputs) == low
        assert decisions.cost_threshold(2.5, np.float32(np.inf), inputs=inputs) == low
        assert decisions.cost_threshold(2, 0, inputs=inputs) == high
        assert np.isnan(decisions.cost_threshold(0, 0, inputs=inputs))


@pytest.mark.parametrize("beta", [0, 0.5, 1, 2.5, np.inf])
@pytest.mark.parametrize("scope", ["label", "global"])
def test_plugin_reaches_the_best_plugged_in_f(scope, beta):
    rng = np.random.default_rng(9)
    p = (rng.random((N, L)) ** 3).astype(np.float32)
    p[:, 1] = p[:, 1].round(1)
    p[:, 2] = 0
    keep = mask_of("masked", 9)
    found = decisions.plugin_f_thresholds(
        np.where(keep, p, np.nan), beta=np.float32(beta), scope=scope, where=keep
    )
    columns = range(L) if scope == "label" else [slice(None)]
    for place, column in enumerate(columns):
        q = p[:, column][keep[:, column]].astype(np.float64)
        t = np.ravel(found)[place]
        if not q.sum():
            assert t == np.inf
            continue
        # For an infinite beta, the shares are taken in the limit.
        a, b = (1.0, 0.0) if beta == np.inf else (beta**2 / (1 + beta**2), 1 / (1 + beta**2))
        values = [q[q >= c].sum() / (a * q.sum() + b * (q >= c).sum()) for c in np.unique(q)]
        reached = q[q >= t - 1e-7].sum() / (a * q.sum() + b * (q >= t - 1e-7).sum())
        np.testing.assert_allclose(reached, max(values), rtol=1e-5)
        np.testing.assert_allclose(t, b * max(values), rtol=1e-5)


def test_plugin_agrees_with_labels_drawn_from_the_probabilities():
    rng = np.random.default_rng(10)
    p = (rng.random((200_000, 1)) ** 3).astype(np.float32)
    truth = rng.random(p.shape) < p
    plugged = decisions.plugin_f_thresholds(p)
    tuned = decisions.tune_thresholds(p, truth)
    reached = [
        f_of((truth & (p >= t)).sum(), (p >= t).sum(), truth.sum())
        for t in (float(plugged[0]), float(tuned[0]))
    ]
    assert reached[1] - 0.005 < reached[0] <= reached[1]


@pytest.mark.parametrize("scope", ["label", "global"])
def test_positives_without_a_usable_score_leave_the_default(scope):
    shrinkage = 2.0 if scope == "label" else 0.0
    nowhere = np.full((4, 2), np.nan, np.float32)
    found = decisions.tune_thresholds(
        nowhere, np.ones((4, 2), bool), scope=scope, shrinkage=shrinkage, default=0.25
    )
    np.testing.assert_array_equal(found, np.full_like(found, 0.25))


def test_under_transformations():
    scores, truth = problem("random", 11)
    p = jax.nn.sigmoid(jnp.asarray(scores))
    for function in (
        lambda s, y: decisions.tune_thresholds(s, y, shrinkage=2.0),
        lambda s, y: decisions.tune_thresholds_for_precision(s, y, precision=0.5),
        lambda s, y: decisions.proportional_thresholds(s, jnp.mean(y.astype(s.dtype), axis=0)),
        lambda s, y: decisions.plugin_f_thresholds(s),
    ):
        alone = function(p, truth)
        mapped = jax.jit(jax.vmap(function))(jnp.stack([p, p]), jnp.stack([truth, truth]))
        np.testing.assert_allclose(mapped[1], alone, rtol=1e-6)


def test_bad_input_is_named():
    scores, truth = problem("random", 12)
    with pytest.raises(ValueError, match=r'shrinkage pulls towards the global.*scope="label"'):
        decisions.tune_thresholds(scores, truth, scope="global", shrinkage=1.0)
    with pytest.raises(ValueError, match="shrinkage must lie in"):
        decisions.tune_thresholds(scores, truth, shrinkage=-1)
    with pytest.raises(ValueError, match="fbr must lie in"):
        decisions.tune_thresholds_fbr(scores, truth, fbr=1.5)
    with pytest.raises(ValueError, match="rule must be one of '0', '1', got 0"):
        decisions.tune_thresholds_fbr(scores, truth, fbr=0.5, rule=0)
    with pytest.raises(ValueError, match="precision must be a scalar"):
        decisions.tune_thresholds_for_precision(
            scores, truth, precision=np.full(L, 0.5), scope="global"
        )
    with pytest.raises(ValueError, match="frequencies must lie in"):
        decisions.proportional_thresholds(scores, truth.sum(0))
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\], got values from -"):
        decisions.plugin_f_thresholds(scores)
    with pytest.raises(ValueError, match="probabilities must have two axes"):
        decisions.plugin_f_thresholds(np.ones(3, np.float32))
    with pytest.raises(ValueError, match="inputs must be one of"):
        decisions.cost_threshold(1, 1, inputs="scores")
    with pytest.raises(TypeError, match="inputs"):
        decisions.cost_threshold(1, 1)
