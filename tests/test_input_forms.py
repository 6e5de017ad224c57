"""How every metric and decision treats its input: unknown labels, devices, edge cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from metric_calls import DECISIONS, ON_HOST, calls, first

from mllosses_jax import calibration
from mllosses_jax.metrics import streaming

N, L, K = 8, 4, 2
CALLS = calls(L, K)


def batch(shape=(N, L), seed=0):
    """Returns tied scores in [0, 1], and labels."""
    rng = np.random.default_rng(seed)
    return rng.random(shape).round(1).astype(np.float32), rng.random(shape) < 0.4


def arguments(call, scores):
    """Returns the arguments that a call takes besides labels."""
    kind = first(call)
    return {} if kind is None else {kind: scores > 0.5 if kind == "predictions" else scores}


@pytest.mark.parametrize("name", CALLS)
def test_nan_labels_are_refused_where_they_count(name):
    call = CALLS[name]
    scores, truth = batch()
    labels = truth.astype(np.float32)
    labels[2, 1] = np.nan
    given = arguments(call, scores)
    for unknown in (labels, jnp.asarray(labels)):
        with pytest.raises(ValueError, match=rf"{name}: labels must be known.*NaN at \(2, 1\)"):
            call(labels=unknown, **given)
        with pytest.raises(ValueError, match="labels must be known"):
            call(labels=unknown, where=np.ones((N, 1), bool), **given)
    known = ~np.isnan(labels)
    found = call(labels=labels, where=known, **given)
    expected = call(labels=truth, where=known, **given)
    if name != "threshold_report":
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def function_of(name, calls):
    """Returns a function of scores and labels, both (N, L)."""
    if name in DECISIONS:
        return lambda scores, labels: DECISIONS[name](scores)
    return lambda scores, labels: calls[name](labels=labels, **arguments(calls[name], scores))


def assert_close(found, expected):
    def compare(ours, theirs):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=2e-5, atol=2e-6)

    jax.tree.map(compare, found, expected)


@pytest.mark.parametrize("name", sorted({*CALLS, *DECISIONS} - ON_HOST))
def test_samples_and_labels_on_several_devices(name):
    scores, truth = batch()
    function = function_of(name, CALLS)
    mesh = jax.make_mesh((2, 4), ("n", "l"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        given = jax.device_put((scores, truth), NamedSharding(mesh, PartitionSpec("n", "l")))
        found = jax.device_get(jit(function)(*given))
    assert_close(found, function(scores, truth))


EDGES = {shape: calls(shape[1], 1) for shape in ((1, 3), (3, 1), (1, 1))}


@pytest.mark.parametrize("name", sorted({*CALLS, *DECISIONS} - ON_HOST))
def test_edges_are_the_same_under_jit(name):
    for shape, functions in EDGES.items():
        function = function_of(name, functions)
        compiled = jit(function)
        random, truth = batch(shape)
        for scores in (random, np.full(shape, 0.5, np.float32)):
            for labels in (truth, np.zeros(shape, bool), np.ones(shape, bool)):
                assert_close(compiled(scores, labels), function(scores, labels))


@pytest.mark.parametrize("name", ["f1", "average_precision", "ndcg_at_k", "brier_score"])
def test_labels_of_any_dtype_in_numpy_or_jax(name):
    scores, truth = batch()
    function = function_of(name, CALLS)
    expected = function(scores, truth)
    for dtype in (np.bool_, np.int8, np.int32, np.uint8, np.float32, jnp.bfloat16):
        labels = truth.astype(dtype)
        np.testing.assert_array_equal(function(scores, labels), expected)
        np.testing.assert_array_equal(function(jnp.asarray(scores), jnp.asarray(labels)), expected)
    with pytest.raises(TypeError, match=r"labels must be an array.* list"):
        function(scores, truth.tolist())


@pytest.mark.parametrize("fit", ["fit_platt", "fit_isotonic"])
def test_calibrators_of_any_labels(fit):
    scores, truth = batch()
    function = getattr(calibration, fit)
    expected = function(scores, truth)(scores)
    for dtype in (np.int32, np.float32):
        for labels in (truth.astype(dtype), jnp.asarray(truth.astype(dtype))):
            np.testing.assert_allclose(function(scores, labels)(scores), expected, rtol=1e-5)
    with pytest.raises(TypeError, match=r"labels must be an array.* list"):
        function(scores, truth.tolist())


@pytest.mark.parametrize("name", ["plugin_f_thresholds", "block_coordinate_sets"])
def test_nothing_to_decide_on_is_named(name):
    with pytest.raises(ValueError, match="must hold at least one sample and one label"):
        DECISIONS[name](np.zeros((0, 3), np.float32))


def test_streams_look_into_numpy_arrays():
    scores, truth = batch()
    labels = np.where(truth, 1, np.nan)
    counts = streaming.ConfusionCounts.init(L)
    with pytest.raises(ValueError, match="update: labels must be known"):
        counts.update(scores > 0.5, labels)
    counts.update(scores > 0.5, labels, where=truth)
    means = streaming.SampleMeans.init(hit=CALLS["hit_at_k"])
    with pytest.raises(ValueError, match="update: labels must be known"):
        means.update(scores, labels)
