"""Thresholds and set sizes, against an exhaustive search over cut-offs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import fbeta_score

from mllosses_jax import decisions


def f_beta(truth, predicted, beta):
    hits = np.sum(truth & predicted)
    total = beta**2 * np.sum(truth) + np.sum(predicted)
    return (1 + beta**2) * hits / total if total else 0.0


def best_f(scores, truth, beta):
    """Computes the best F-beta over all cut-offs, by trying each."""
    return max(f_beta(truth, scores >= cut, beta) for cut in [*np.unique(scores), np.inf])


def problem(case, seed, n=50, labels=6):
    rng = np.random.default_rng(seed)
    truth = rng.random((n, labels)) < rng.uniform(0.05, 0.7, labels)
    scores = (rng.standard_normal((n, labels)) + truth).astype(np.float32)
    truth[0] = True
    if case == "tied":
        scores = scores.round(0)
    if case == "neighbours":  # nothing fits between these floats
        scores = np.float32(1) + np.finfo(np.float32).eps * scores.round(0)
    if case == "infinite":
        scores = np.where(scores > 1, np.inf, np.where(scores < 0, -np.inf, scores))
    return scores.astype(np.float32), truth


@pytest.mark.parametrize("beta", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("case", ["random", "tied", "neighbours", "infinite"])
@pytest.mark.parametrize("seed", range(3))
def test_label_thresholds_are_optimal(case, beta, seed):
    scores, truth = problem(case, seed)
    options = {} if beta == 1 else {"objective": "fbeta", "beta": beta}
    thresholds = decisions.tune_thresholds(scores, truth, min_positives=1, **options)
    assert thresholds.shape == (6,)
    predicted = np.asarray(decisions.apply_thresholds(scores, thresholds))
    for label in range(6):
        reached = fbeta_score(truth[:, label], predicted[:, label], beta=beta)
        expected = best_f(scores[:, label], truth[:, label], beta)
        np.testing.assert_allclose(reached, expected, rtol=1e-6)


@pytest.mark.parametrize("case", ["random", "tied", "infinite"])
def test_global_threshold_is_optimal(case):
    scores, truth = problem(case, 4)
    threshold = decisions.tune_thresholds(scores, truth, scope="global")
    assert threshold.shape == ()
    predicted = np.asarray(decisions.apply_thresholds(scores, threshold))
    np.testing.assert_allclose(f_beta(truth, predicted, 1), best_f(scores, truth, 1), rtol=1e-6)


def test_threshold_lies_halfway_and_as_high_as_possible():
    scores = np.array([[0.9], [0.5], [0.5], [0.25], [0.1]], np.float32)
    truth = np.array([[1], [1], [1], [0], [0]])
    assert decisions.tune_thresholds(scores, truth, min_positives=1)[0] == 0.375
    # Predicting one sample (one true) and predicting four (two true) both reach 2/3.
    truth = np.array([[1], [0], [0], [1], [0]])
    assert decisions.tune_thresholds(scores, truth, min_positives=1)[0] == pytest.approx(0.7)
    # If all are true, everything is predicted, from the lowest score on.
    assert decisions.tune_thresholds(scores, np.ones_like(truth), min_positives=1)[0] == scores[-1]


def test_rare_labels_take_the_global_threshold():
    scores, truth = problem("random", 5)
    truth[:, 0], truth[:, 1] = False, False
    truth[7:10, 1] = True
    common = decisions.tune_thresholds(scores, truth, scope="global")
    own = decisions.tune_thresholds(scores, truth, min_positives=1)
    tuned = decisions.tune_thresholds(scores, truth, min_positives=4)
    assert tuned[0] == tuned[1] == own[0] == common
    assert own[1] != common
    frequent = truth.sum(0) >= 4
    assert frequent.sum() >= 3
    np.testing.assert_array_equal(tuned[frequent], own[frequent])
    nothing = np.zeros_like(truth)
    for scope in ("label", "global"):
        fallback = decisions.tune_thresholds(scores, nothing, scope=scope, default=0.25)
        np.testing.assert_array_equal(fallback, 0.25)


def test_masked_entries_are_as_if_deleted():
    scores, truth = problem("tied", 6, labels=2)
    keep = np.random.default_rng(0).random(truth.shape) < 0.6
    broken = np.where(keep, scores, np.nan)
    labels = np.where(keep, truth, np.nan)
    got = decisions.tune_thresholds(broken, labels, min_positives=1, where=keep)
    for label in range(2):
        column = scores[keep[:, label], label], truth[keep[:, label], label]
        alone = decisions.tune_thresholds(column[0][:, None], column[1][:, None], min_positives=1)
        assert got[label] == alone[0]
    overall = decisions.tune_thresholds(broken, labels, scope="global", where=keep)
    expected = best_f(scores[keep], truth[keep], 1)
    np.testing.assert_allclose(f_beta(truth[keep], scores[keep] >= overall, 1), expected, rtol=1e-6)


def test_nan_scores_are_never_predicted():
    scores, truth = problem("random", 7)
    scores[0] = np.nan
    tuned = np.asarray(decisions.tune_thresholds(scores, truth, min_positives=1))
    for label in range(6):
        with np.errstate(invalid="ignore"):
            predicted = scores[:, label] >= tuned[label]
        clean = np.nan_to_num(scores[:, label], nan=-1e9)
        reached = f_beta(truth[:, label], predicted, 1)
        cuts = np.unique(scores[1:, label])
        best = max(f_beta(truth[:, label], clean >= cut, 1) for cut in cuts)
        np.testing.assert_allclose(reached, best, rtol=1e-6)
    lost = decisions.tune_thresholds(np.full_like(scores, np.nan), truth, min_positives=1)
    np.testing.assert_array_equal(lost, 0.5)
    assert not decisions.apply_thresholds(scores, 0.0)[0].any()


def test_transformations_and_dtypes():
    scores, truth = problem("random", 8)
    s, y = jnp.asarray(scores), jnp.asarray(truth)
    tuned = decisions.tune_thresholds(s, y)
    np.testing.assert_array_equal(jax.jit(decisions.tune_thresholds)(s, y), tuned)
    mapped = jax.vmap(decisions.tune_thresholds)(jnp.stack([s, s + 1]), jnp.stack([y, y]))
    np.testing.assert_array_equal(mapped[0], tuned)
    np.testing.assert_allclose(mapped[1], tuned + 1, atol=1e-6)
    narrow = s.astype(jnp.bfloat16)
    thresholds = decisions.tune_thresholds(narrow, y, min_positives=1)
    assert thresholds.dtype == jnp.float32
    predicted = np.asarray(decisions.apply_thresholds(narrow, thresholds))
    wide = np.asarray(narrow.astype(jnp.float32))
    for label in range(6):
        np.testing.assert_allclose(
            f_beta(truth[:, label], predicted[:, label], 1),
            best_f(wide[:, label], truth[:, label], 1),
            rtol=1e-6,
        )
    with jax.enable_x64(True):
        close = 1 + 1e-12 * scores.astype(np.float64)
        tuned = decisions.tune_thresholds(close, truth, min_positives=1)
        assert tuned.dtype == jnp.float64
        predicted = np.asarray(decisions.apply_thresholds(close, tuned))
        np.testing.assert_allclose(
            f_beta(truth[:, 2], predicted[:, 2], 1), best_f(close[:, 2], truth[:, 2], 1), rtol=1e-12
        )


def test_labels_over_devices():
    scores, truth = problem("random", 10, labels=8)
    mesh = jax.make_mesh((8,), ("labels",), axis_types=(jax.sharding.AxisType.Auto,))
    spec = jax.sharding.PartitionSpec

    def tune(s, y):
        return decisions.tune_thresholds(s, y, min_positives=1)

    mapped = jax.shard_map(tune, mesh=mesh, in_specs=spec(None, "labels"), out_specs=spec("labels"))
    np.testing.assert_array_equal(jax.jit(mapped)(scores, truth), tune(scores, truth))


def test_apply_thresholds():
    scores = jnp.array([[[0.2, 0.8], [0.5, 0.5]]])
    np.testing.assert_array_equal(
        decisions.apply_thresholds(scores, 0.5), [[[False, True], [True, True]]]
    )
    np.testing.assert_array_equal(
        decisions.apply_thresholds(scores, jnp.array([0.1, 0.6])), [[[True, True], [True, False]]]
    )


def test_top_k():
    scores = np.array([[0.1, 0.7, 0.7, 0.7], [np.nan, -np.inf, 0.0, -0.0]], np.float32)
    np.testing.assert_array_equal(
        decisions.top_k(scores, 2), [[False, True, True, False], [False, False, True, True]]
    )
    np.testing.assert_array_equal(
        decisions.top_k(scores[None], 3)[0],
        [[False, True, True, True], [False, True, True, True]],
    )
    assert decisions.top_k(scores[0], 4).all()
    np.testing.assert_array_equal(decisions.top_k(scores[1], 4), [False, True, True, True])
    np.testing.assert_array_equal(
        decisions.top_k(scores, 2, where=np.array([[True, False, False, True]])),
        [[True, False, False, True], [False, False, False, True]],
    )


@pytest.mark.parametrize("masked", [False, True])
def test_sets_from_counts(masked):
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 4, (40, 6)).astype(np.float32)
    scores[0, 2], scores[1, 0] = np.nan, -np.inf
    counts = rng.uniform(-1, 8, 40).astype(np.float32)
    counts[:4] = 6, 6, 2.5, np.nan
    where = rng.random(scores.shape) < 0.6 if masked else None
    expected = np.zeros(scores.shape, bool)
    for row in range(40):
        order = [c for c in np.argsort(-scores[row], kind="stable") if scores[row, c] >= -np.inf]
        order = [c for c in order if not masked or where[row, c]]
        size = 0 if np.isnan(counts[row]) else int(np.clip(np.rint(counts[row]), 0, 6))
        expected[row, order[:size]] = True
    found = jax.jit(lambda s, k: decisions.sets_from_counts(s, k, where=where))(scores, counts)
    np.testing.assert_array_equal(found, expected)


def test_sets_from_counts_of_integers():
    scores = np.array([0.1, 0.7, 0.7], np.float32)
    np.testing.assert_array_equal(decisions.sets_from_counts(scores, 1), [False, True, False])
    np.testing.assert_array_equal(
        decisions.sets_from_counts(scores[None], np.array([2])), decisions.top_k(scores[None], 2)
    )
    with pytest.raises(ValueError, match=r"counts must have one entry per sample.*got \(3,\)"):
        decisions.sets_from_counts(scores[None], np.ones(3, np.float32))


def test_bad_input_is_named():
    scores, truth = problem("random", 9)
    with pytest.raises(ValueError, match="thresholds must be a scalar or have shape"):
        decisions.apply_thresholds(scores, np.ones(5))
    with pytest.raises(TypeError, match="scores must be a floating-point array"):
        decisions.apply_thresholds(truth, 0.5)
    with pytest.raises(ValueError, match="objective must be one of 'f1', 'fbeta'"):
        decisions.tune_thresholds(scores, truth, objective="accuracy")
    with pytest.raises(ValueError, match="scope must be one of 'label', 'global'"):
        decisions.tune_thresholds(scores, truth, scope="micro")
    with pytest.raises(ValueError, match='beta must be 1 with objective="f1", got 2'):
        decisions.tune_thresholds(scores, truth, beta=2)
    with pytest.raises(ValueError, match="min_positives must lie in"):
        decisions.tune_thresholds(scores, truth, min_positives=0)
    with pytest.raises(ValueError, match="k must be between 1 and the number of labels, 6, got 7"):
        decisions.top_k(scores, 7)
