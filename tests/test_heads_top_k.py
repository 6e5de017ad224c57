"""The exact top k of a head, predictions above thresholds, and metrics from ids."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_for_memory

from mllosses_jax import heads, metrics

B, L, D = 6, 307, 8


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(0)
    features = rng.integers(-2, 3, (B, D)).astype(np.float32)  # integers: products are exact,
    kernel = rng.integers(-2, 3, (L, D)).astype(np.float32)  # and there are many ties
    bias = rng.integers(-2, 3, L).astype(np.float32)
    return features, kernel, bias


def ranking(scores):
    """Returns all ids in descending order of score, the lower id first among equal scores."""
    return np.argsort(-scores, axis=1, kind="stable")


@pytest.mark.parametrize("chunk_size", [64, 100, 306, 307, 1000])
def test_top_k_is_exact_and_the_lower_id_wins_a_tie(head, chunk_size):
    features, kernel, bias = head
    scores = features @ kernel.T + bias
    found = heads.linear_head_top_k(features, kernel, 20, bias=bias, chunk_size=chunk_size)
    order = ranking(scores)[:, :20]
    assert (np.asarray(found.ids) == order).all()
    assert (np.asarray(found.scores) == np.take_along_axis(scores, order, 1)).all()


def test_k_beyond_a_chunk(head):
    features, kernel, bias = head
    found = heads.linear_head_top_k(features, kernel, L, bias=bias, chunk_size=50)
    assert (np.asarray(found.ids) == ranking(features @ kernel.T + bias)).all()


def test_the_other_layout_and_rows_beyond_the_last_label(head):
    features, kernel, _ = head
    expected = ranking(features @ kernel[:300].T)[:, :9]
    found = heads.linear_head_top_k(
        features, kernel.T, 9, label_axis=1, num_labels=300, chunk_size=128
    )
    assert (np.asarray(found.ids) == expected).all()


def test_excluded_labels_and_too_few_left(head):
    features, kernel, _ = head
    few = kernel[:5]
    exclude = np.array([[0, -1], [4, 4], [1, 2], [-1, -1], [3, 0], [2, 1]])
    found = heads.linear_head_top_k(features, few, 4, exclude=exclude, chunk_size=2)
    scores = features @ few.T
    for row, (ids, values) in enumerate(
        zip(*map(np.asarray, (found.ids, found.scores)), strict=True)
    ):
        wanted = [i for i in ranking(scores)[row] if i not in exclude[row]][:4]
        assert ids.tolist() == wanted + [-1] * (4 - len(wanted))
        assert (np.isneginf(values) == (ids == -1)).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float8"])
def test_narrow_kernels(head, dtype):
    features, kernel, _ = head  # small integers are exact in either
    narrow = (
        heads.Float8Kernel.from_array(kernel) if dtype == "float8" else jnp.asarray(kernel, dtype)
    )
    found = heads.linear_head_top_k(features, narrow, 7, chunk_size=100)
    assert (np.asarray(found.ids) == ranking(features @ kernel.T)[:, :7]).all()


@pytest.mark.parametrize("scalar", [True, False])
def test_predictions_are_the_labels_above_their_thresholds(head, scalar):
    features, kernel, bias = head
    cuts = np.float32(4) if scalar else (np.arange(L) % 7).astype(np.float32)
    scores = features @ kernel.T + bias
    found = heads.linear_head_predictions(
        features, kernel, cuts, bias=bias, max_predictions=40, chunk_size=100
    )
    for row in range(B):
        above = [
            i for i in ranking(scores - cuts)[row] if scores[row, i] > (cuts if scalar else cuts[i])
        ]
        assert found.counts[row] == len(above)
        assert [i for i in found.ids[row].tolist() if i >= 0] == above[:40]


def test_top_k_needs_no_memory_that_grows_with_the_labels():
    like = jax.ShapeDtypeStruct

    def temporaries(num_labels):
        search = jit_for_memory(functools.partial(heads.linear_head_top_k, k=5))
        program = search.lower(like((128, 128), jnp.float32), like((num_labels, 128), jnp.float32))
        return program.compile().memory_analysis().temp_size_in_bytes

    small, large = temporaries(131_072), temporaries(10_000_000)
    assert large - small < 4 * 2**20  # the logits of the smaller chunk at the end
    assert large < 32 * 2**20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k must be between 1"),
        ({"k": 308}, "k must be between 1"),
        ({"k": 2.0}, "k must be a Python integer"),
        ({"exclude": np.array([[400]] * B)}, r"exclude must hold ids in \[0, 307\)"),
        ({"features": np.ones((B, D + 1), np.float32)}, "kernel must have shape"),
        ({"label_axis": 1}, "label_axis=0"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
    ],
)
def test_refused(head, change, message):
    features, kernel, _ = head
    with pytest.raises((TypeError, ValueError), match=message):
        heads.linear_head_top_k(**({"features": features, "kernel": kernel, "k": 3} | change))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bias_in_float64_keeps_its_digits(dtype):
    """Whatever the dtype of features and kernel; thresholds in float64 keep theirs, too."""
    rng = np.random.default_rng(0)
    features = rng.integers(-2, 3, (B, D)).astype(dtype)
    kernel = np.repeat(rng.integers(-2, 3, (1, D)), L, 0).astype(dtype)
    bias = 1 + 1e-12 * rng.permutation(L)  # all that tells labels apart
    scores = features.astype(np.float64) @ kernel.T.astype(np.float64) + bias
    with jax.enable_x64(True):
        found = heads.linear_head_top_k(features, kernel, 9, bias=bias, chunk_size=100)
        assert found.scores.dtype == jnp.float64
        np.testing.assert_array_equal(found.ids, ranking(scores)[:, :9])
        np.testing.assert_array_equal(found.scores, -np.sort(-scores)[:, :9])
        cuts = np.sort(bias)[-5] + scores[0, 0] - bias[0]
        above = heads.linear_head_predictions(
            features[:1], kernel, cuts, bias=bias, max_predictions=9, chunk_size=100
        )
        assert above.counts.tolist() == [(scores[0] > cuts).sum()]
        assert 3 <= above.counts[0] <= 5


def test_no_samples(head):
    _, kernel, bias = head
    found = heads.linear_head_top_k(np.zeros((0, D), np.float32), kernel, 3, bias=bias)
    assert found.ids.shape == (0, 3)


@pytest.fixture(scope="module")
def ranked():
    rng = np.random.default_rng(1)
    labels = rng.random((40, 25)) < 0.1
    labels[3] = False
    scores = rng.normal(size=(40, 25)).astype(np.float32)
    positives = heads.positives_from_dense(labels)
    positives = np.concatenate([positives, positives[:, :1]], 1)  # an id that is there twice
    where = rng.random(40) < 0.8
    return scores, labels, positives, where


NAMES = ("precision_at_k", "recall_at_k", "ndcg_at_k", "psp_at_k")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_metrics_from_ids_equal_those_from_scores(ranked, name, masked):
    scores, labels, positives, where = ranked
    weights = np.linspace(1, 5, 25).astype(np.float32)
    own = {"inverse_propensity": weights} if name == "psp_at_k" else {}
    for k in (1, 3, 25):
        ids = ranking(scores)[:, :k]
        found = getattr(heads, name)(ids, positives, where=where if masked else None, **own)
        mask = {"where": where[:, None]} if masked else {}
        expected = getattr(metrics, name)(scores, labels, k, **own, **mask)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_recall_leaves_out_samples_without_labels(ranked):
    scores, labels, positives, _ = ranked
    found = heads.recall_at_k(ranking(scores)[:, :3], positives, zero_division=jnp.nan)
    some = labels.any(1)
    expected = metrics.recall_at_k(scores[some], labels[some], 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_ece_at_k(ranked):
    scores, labels, positives, where = ranked
    ids = ranking(scores)[:, :4]
    p = 1 / (1 + np.exp(-np.take_along_axis(scores, ids, 1)))
    hits = np.take_along_axis(labels, ids, 1)
    bins = np.minimum(np.ceil(p * 10).astype(int) - 1, 9)[where]
    p, hits = p[where], hits[where]
    expected = sum(abs(p[bins == b].sum() - hits[bins == b].sum()) for b in range(10)) / p.size
    probabilities = jax.nn.sigmoid(np.take_along_axis(scores, ids, 1))
    found = heads.ece_at_k(ids, probabilities, positives, bins=10, where=where)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_metrics_from_ids_of_nothing_are_nan(ranked, name):
    scores, _, positives, _ = ranked
    own = {"inverse_propensity": np.ones(25)} if name == "psp_at_k" else {}
    nothing = np.zeros(40, bool)
    assert np.isnan(getattr(heads, name)(ranking(scores)[:, :2], positives, where=nothing, **own))


def test_ids_without_a_propensity_give_nan():
    weights = np.ones(5)
    assert np.isnan(heads.psp_at_k(np.array([[0]]), np.array([[0, 5]]), inverse_propensity=weights))
    assert heads.psp_at_k(np.array([[0]]), np.array([[0, -1]]), inverse_propensity=weights) == 1


def test_float_ids_are_refused(ranked):
    scores, _, positives, _ = ranked
    with pytest.raises(TypeError, match="ids must hold integer ids"):
        heads.precision_at_k(scores[:, :2], positives)
