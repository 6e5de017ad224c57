"""Statistics of labels, against definitions written as loops."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import metrics


def labels_and_mask(seed=0, n=30, num_labels=6):
    """Returns imbalanced labels, one absent and one unknown, and an empty and an unknown row."""
    rng = np.random.default_rng(seed)
    truth = rng.random((n, num_labels)) < np.array([0.8, 0.5, 0.3, 0.1, 0.4, 0])
    truth[4] = False
    where = rng.random(truth.shape) < 0.7
    where[:, 4] = False
    where[9] = False
    return truth, where


def by_loops(truth, where):
    """Computes the seven statistics by their definitions, in float64."""
    rows = [[j for j in np.flatnonzero(w) if y[j]] for y, w in zip(truth, where, strict=True)]
    rows = [row for row, w in zip(rows, where, strict=True) if w.any()]
    labels = range(truth.shape[1])
    counts = [sum(j in row for row in rows) for j in labels]
    prevalence = [c / w.sum() if w.any() else np.nan for c, w in zip(counts, where.T, strict=True)]
    ratio = [max(counts) / c if c else np.inf for c in counts]
    scumble = []
    for row in rows:
        ratios = [ratio[j] for j in row]
        if row:
            scumble.append(1 - np.prod(ratios) ** (1 / len(row)) / np.mean(ratios))
        else:
            scumble.append(0)
    return (
        counts,
        prevalence,
        np.mean([len(row) for row in rows]),
        sum(counts) / where.sum(),
        ratio,
        np.mean([r for r in ratio if np.isfinite(r)]),
        np.mean(scumble),
    )


@pytest.mark.parametrize("masked", [False, True])
def test_statistics_by_their_definitions(masked):
    truth, where = labels_and_mask()
    if masked:
        got = metrics.label_statistics(np.where(where, truth, np.nan), where=where)
    else:
        where = np.ones_like(where)
        got = metrics.label_statistics(truth)
        np.testing.assert_allclose(got.density, got.cardinality / 6, rtol=1e-6)
    assert got.counts.dtype == jnp.int32
    for value, answer in zip(got, by_loops(truth, where), strict=True):
        np.testing.assert_allclose(value, answer, rtol=1e-5, atol=1e-6)
    assert got.scumble > 0.01


def test_statistics_of_simple_sets():
    disjoint = metrics.label_statistics(jnp.eye(3, dtype=bool)[jnp.array([0, 0, 0, 1, 2])])
    assert disjoint.scumble == 0  # rare labels never occur beside frequent ones
    np.testing.assert_array_equal(disjoint.imbalance_ratio, [1, 3, 3])
    empty = metrics.label_statistics(jnp.zeros((4, 2), bool))
    np.testing.assert_array_equal(empty.imbalance_ratio, np.inf)
    assert np.isnan(empty.mean_imbalance_ratio)
    assert empty.cardinality == empty.density == empty.scumble == 0


def pairs_by_loops(truth, where, normalize):
    """Returns counts or fractions of each pair of labels over the rows in which both are known."""
    num_labels = truth.shape[1]
    result = np.empty((num_labels, num_labels))
    for j, k in product(range(num_labels), repeat=2):
        y = truth[where[:, j] & where[:, k]]
        both = np.sum(y[:, j] & y[:, k])
        whole = {
            None: 1,
            "conditional": np.sum(y[:, j]),
            "jaccard": np.sum(y[:, j] | y[:, k]),
        }[normalize]
        result[j, k] = both / whole if whole else np.nan
    return result


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("normalize", [None, "conditional", "jaccard"])
def test_cooccurrence_by_loops(normalize, masked):
    truth, where = labels_and_mask(1)
    if masked:
        labels, options = np.where(where, truth, np.nan), {"where": where}
    else:
        labels, options, where = truth, {}, np.ones_like(where)
    got = metrics.label_cooccurrence(labels, normalize=normalize, **options)
    assert got.dtype == (jnp.int32 if normalize is None else jnp.float32)
    np.testing.assert_allclose(got, pairs_by_loops(truth, where, normalize), rtol=1e-6)


def test_cooccurrence_counts_beyond_the_precision_of_float32():
    n = 2**24 + 3
    labels = jnp.ones((n, 1), bool)
    np.testing.assert_array_equal(metrics.label_cooccurrence(labels), [[n]])
    assert metrics.label_statistics(labels).counts == n


def test_under_jit_vmap_and_x64():
    truth, _ = labels_and_mask(2)
    pair = jnp.stack([jnp.asarray(truth), jnp.asarray(~truth)])
    statistics = jax.jit(jax.vmap(metrics.label_statistics))(pair)
    for i, y in enumerate((truth, ~truth)):
        np.testing.assert_allclose(
            statistics.scumble[i], by_loops(y, np.ones_like(y))[-1], rtol=1e-5
        )
    with jax.enable_x64(True):
        answer = by_loops(truth, np.ones_like(truth))
        for value, other in zip(metrics.label_statistics(truth), answer, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-13)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"labels must have two axes.*got \(3,\)"):
        metrics.label_statistics(np.ones(3))
    with pytest.raises(ValueError, match="labels must hold at least one sample and one label"):
        metrics.label_cooccurrence(np.ones((0, 3)))
    with pytest.raises(TypeError, match="where must be a bool array"):
        metrics.label_statistics(np.ones((2, 3)), where=np.ones((2, 3)))
    with pytest.raises(ValueError, match="normalize must be one of None, 'conditional'"):
        metrics.label_cooccurrence(np.ones((2, 3)), normalize="lift")
