"""What every metric and decision makes of its input: unknown labels, devices, edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metric_calls import calls, first

from mllosses_jax.metrics import streaming

N, L, K = 8, 4, 2
CALLS = calls(L, K)


def batch(shape=(N, L), seed=0):
    """Tied scores in [0, 1], and labels."""
    rng = np.random.default_rng(seed)
    return rng.random(shape).round(1).astype(np.float32), rng.random(shape) < 0.4


def arguments(call, scores):
    """Returns what a call takes beside labels."""
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
