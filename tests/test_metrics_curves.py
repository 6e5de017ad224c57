"""Curves, their best points and the two ways of computing areas, against peers."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from mllosses_jax import decisions, metrics
from mllosses_jax._core import compile
from mllosses_jax.metrics import _long_rows

CASES = ["random", "tied", "signed zeros", "trivial labels", "masked", "float64"]
AREAS = {
    "average_precision": sk.average_precision_score,
    "roc_auc": sk.roc_auc_score,
    "label_ranking_average_precision": sk.label_ranking_average_precision_score,
    "label_ranking_loss": sk.label_ranking_loss,
}


def columns(case, n=80, labels=5):
    """Returns scores, labels and a mask, which leaves one label no entries in the masked case."""
    rng = np.random.default_rng(3)
    truth = rng.random((n, labels)) < 0.3
    scores = (rng.standard_normal((n, labels)) + truth).astype(np.float32)
    where = np.ones_like(truth)
    if case in {"tied", "masked"}:
        scores = scores.round(1)
    if case == "signed zeros":
        scores = np.where(rng.random(scores.shape) < 0.3, np.float32(-0.0), scores.round())
    if case == "trivial labels":
        truth[:, 0], truth[:, 1] = False, True
    if case == "masked":
        where = rng.random(truth.shape) < 0.6
        where[:, 2] = False
        scores = np.where(where, scores, np.nan)
    if case == "float64":  # float32 cannot tell these apart
        scores = 1 + 1e-12 * scores.astype(np.float64)
    return scores, truth, where


@pytest.fixture(autouse=True)
def _quiet_peer():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        yield


@pytest.mark.parametrize("case", CASES)
def test_curves_are_those_of_scikit_learn(case):
    scores, truth, where = columns(case)
    mask = where if case == "masked" else None
    pr = metrics.precision_recall_curve(scores, truth, where=mask)
    roc = metrics.roc_curve(scores, truth.astype(int), where=mask)
    for i in range(truth.shape[1]):
        y, s = truth[where[:, i], i], scores[where[:, i], i].astype(np.float64)
        if not len(y):
            assert [len(part) for part in (*pr[i], *roc[i])] == [1, 1, 0, 1, 1, 1]
            continue
        expected = sk.precision_recall_curve(y, s), sk.roc_curve(y, s, drop_intermediate=False)
        for part, value in zip((*pr[i], *roc[i]), (*expected[0], *expected[1]), strict=True):
            assert part.dtype == np.float64
            np.testing.assert_array_equal(part, value)


def test_curves_of_narrow_infinite_and_broken_scores():
    scores, truth, _ = columns("tied")
    narrow = jnp.asarray(scores, jnp.bfloat16)
    wide = np.asarray(narrow).astype(np.float32)
    for got, expected in zip(
        metrics.roc_curve(narrow, truth), metrics.roc_curve(wide, truth), strict=True
    ):
        jax.tree.map(np.testing.assert_array_equal, got, expected)
    extreme = np.array([np.inf, 0, 0, -np.inf])[:, None]
    (curve,) = metrics.precision_recall_curve(extreme, np.array([[1], [0], [1], [0]]))
    np.testing.assert_array_equal(curve.thresholds, [-np.inf, 0, np.inf])
    np.testing.assert_array_equal(curve.recall, [1, 1, 0.5, 0])
    scores[3, 1] = np.nan
    curves = metrics.precision_recall_curve(scores, truth)
    assert [np.isnan(curve.precision).any() for curve in curves] == [False, True, *[False] * 3]
    assert np.isnan(metrics.roc_curve(scores, truth)[1].true_positive_rate).any()
    with pytest.raises(TypeError, match=r"scores must be a floating-point array.*labels passed"):
        metrics.roc_curve(truth, wide)
    with pytest.raises(ValueError, match="labels must have the shape of scores"):
        metrics.precision_recall_curve(scores, truth[:, :2])


POINTS = {
    "recall_at_precision": (metrics.recall_at_precision, "precision"),
    "precision_at_recall": (metrics.precision_at_recall, "recall"),
}


def best_point(y, s, name, floor):
    """Returns the best value and its threshold; among ties the constrained ratio decides."""
    best = (0.0, 0.0, np.inf)
    for t in np.unique(s):
        hits = np.sum(y & (s >= t))
        pair = hits / np.sum(s >= t), hits / max(np.sum(y), 1)
        constrained, value = pair if name == "recall_at_precision" else pair[::-1]
        if constrained >= floor and value > 0:
            best = max(best, (value, constrained, t), key=lambda point: point[:2])
    return best[0], best[2]


@pytest.mark.parametrize("case", CASES[:-1])
@pytest.mark.parametrize("name", POINTS)
def test_best_points_are_those_of_a_search(name, case):
    function, parameter = POINTS[name]
    scores, truth, where = columns(case)
    mask = where if case == "masked" else None
    for floor in (0, 0.37, 0.6, 1):
        got = function(scores, truth, average=None, where=mask, **{parameter: floor})
        expected = [
            best_point(truth[where[:, i], i], scores[where[:, i], i], name, floor)
            for i in range(truth.shape[1])
        ]
        values, thresholds = np.array(expected).T
        np.testing.assert_array_equal(got.thresholds, thresholds)
        defined = (truth & where).any(0)
        np.testing.assert_allclose(
            got.value, np.where(defined, values, np.nan), rtol=1e-6, equal_nan=True
        )
        macro = function(scores, truth, where=mask, **{parameter: floor})
        np.testing.assert_allclose(macro.value, values[defined].mean(), rtol=1e-6)
        # The threshold attains the value.
        chosen = decisions.apply_thresholds(np.where(where, scores, -np.inf), got.thresholds)
        attained = metrics.recall if name == "recall_at_precision" else metrics.precision
        again = attained(chosen, truth & where, average=None)
        np.testing.assert_allclose(again, np.where(defined, values, 0), rtol=1e-6)


@pytest.mark.parametrize("name", POINTS)
def test_best_points_are_those_of_torchmetrics(name):
    torch = pytest.importorskip("torch")
    peers = pytest.importorskip("torchmetrics.functional.classification")
    peer = {
        "recall_at_precision": peers.multilabel_recall_at_fixed_precision,
        "precision_at_recall": peers.multilabel_precision_at_fixed_recall,
    }[name]
    function, parameter = POINTS[name]
    scores, truth, _ = columns("tied")
    scores = 1 / (1 + np.exp(-scores))  # the peer takes scores outside [0, 1] for logits
    for floor in (0.0, 0.4, 0.75, 1.0):
        arrays = torch.tensor(scores), torch.tensor(truth.astype(int))
        expected, thresholds = peer(*arrays, truth.shape[1], floor)
        got = function(scores, truth, average=None, **{parameter: floor})
        np.testing.assert_allclose(got.value, expected.numpy(), rtol=1e-6)
        np.testing.assert_allclose(
            got.thresholds, np.nan_to_num(thresholds.numpy(), nan=np.inf), rtol=1e-6
        )


@pytest.mark.parametrize("name", POINTS)
def test_best_points_of_averages_and_traces(name):
    function, parameter = POINTS[name]
    scores, truth, _ = columns("tied")
    flat = best_point(truth.ravel(), scores.ravel(), name, 0.5)
    micro = function(scores, truth, average="micro", **{parameter: 0.5})
    np.testing.assert_allclose(micro, flat, rtol=1e-6)
    assert function(scores, truth, average="samples", **{parameter: 0.5}).thresholds.shape == (80,)
    traced = jax.jit(lambda s, y, floor: function(s, y, **{parameter: floor}))
    eager = function(scores, truth, **{parameter: 0.4})
    jax.tree.map(np.testing.assert_array_equal, traced(scores, truth, 0.4), eager)
    broken = scores.copy()
    broken[0, 1] = np.nan
    got = function(broken, truth, average=None, **{parameter: 0.4})
    assert np.flatnonzero(np.isnan(got.value)) == np.flatnonzero(np.isnan(got.thresholds)) == [1]
    with pytest.raises(ValueError, match=rf"{parameter} must lie in \[0, 1\], got 1.5"):
        function(scores, truth, **{parameter: 1.5})


def host_or_traced(case, dtype):
    scores, truth, where = columns(case, n=5000, labels=4)  # long enough for numpy's kernel
    return scores.astype(dtype), truth, where if case == "masked" else None


@functools.cache
def traced(name, average):
    """Returns a metric under `jit`; one program serves all cases without a mask."""
    options = {} if "ranking" in name else {"average": average}
    return jax.jit(lambda s, y, w: getattr(metrics, name)(s, y, where=w, **options))


@pytest.mark.parametrize("case", [*CASES[:-1], "bfloat16", "float16"])
@pytest.mark.parametrize("name", AREAS)
def test_host_equals_traced(name, case):
    scores, truth, where = host_or_traced(case, getattr(jnp, case, jnp.float32))
    averages = [None] if "ranking" in name or case == "masked" else [None, "micro", "samples"]
    for average in averages:
        options = {} if "ranking" in name else {"average": average}
        host = getattr(metrics, name)(scores, truth, where=where, **options)
        other = traced(name, average)(scores.astype(np.float32), truth, where)
        assert host.dtype == other.dtype
        np.testing.assert_allclose(host, other, rtol=3e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["average_precision", "roc_auc"])
def test_long_rows_match_scikit_learn(name, case):
    scores, truth, where = host_or_traced(case, np.float64 if case == "float64" else np.float32)
    keep = np.ones_like(truth) if where is None else where
    with jax.enable_x64(case == "float64"):
        got = getattr(metrics, name)(scores, truth, average=None, where=where, undefined="nan")
        assert got.dtype == (jnp.float64 if case == "float64" else jnp.float32)
    tolerance = 1e-14 if case == "float64" else 2e-7
    for i, value in enumerate(np.asarray(got)):
        y, s = truth[keep[:, i], i], scores[keep[:, i], i]
        if y.any() and (name == "average_precision" or not y.all()):
            np.testing.assert_allclose(value, AREAS[name](y, s), rtol=tolerance)
        else:
            assert np.isnan(value)


def test_a_broken_long_row_is_never_hidden():
    scores, truth, _ = host_or_traced("random", np.float32)
    scores[7, 2] = np.nan
    for name in ("average_precision", "roc_auc"):
        got = np.asarray(getattr(metrics, name)(scores, truth, average=None))
        assert np.isnan(got).tolist() == [False, False, True, False]


def test_numpy_is_used_for_concrete_arrays_on_one_cpu_only(monkeypatch):
    calls = []
    sort = np.sort
    monkeypatch.setattr(np, "sort", lambda *args, **kw: calls.append("sort") or sort(*args, **kw))
    pool = _long_rows.ThreadPoolExecutor
    monkeypatch.setattr(
        _long_rows, "ThreadPoolExecutor", lambda *args: calls.append("pool") or pool(*args)
    )
    scores, truth, _ = host_or_traced("random", np.float32)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    spread = jax.device_put(scores, rows)
    for name in ("average_precision", "label_ranking_loss"):
        function = getattr(metrics, name)
        value = function(scores, truth)
        assert calls[0] == ("sort" if "ranking" in name else "pool")
        calls.clear()
        np.testing.assert_allclose(function(spread, truth), value, rtol=3e-6)
        jax.vmap(function)(scores[None], truth[None])
        jax.jit(lambda f=function: f(scores, truth))()  # the arrays are constants of the program
        np.testing.assert_array_equal(jax.grad(function)(scores, truth), 0)
        assert not calls
    assert not compile.on_host(spread)


@pytest.mark.parametrize("average", ["macro", "micro", "samples"])
def test_rows_on_several_devices(average):
    rng = np.random.default_rng(8)
    scores = np.round(rng.standard_normal((64, 5)), 1).astype(np.float32)
    truth = rng.random(scores.shape) < 0.4
    truth[:, 0], truth[:, 1] = True, False  # no row is undefined
    mesh = jax.make_mesh((8,), ("n",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("n", None))
        sharded = [jax.device_put(array, rows) for array in (scores, truth)]
        got = metrics.average_precision(*sharded, average=average, undefined="zero")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")
        wanted = sk.average_precision_score(truth, scores, average=average)
    np.testing.assert_allclose(got, wanted, rtol=2e-6)


@pytest.mark.parametrize("function", [metrics.average_precision, metrics.roc_auc])
def test_nan_of_a_label_without_weight_is_seen(function):
    scores = np.float32([[0.1, np.nan], [0.2, 0.3], [0.5, 0.6]])
    labels = np.array([[0, 0], [1, 0], [0, 0]])
    assert np.isnan(function(scores, labels, average="weighted"))
