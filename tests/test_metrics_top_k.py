"""Metrics of the top k and of the first true label, against peers and definitions written out."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax import metrics
from mllosses_jax._core.ordering import ranking_keys, smallest

L = 7
AT_K = (
    "precision_at_k",
    "recall_at_k",
    "f1_at_k",
    "r_precision_at_k",
    "ndcg_at_k",
    "hit_at_k",
    "label_coverage_at_k",
    "psp_at_k",
    "psr_at_k",
    "psndcg_at_k",
)
INVERSE = np.float32(1) + np.random.default_rng(9).exponential(3, L).astype(np.float32)
SETS_OF_K = {
    "precision_at_k": sk.precision_score,
    "recall_at_k": sk.recall_score,
    "f1_at_k": sk.f1_score,
}


def inputs(case, n=50):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((n, L)).astype(np.float32)
    truth = rng.random((n, L)) < 0.35
    if "tied" in case:
        scores = scores.round(1 if "slightly" in case else 0)  # yields zeros of both signs
    if "equal" in case:
        scores = np.zeros_like(scores)
    if "empty" in case:
        truth[:9], truth[9:12] = False, True
    if "absent" in case:
        truth[:, 1], truth[:, 2] = False, True
        scores[:, 3] = -5  # never in a small top k
        truth[:, 4], scores[:, 4] = False, -6
    return scores, truth


CASES = ["random", "tied", "slightly tied", "equal", "tied, empty rows", "absent labels"]


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


def call(name, scores, truth, k, **options):
    if name == "mean_reciprocal_rank":
        return metrics.mean_reciprocal_rank(scores, truth, **options)
    if name.startswith("ps"):
        options = {"inverse_propensity": INVERSE, **options}
    return getattr(metrics, name)(scores, truth, k, **options)


def ranked_labels(scores, keep=None):
    """Returns the labels of each row that count, best first; ties go to the lowest index."""
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
    if keep is None:
        return list(order)
    return [row[kept[row]] for row, kept in zip(order, keep, strict=True)]


def discounts(count):
    return 1 / np.log2(np.arange(count) + 2)


def expected(scores, truth, k, keep=None):
    """Computes every metric row by row from its definition, in float64; the first of ties wins."""
    rows = {name: [] for name in (*AT_K, "mean_reciprocal_rank")}
    weighted = {"psp_at_k": [], "psr_at_k": [], "psndcg_at_k": []}
    used, covered = set(), set()
    kept = np.ones_like(truth) if keep is None else keep
    filled = np.where(kept, scores, np.float32(0))
    for order, y, counted in zip(ranked_labels(filled, kept), truth, kept, strict=True):
        if not counted.any():
            continue
        true = set(np.flatnonzero(y & counted))
        hits = np.array([label in true for label in order[:k]], float)
        possible = min(k, len(true))
        best = discounts(possible).sum()
        first = next((r for r, label in enumerate(order, 1) if label in true), np.inf)
        rows["precision_at_k"].append(hits.sum() / k)
        rows["recall_at_k"].append(hits.sum() / len(true) if true else 0)
        rows["f1_at_k"].append(2 * hits.sum() / (k + len(true)))
        rows["r_precision_at_k"].append(hits.sum() / possible if true else 0)
        rows["ndcg_at_k"].append(hits @ discounts(len(hits)) / best if true else 0)
        rows["hit_at_k"].append(hits.any())
        rows["mean_reciprocal_rank"].append(1 / first)
        used |= true
        covered |= true & set(order[:k])
        gains = hits * INVERSE[order[:k]]
        ideal = np.sort(INVERSE[sorted(true)].astype(np.float64))[::-1][:k]
        weighted["psp_at_k"].append((gains.sum() / k, ideal.sum() / k))
        of_true = np.array([gains.sum(), ideal.sum()]) / max(len(true), 1)
        weighted["psr_at_k"].append(of_true)
        ranks = gains @ discounts(len(gains)), ideal @ discounts(possible)
        weighted["psndcg_at_k"].append(np.array(ranks) / best if true else np.zeros(2))
    means = {name: np.mean(values) for name, values in rows.items() if values}
    means["label_coverage_at_k"] = len(covered) / len(used)
    for name, pairs in weighted.items():
        reached, possible = np.mean(pairs, axis=0)
        means[name] = reached / possible
    return means


def options_of(name):
    return {"ties": "first"} if name == "ndcg_at_k" else {}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 3, L])
def test_definitions(case, k):
    scores, truth = inputs(case)
    for name, value in expected(scores, truth, k).items():
        got = call(name, scores, truth, k, **options_of(name))
        np.testing.assert_allclose(got, value, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("case", ["tied, empty rows", "absent labels"])
def test_masked_entries_are_as_if_deleted(case):
    k = 3
    scores, truth = inputs(case)
    scores[15:35] = np.where(scores[15:35] < 0, -np.inf, scores[15:35])
    keep = np.random.default_rng(1).random(truth.shape) < 0.5  # some rows have fewer than k
    keep[12:15] = False
    assert ((keep.sum(1) > 0) & (keep.sum(1) < k)).any()
    broken, labels = np.where(keep, scores, np.nan), np.where(keep, truth, np.nan)
    for name, value in expected(scores, truth, k, keep).items():
        got = call(name, broken, labels, k, where=keep, **options_of(name))
        np.testing.assert_allclose(got, value, rtol=2e-6, err_msg=name)
    for name in (*AT_K, "mean_reciprocal_rank"):
        assert np.isnan(call(name, scores, truth, k, where=np.zeros_like(keep))), name
    rows = np.broadcast_to(keep.any(1, keepdims=True), keep.shape)
    for name, value in expected(scores, truth, k, rows).items():
        got = call(name, scores, truth, k, where=rows, **options_of(name))
        np.testing.assert_allclose(got, value, rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("average", ["macro", "micro", None])
@pytest.mark.parametrize("name", SETS_OF_K)
def test_sets_of_k_match_scikit_learn(name, average, case):
    scores, truth = inputs(case)
    k = 3
    predicted = np.zeros_like(truth)
    for row, order in zip(predicted, ranked_labels(scores), strict=True):
        row[order[:k]] = True
    for zero_division in (0, 1, np.nan):
        options = {"average": average, "zero_division": zero_division}
        want = SETS_OF_K[name](truth, predicted, **options)
        # One value is compiled in, the others are traced.
        given = np.float32(zero_division) if zero_division else 0.0
        got = call(name, scores, truth, k, average=average, zero_division=given)
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("name", SETS_OF_K)
def test_masked_sets_of_k(name):
    scores, truth = inputs("tied")
    keep = np.random.default_rng(2).random(truth.shape) < 0.5
    keep[:, 5], keep[:3] = False, False
    k = 3
    predicted = np.zeros_like(truth)
    for row, order in zip(predicted, ranked_labels(scores, keep), strict=True):
        row[order[:k]] = True
    peer = SETS_OF_K[name]
    values = [
        peer(truth[rows, label], predicted[rows, label], zero_division=0) if rows.any() else np.nan
        for label, rows in enumerate(keep.T)
    ]
    broken = np.where(keep, scores, np.nan)
    got = [call(name, broken, truth, k, where=keep, average=a) for a in (None, "macro", "micro")]
    np.testing.assert_allclose(got[0], values, rtol=1e-6)
    np.testing.assert_allclose(got[1], np.nanmean(values), rtol=1e-6)
    np.testing.assert_allclose(got[2], peer(truth[keep], predicted[keep]), rtol=1e-6)


def test_rows_without_labels_and_recall():
    scores, truth = inputs("empty")
    order = np.argsort(-scores, axis=1)[:, :3]
    filled = truth.any(1)
    hits = np.take_along_axis(truth, order, axis=1).sum(1)
    values = hits / np.maximum(truth.sum(1), 1)
    for zero_division, value in [
        (0, values.mean()),  # LibMultiLabel, napkinXC
        (1, np.where(filled, values, 1).mean()),
        (np.nan, values[filled].mean()),  # pyxclib's recall_at_k
    ]:
        got = metrics.recall_at_k(scores, truth, 3, zero_division=np.float32(zero_division))
        np.testing.assert_allclose(got, value, rtol=1e-6)
        # As every row has k predicted labels, these metrics have no undefined rows.
        for name in ("precision_at_k", "f1_at_k"):
            got = call(name, scores, truth, 3, zero_division=np.float32(zero_division))
            np.testing.assert_allclose(got, expected(scores, truth, 3)[name], rtol=1e-6)
    empty = np.zeros_like(truth)
    assert np.isnan(metrics.recall_at_k(scores, empty, 3, zero_division=np.nan))
    for name in ("r_precision_at_k", "ndcg_at_k", "hit_at_k", "mean_reciprocal_rank"):
        assert call(name, scores, empty, 3) == 0
    for name in ("label_coverage_at_k", "psp_at_k", "psr_at_k", "psndcg_at_k"):
        assert np.isnan(call(name, scores, empty, 3))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("k", [1, 3, L])
def test_ndcg_matches_scikit_learn(case, k):
    scores, truth = inputs(case)
    got = metrics.ndcg_at_k(scores, truth, k)
    np.testing.assert_allclose(got, sk.ndcg_score(truth, scores, k=k), rtol=2e-6)
    # The peer ignores ties here and gets scores whose ties are broken by the index.
    place = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    untied = sk.ndcg_score(truth, -place, k=k, ignore_ties=True)
    np.testing.assert_allclose(metrics.ndcg_at_k(scores, truth, k, ties="first"), untied, rtol=2e-6)
    if case == "tied" and k < L:
        assert abs(got - untied) > 1e-3


def test_ndcg_of_masked_ties_matches_scikit_learn():
    scores, truth = inputs("tied, empty rows")
    keep = np.random.default_rng(3).random(truth.shape) < 0.6
    scores = np.where(scores < 0, -np.inf, scores)  # masked entries must not tie with these
    rows = np.flatnonzero(keep.sum(1) > 1)  # the peer refuses single entries
    finite = np.where(np.isinf(scores), -9, scores)
    values = [
        sk.ndcg_score(truth[row, keep[row]][None], finite[row, keep[row]][None], k=3)
        for row in rows
    ]
    where = keep & (keep.sum(1, keepdims=True) > 1)
    got = metrics.ndcg_at_k(np.where(where, scores, np.nan), truth, 3, where=where)
    np.testing.assert_allclose(got, np.mean(values), rtol=2e-6)


def test_rows_match_torchmetrics():
    torch = pytest.importorskip("torch")
    retrieval = pytest.importorskip("torchmetrics.functional.retrieval")
    scores, truth = inputs("empty")
    scores = np.exp(scores)  # the peer does not retrieve scores up to 0
    pairs = [(torch.tensor(s), torch.tensor(y)) for s, y in zip(scores, truth, strict=True)]
    for name, peer, options in [
        ("precision_at_k", retrieval.retrieval_precision, {"top_k": 3}),
        ("recall_at_k", retrieval.retrieval_recall, {"top_k": 3}),
        ("ndcg_at_k", retrieval.retrieval_normalized_dcg, {"top_k": 3}),
        ("hit_at_k", retrieval.retrieval_hit_rate, {"top_k": 3}),
        ("mean_reciprocal_rank", retrieval.retrieval_reciprocal_rank, {}),
    ]:
        value = np.mean([float(peer(s, y, **options)) for s, y in pairs])
        np.testing.assert_allclose(call(name, scores, truth, 3), value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("k", [1, 3, L])
def test_perfect_rankings_are_exactly_one(k):
    _, truth = inputs("random")
    truth[:, 0] |= ~truth.any(1)
    scores = np.where(truth, INVERSE[None, :], np.float32(-1))
    for name in (
        "r_precision_at_k",
        "ndcg_at_k",
        "hit_at_k",
        "psp_at_k",
        "psr_at_k",
        "psndcg_at_k",
    ):
        assert call(name, scores, truth, k) == 1, name
    assert metrics.mean_reciprocal_rank(scores, truth) == 1


def test_coverage_counts_only_labels_in_use():
    scores = np.array([[0.9, 0.5, 0.1, 0.0], [0.9, 0.5, 0.1, 0.0]], np.float32)
    truth = np.array([[1, 0, 0, 0], [1, 1, 1, 0]])
    # Label 1 is in the top 2 of both samples, but true only for the second.
    assert metrics.label_coverage_at_k(scores, truth, 1) == np.float32(1 / 3)
    assert metrics.label_coverage_at_k(scores, truth, 2) == np.float32(2 / 3)
    where = np.array([[True], [False]])
    assert metrics.label_coverage_at_k(scores, truth, 2, where=where) == 1


def test_nan_scores_are_never_hidden():
    scores, truth = inputs("random")
    scores[3, 4] = np.nan
    for sign in (1, -1):
        for name in (*AT_K, "mean_reciprocal_rank"):
            assert np.isnan(call(name, sign * scores, truth, 3)), name
    where = ~np.isnan(scores)
    where[3, 2] = False
    for name in SETS_OF_K:
        for average in ("macro", "micro"):
            assert np.isnan(call(name, scores, truth, 3, average=average))
        per_label = np.asarray(call(name, scores, truth, 3, average=None))
        assert np.isnan(per_label).all()  # whether any label is in that top k is unknown
        assert np.isfinite(call(name, scores, truth, 3, average=None, where=where)).all()
        where[3, 4] = True
        per_label = np.asarray(call(name, scores, truth, 3, average=None, where=where))
        np.testing.assert_array_equal(np.isfinite(per_label), np.arange(L) == 2)
        where[3, 4] = False


@pytest.mark.parametrize("name", [*AT_K, "mean_reciprocal_rank"])
def test_transformations(name):
    scores, truth = map(jnp.asarray, inputs("slightly tied"))
    eager = call(name, scores, truth, 3)
    assert eager.dtype == jnp.float32
    narrow = scores.astype(jnp.bfloat16)
    assert call(name, narrow, truth, 3) == call(name, narrow.astype(jnp.float32), truth, 3)
    where = scores > -1.5
    pairs = jnp.stack([scores, -scores]), jnp.stack([truth, ~truth]), jnp.stack([where, ~where])
    mapped = jax.jit(jax.vmap(lambda s, y, w: call(name, s, y, 3, where=w)))(*pairs)
    single = [call(name, s, y, 3, where=w) for s, y, w in zip(*pairs, strict=True)]
    np.testing.assert_allclose(mapped, single, rtol=1e-6)
    value, gradient = jax.jit(jax.value_and_grad(lambda s: call(name, s, truth, 3)))(scores)
    np.testing.assert_allclose(value, eager, rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0)
    with jax.enable_x64(True):
        single_precision = call(name, np.asarray(scores), truth, 3)
        assert single_precision.dtype == jnp.float32
        # Scores that float32 cannot tell apart.
        close = 1 + np.float64(1e-12) * np.asarray(scores, np.float64)
        exact = call(name, close, truth, 3, **options_of(name))
        assert exact.dtype == jnp.float64
        reference = expected(np.asarray(scores), np.asarray(truth), 3)[name]
        np.testing.assert_allclose(exact, reference, rtol=1e-14)


@pytest.mark.parametrize("k", [1, 4, 9])
def test_smallest_keys_are_those_of_a_stable_sort(k):
    rng = np.random.default_rng(5)
    special = [-np.inf, np.inf, 0.0, -0.0, 1e-40, -1e-40, 3e38, -3.4028235e38]
    scores = rng.choice(np.array(special, np.float32), (40, 9))
    keep = rng.random(scores.shape) < 0.6
    want = []
    for s, kept in zip(scores, keep, strict=True):
        order = np.argsort(-s.astype(np.float64), kind="stable")
        want.append(np.concatenate([order[kept[order]], np.flatnonzero(~kept)]))
    broken = jnp.asarray(np.where(keep, scores, np.float32(np.nan)))
    for function in (lambda keys: smallest(keys, k), jax.vmap(lambda keys: smallest(keys, k))):
        got = jax.jit(lambda s, w, f=function: f(ranking_keys(s, w)))(broken, keep)
        np.testing.assert_array_equal(got, np.stack(want)[:, :k])


@pytest.mark.parametrize("name", ["label_coverage_at_k", "ndcg_at_k", "psp_at_k"])
def test_rows_on_several_devices(name):
    scores, truth = inputs("slightly tied", n=48)
    mesh = jax.make_mesh((8,), ("n",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("n", None))
        sharded = [jax.device_put(array, rows) for array in (scores, truth)]
        got = call(name, *sharded, 3, **options_of(name))
    np.testing.assert_allclose(got, expected(scores, truth, 3)[name], rtol=2e-6)


def test_bad_input_is_named():
    scores, truth = inputs("random")
    for name in AT_K:
        with pytest.raises(ValueError, match="between 1 and the number of labels, 7, got 8"):
            call(name, scores, truth, 8)
        with pytest.raises(TypeError, match="k must be a Python integer"):
            call(name, scores, truth, (1, 3))
    for name in SETS_OF_K:
        with pytest.raises(ValueError, match="average must be one of 'samples', 'macro', 'micro'"):
            call(name, scores, truth, 2, average="weighted")
        with pytest.raises(TypeError, match="zero_division must be a number, got 'nan'"):
            call(name, scores, truth, 2, zero_division="nan")
    with pytest.raises(ValueError, match="ties must be one of 'average', 'first', got 'last'"):
        metrics.ndcg_at_k(scores, truth, 2, ties="last")
    with pytest.raises(ValueError, match=r"must have one entry per label: expected \(7,\)"):
        metrics.psp_at_k(scores, truth, 2, inverse_propensity=np.ones(3))
    with pytest.raises(ValueError, match=r"inverse_propensity must lie in \[1, inf\]"):
        metrics.psndcg_at_k(scores, truth, 2, inverse_propensity=1 / INVERSE)
