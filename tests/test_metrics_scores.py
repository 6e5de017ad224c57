"""Metrics of scores, against scikit-learn and definitions written out."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax import metrics

AVERAGES = ["micro", "macro", "weighted", "samples", None]
CURVES = {
    "average_precision": (metrics.average_precision, sk.average_precision_score, "zero"),
    "roc_auc": (metrics.roc_auc, sk.roc_auc_score, "nan"),
}
RANKING = {
    "label_ranking_average_precision": sk.label_ranking_average_precision_score,
    "label_ranking_loss": sk.label_ranking_loss,
    "coverage_error": sk.coverage_error,
}


def scored(case, n=60, labels=8):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((n, labels)).astype(np.float32)
    truth = rng.random((n, labels)) < 0.35
    if case == "many rows and labels":  # so large that counting takes another path
        scores = rng.standard_normal((150, 130)).astype(np.float32).round(1)
        return scores, rng.random((150, 130)) < 0.1
    if "tied" in case:
        scores = scores.round(case == "tied")
    if "zeros" in case:
        scores = np.where(rng.random(scores.shape) < 0.5, scores, np.float32(-0.0))
        scores = np.where(rng.random(scores.shape) < 0.7, scores, np.float32(0.0))
    if "extreme" in case:
        scores = scores * np.float32(5e37)  # the peer sums scores, so it gets float64
    if "equal" in case:
        scores = np.zeros_like(scores)
    if "trivial rows" in case:
        truth[:5], truth[5:8] = False, True
    if "trivial labels" in case:
        truth[:, 0], truth[:, 1] = False, True
    return scores, truth


CASES = [
    "random",
    "tied",
    "coarsely tied",
    "signed zeros",
    "extreme",
    "equal",
    "trivial labels",
    "tied, trivial rows",
    "many rows and labels",
]


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", CURVES)
def test_curves_match_scikit_learn(name, average, case):
    ours, peer, undefined = CURVES[name]
    scores, truth = scored(case)
    got = ours(scores, truth, average=average, undefined=undefined)
    expected = peer(truth, scores.astype(np.float64), average=average)
    np.testing.assert_allclose(got, expected, rtol=2e-6)


@pytest.mark.parametrize("average", ["macro", "weighted", "samples"])
@pytest.mark.parametrize("name", CURVES)
def test_undefined_policies(name, average):
    ours, peer, _ = CURVES[name]
    scores, truth = scored("trivial rows" if average == "samples" else "trivial labels")
    table, targets = (scores, truth) if average == "samples" else (scores.T, truth.T)
    values, support = [], targets.sum(1)
    for row, target in zip(table, targets, strict=True):
        defined = target.any() and (name == "average_precision" or not target.all())
        values.append(peer(target, row) if defined else np.nan)
    values = np.array(values)
    assert np.isnan(values).any()
    weights = support if average == "weighted" else np.ones_like(support)
    kept = ~np.isnan(values)
    expected = {
        "skip": np.average(values[kept], weights=weights[kept]),
        "zero": np.average(np.nan_to_num(values), weights=weights),
        "nan": np.sum(np.where(weights == 0, 0, weights * values)) / np.sum(weights),
    }
    for undefined, value in expected.items():
        got = ours(scores, truth, average=average, undefined=undefined)
        np.testing.assert_allclose(got, value, rtol=2e-6)
    assert np.isnan(ours(scores, np.zeros_like(truth), average=average))


@pytest.mark.parametrize("name", CURVES)
def test_curves_of_masked_entries_are_as_if_deleted(name):
    ours, peer, _ = CURVES[name]
    scores, truth = scored("tied")
    keep = np.random.default_rng(1).random(truth.shape) < 0.5
    keep[:, 2] = False
    broken = np.where(keep, scores, np.nan)
    labels = np.where(keep, truth, np.nan)
    columns = [i for i in range(8) if i != 2]
    expected = [peer(truth[keep[:, i], i], scores[keep[:, i], i]) for i in columns]
    got = np.asarray(ours(broken, labels, average=None, where=keep))
    np.testing.assert_allclose(got[columns], expected, rtol=2e-6)
    assert np.isnan(got[2])
    for undefined in ("skip", "nan"):  # no mean includes a label without entries
        macro = ours(broken, labels, where=keep, undefined=undefined)
        np.testing.assert_allclose(macro, np.mean(expected), rtol=2e-6)
    micro = ours(broken, labels, where=keep, average="micro")
    np.testing.assert_allclose(micro, peer(truth[keep], scores[keep]), rtol=2e-6)


@pytest.mark.parametrize("name", CURVES)
def test_nan_scores_are_never_hidden(name):
    ours = CURVES[name][0]
    scores, truth = scored("random")
    scores[3, 4] = np.nan
    per_label = np.asarray(ours(scores, truth, average=None))
    assert np.isnan(per_label[4])
    assert np.isfinite(np.delete(per_label, 4)).all()
    for average in ("micro", "macro", "samples"):
        assert np.isnan(ours(scores, truth, average=average))
    where = ~np.isnan(scores)
    assert np.isfinite(ours(scores, truth, where=where))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", RANKING)
def test_ranking_matches_scikit_learn(name, case):
    scores, truth = scored(case)
    got = getattr(metrics, name)(scores, truth)
    np.testing.assert_allclose(got, RANKING[name](truth, scores.astype(np.float64)), rtol=2e-6)


@pytest.mark.parametrize("case", ["random", "tied, trivial rows"])
@pytest.mark.parametrize("name", RANKING)
def test_ranking_of_masked_entries_is_as_if_deleted(name, case):
    scores, truth = scored(case)
    keep = np.random.default_rng(2).random(truth.shape) < 0.6
    keep[10:13] = False  # rows without any entry
    values = []
    for row in np.flatnonzero(keep.any(1)):
        y, s = truth[row, keep[row]], scores[row, keep[row]]
        # The peer does not accept a row of one entry, so its value is written out here.
        if len(y) == 1:
            trivial = {"label_ranking_average_precision": 1.0, "coverage_error": float(y[0])}
            values.append(trivial.get(name, 0.0))
        else:
            values.append(RANKING[name](y[None], s[None]))
    broken = np.where(keep, scores, np.nan)
    got = getattr(metrics, name)(broken, truth, where=keep)
    np.testing.assert_allclose(got, np.mean(values), rtol=2e-6)


@pytest.mark.parametrize("case", CASES)
def test_top_of_the_ranking(case):
    scores, truth = scored(case)
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(truth, order, axis=1)
    np.testing.assert_allclose(metrics.one_error(scores, truth), 1 - ranked[:, 0].mean(), rtol=1e-6)
    for k in (1, 3, truth.shape[1]):
        expected = ranked[:, :k].sum(1).mean() / k
        np.testing.assert_allclose(metrics.precision_at_k(scores, truth, k), expected, rtol=1e-6)


def test_top_of_masked_rankings():
    scores = np.array([[0.9, 0.8, -np.inf], [0.9, 0.8, 0.7], [0.1, 0.2, 0.3]], np.float32)
    truth = np.array([[1, 0, 1], [1, 1, 1], [1, 1, 1]])
    where = np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]], bool)
    assert metrics.one_error(scores, truth, where=where) == 0.5
    # The rankings [1, 2] and [0] have one hit each, k stays 2, and the last row does not count.
    assert metrics.precision_at_k(scores, truth, 2, where=where) == 0.5
    assert np.isnan(metrics.precision_at_k(scores, truth, 2, where=np.zeros_like(where)))


@pytest.mark.parametrize(
    "name", ["one_error", "precision_at_k", *RANKING, "average_precision", "roc_auc"]
)
def test_narrow_scores_and_transformations(name):
    function = getattr(metrics, name)
    args = (3,) if name == "precision_at_k" else ()
    scores, truth = scored("random")
    narrow = jnp.asarray(scores, jnp.bfloat16)
    assert function(narrow, truth, *args) == function(narrow.astype(jnp.float32), truth, *args)
    s, y = jnp.asarray(scores), jnp.asarray(truth)
    eager = function(s, y, *args)
    assert eager.dtype == jnp.float32
    pairs = jnp.stack([s, -s]), jnp.stack([y, ~y])
    mapped = jax.jit(jax.vmap(lambda s, y: function(s, y, *args)))(*pairs)
    single = [function(a, b, *args) for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(mapped, single, rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda s: function(s, y, *args)))(s)
    np.testing.assert_array_equal(gradient, 0)
    bad = s.at[0, 0].set(jnp.nan)
    assert jnp.isnan(function(bad, y, *args))
    with jax.enable_x64(True):
        # Scores that float32 cannot tell apart.
        close = 1 + np.float64(1e-12) * scores.astype(np.float64)
        exact = function(close, truth, *args)
        assert exact.dtype == jnp.float64
        np.testing.assert_allclose(exact, eager, rtol=1e-6)
        if name in RANKING:
            np.testing.assert_allclose(exact, RANKING[name](truth, close), rtol=1e-14)
        elif name in CURVES:
            np.testing.assert_allclose(exact, CURVES[name][1](truth, close), rtol=1e-14)


def test_inside_a_loop():
    scores, truth = scored("tied")
    pairs = jnp.stack([scores, -scores]), jnp.stack([truth, ~truth])
    _, looped = jax.lax.scan(lambda c, pair: (c, metrics.average_precision(*pair)), 0, pairs)
    single = [
        sk.average_precision_score(y, s) for s, y in zip(*map(np.asarray, pairs), strict=True)
    ]
    np.testing.assert_allclose(looped, single, rtol=1e-6)


def test_subnormal_scores_keep_their_order():
    scores = np.array([[1e-40], [2e-40], [3e-40], [0.0]], np.float32)
    truth = np.array([[0], [1], [1], [0]])
    assert metrics.average_precision(scores, truth) == 1
    assert metrics.roc_auc(scores, truth) == 1


def test_ranking_holds_no_array_of_pairs():
    shape = (16, 512)
    for name in ("label_ranking_average_precision", "label_ranking_loss"):
        function = getattr(metrics, name)
        lowered = jax.jit(lambda s, y, f=function: f(s, y)).lower(
            jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape, jnp.bool_)
        )
        temporary = lowered.compile().memory_analysis().temp_size_in_bytes
        assert temporary < 16 * 4 * shape[0] * shape[1]


@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
def test_undefined_values_may_be_refused(name):
    scores, truth = scored("random")
    truth[:, 0], truth[:, 3], truth[0] = False, True, False
    truth[0, 3] = name == "roc_auc"
    undefined = [0] if name == "average_precision" else [0, 3]
    exact = functools.partial(getattr(metrics, name), scores)
    histogram = metrics.streaming.ScoreHistogram.init(truth.shape[1], inputs="logits")
    binned = getattr(histogram.update(scores, truth), name)
    message = rf'{name}: undefined="raise", but the value of {len(undefined)} of '
    message += rf"{truth.shape[1]} labels \({', '.join(map(str, undefined))}\)"
    for average in ("macro", None):
        for function in (functools.partial(exact, truth), binned):
            with pytest.raises(ValueError, match=message):
                function(average=average, undefined="raise")
    if name == "average_precision":
        with pytest.raises(ValueError, match="the value of a sample is not defined"):
            exact(truth, average="samples", undefined="raise")
    with pytest.raises(ValueError, match="the value of all entries as one is not defined"):
        exact(np.zeros_like(truth), average="micro", undefined="raise")
    # Defined values are returned; a NaN score makes a value NaN, not undefined.
    kept = np.delete(truth, undefined, 1)
    answer = getattr(metrics, name)(np.delete(scores, undefined, 1), kept, undefined="raise")
    assert answer == getattr(metrics, name)(np.delete(scores, undefined, 1), kept)
    scores[5, 1] = np.nan
    assert np.isnan(getattr(metrics, name)(scores[:, 1:3], truth[:, 1:3], undefined="raise"))
    with pytest.raises(ValueError, match="which are not known under a transformation"):
        jax.jit(functools.partial(getattr(metrics, name), undefined="raise"))(scores, truth)


def test_operating_points_of_undefined_labels_may_be_refused():
    scores, truth = scored("random")
    truth[:, 2] = False
    for function, floor in (
        (metrics.recall_at_precision, {"precision": 0.5}),
        (metrics.precision_at_recall, {"recall": 0.5}),
    ):
        with pytest.raises(ValueError, match=rf"1 of {truth.shape[1]} labels \(2\)"):
            function(scores, truth, undefined="raise", **floor)


def test_bad_input_is_named():
    scores, truth = scored("random")
    with pytest.raises(TypeError, match=r"scores must be a floating-point array.*labels passed"):
        metrics.roc_auc(truth, scores)
    with pytest.raises(ValueError, match="undefined must be one of 'skip', 'nan', 'zero'"):
        metrics.roc_auc(scores, truth, undefined="drop")
    with pytest.raises(ValueError, match="average must be one of"):
        metrics.average_precision(scores, truth, average="binary")
    with pytest.raises(ValueError, match=r"pass where\[:, None\]"):
        metrics.coverage_error(scores, truth, where=np.ones(60, bool))
    with pytest.raises(ValueError, match="k must be between 1 and the number of labels, 8, got 9"):
        metrics.precision_at_k(scores, truth, 9)
    with pytest.raises(TypeError, match="k must be a Python integer"):
        metrics.precision_at_k(scores, truth, 2.5)
