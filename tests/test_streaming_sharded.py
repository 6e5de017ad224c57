"""Accumulators on explicit meshes: batches and states split over samples, labels, or both."""

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from sklearn import metrics as sk

from mllosses_jax import metrics
from mllosses_jax.metrics import streaming

N, L = 48, 8
LAYOUTS = [P("n", "l"), P(None, "l"), P("n", None), P(None, ("n", "l")), P(("l", "n"), None)]


def data():
    rng = np.random.default_rng(0)
    truth = rng.random((N, L)) < 0.4
    scores = (rng.standard_normal((N, L)) + truth).astype(np.float32)
    return scores, truth, rng.random((N, L)) < 0.8


@pytest.fixture(scope="module")
def mesh():
    return jax.make_mesh((2, 4), ("n", "l"), axis_types=(AxisType.Explicit,) * 2)


def placed(state, mesh, spec):
    return jax.device_put(state, NamedSharding(mesh, spec))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("of_state", [P(), P("l")], ids=str)
def test_histograms(mesh, layout, of_state):
    scores, truth, where = data()
    one = streaming.ScoreHistogram.init(L, inputs="logits", bins=64)
    expected = one.update(scores, truth, where=where)
    with jax.set_mesh(mesh):
        state = placed(one, mesh, of_state)
        given = jax.device_put((scores, truth, where), NamedSharding(mesh, layout))
        update = jax.jit(lambda state, s, y, w: state.update(s, y, where=w))
        found = update(state, *given)
        assert jax.typeof(found.cells).sharding.spec[0] == (*of_state, None)[0]
        np.testing.assert_array_equal(found.cells, expected.cells)
        twice = found.merge(found)
        assert jax.typeof(twice.cells).sharding == jax.typeof(found.cells).sharding
        np.testing.assert_array_equal(twice.cells, 2 * np.asarray(expected.cells))
        for average in ("macro", "micro", None):
            for name in ("average_precision", "roc_auc"):
                got = getattr(found, name)(average=average)
                answer = getattr(expected, name)(average=average)
                jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, answer)
        bounds = jax.device_get(found.average_precision(average=None))
        for label, kept in enumerate(where.T):
            exact = sk.average_precision_score(truth[kept, label], scores[kept, label])
            assert bounds.lower[label] <= exact <= bounds.upper[label]
        for scope in ("label", "global"):
            got = found.best_thresholds(scope=scope)
            np.testing.assert_array_equal(got, expected.best_thresholds(scope=scope))
        jax.tree.map(
            np.testing.assert_array_equal,
            found.precision_recall_curve(),
            expected.precision_recall_curve(),
        )
        if of_state == P("l") and layout in LAYOUTS[:2]:
            text = update.lower(state, *given).compile().as_text()
            assert "all-gather" not in text


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("of_state", [P(), P("l")], ids=str)
def test_counts(mesh, layout, of_state):
    scores, truth, where = data()
    chosen = scores > 0
    with jax.set_mesh(mesh):
        state = placed(streaming.ConfusionCounts.init(L), mesh, of_state)
        given = jax.device_put((chosen, truth, where), NamedSharding(mesh, layout))
        found = jax.jit(lambda state, p, y, w: state.update(p, y, where=w))(state, *given)
        assert jax.typeof(found.tp).sharding.spec[0] == (*of_state, None)[0]
        found = found.merge(found)
        np.testing.assert_array_equal(found.tp, 2 * (chosen & truth & where).sum(0))
        np.testing.assert_array_equal(found.predicted, 2 * (chosen & where).sum(0))
        np.testing.assert_array_equal(found.actual, 2 * (truth & where).sum(0))
        np.testing.assert_array_equal(found.entries, 2 * where.sum(0))
        f1 = [sk.f1_score(truth[w, j], chosen[w, j]) for j, w in enumerate(where.T)]
        np.testing.assert_allclose(found.f1(average=None), f1, rtol=1e-6)
        np.testing.assert_allclose(found.f1(), np.mean(f1), rtol=1e-6)
        micro = sk.f1_score(truth[where], chosen[where])
        np.testing.assert_allclose(found.f1(average="micro"), micro, rtol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_means_over_samples(mesh, layout):
    scores, truth, _ = data()
    state = streaming.SampleMeans.init(lrap=metrics.label_ranking_average_precision)
    with jax.set_mesh(mesh):
        given = jax.device_put((scores, truth), NamedSharding(mesh, layout))
        found = jax.jit(lambda state, s, y: state.update(s, y))(state, *given)
        (value,) = found.compute().values()
    expected = sk.label_ranking_average_precision_score(truth, scores)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_states_outside_a_mesh_that_is_set(mesh):
    scores, truth, _ = data()
    given = jax.device_put((scores, truth), NamedSharding(mesh, P("n", "l")))
    found = streaming.ScoreHistogram.init(L, inputs="logits", bins=64).update(*given)
    expected = streaming.ScoreHistogram.init(L, inputs="logits", bins=64).update(scores, truth)
    np.testing.assert_array_equal(found.cells, expected.cells)
