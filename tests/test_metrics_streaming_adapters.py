"""Accumulators as metrics of clu (beside those of metrax) and of Flax NNX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk
from streaming_inputs import batch, empties

from mllosses_jax.metrics import streaming


def test_clu_collection():
    clu = pytest.importorskip("clu.metrics")
    scores, truth = batch()
    empty = empties()
    collection = clu.Collection.create(
        auc=streaming.as_clu(empty["scores"], lambda s: s.roc_auc().estimate),
        f1=streaming.as_clu(empty["counts"], lambda s: s.f1(), outputs="predictions"),
        loss=clu.Average.from_output("loss"),
    )

    @jax.jit
    def step(total, logits, labels, mask):
        loss = jnp.mean(jnp.abs(logits), axis=1)
        new = collection.single_from_model_output(
            logits=logits, labels=labels, predictions=logits > 0, loss=loss, mask=mask
        )
        return total.merge(new)

    total = collection.empty()
    for i in range(0, 96, 32):
        mask = (np.arange(i, i + 32) < 80).astype(np.float32)  # a padded last batch
        total = step(total, scores[i : i + 32], truth[i : i + 32], mask)
    with jax.numpy_dtype_promotion("standard"):  # for the metric of clu
        got = total.compute()
    expected = empty["scores"].update(scores[:80], truth[:80]).roc_auc().estimate
    assert got["auc"] == expected
    expected = sk.f1_score(truth[:80], scores[:80] > 0, average="macro", zero_division=0)
    np.testing.assert_allclose(got["f1"], expected, rtol=1e-6)
    # `reduce` sums states that have a leading axis of devices.
    metric = streaming.as_clu(empty["counts"], lambda s: s.f1(), outputs="predictions")
    halves = [
        metric.from_model_output(predictions=scores[part] > 0, labels=truth[part])
        for part in (slice(0, 40), slice(40, 80))
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *halves)
    np.testing.assert_allclose(stacked.reduce().compute(), expected, rtol=1e-6)
    assert float(halves[0].merge(halves[1]).compute_value().value) == float(got["f1"])
    with pytest.raises(TypeError, match="predictions must be passed by name, got only"):
        metric.from_model_output(logits=scores, labels=truth)


def test_beside_metrics_of_metrax():
    clu = pytest.importorskip("clu.metrics")
    metrax = pytest.importorskip("metrax")
    scores, truth = batch()
    scores, labels = jnp.asarray(scores), jnp.asarray(truth, jnp.float32)
    ours = streaming.as_clu(
        empties()["scores"], lambda s: s.roc_auc().estimate, outputs="predictions"
    )
    collection = clu.Collection.create(ours=ours, theirs=metrax.MSE)
    states = collection.empty().merge(
        collection.single_from_model_output(predictions=scores, labels=labels)
    )
    expected = empties()["scores"].update(scores, truth).roc_auc().estimate
    assert states.ours.compute() == expected


def test_nnx_metric():
    nnx = pytest.importorskip("flax.nnx")
    scores, truth = batch()
    empty = empties()
    both = nnx.MultiMetric(
        auc=streaming.as_nnx(empty["scores"], lambda s: s.roc_auc().estimate),
        f1=streaming.as_nnx(empty["counts"], lambda s: s.f1(), outputs="predictions"),
        mean=nnx.metrics.Average("loss"),
    )

    @nnx.jit
    def step(metric, logits, labels):
        loss = jnp.abs(logits)
        metric.update(logits=logits, labels=labels, predictions=logits > 0, loss=loss)

    for _ in range(2):
        for i in range(0, 96, 32):
            step(both, scores[i : i + 32], truth[i : i + 32])
        with jax.numpy_dtype_promotion("standard"):  # for the metric of flax
            got = both.compute()
        assert got["auc"] == empty["scores"].update(scores, truth).roc_auc().estimate
        expected = sk.f1_score(truth, scores > 0, average="macro", zero_division=0)
        np.testing.assert_allclose(got["f1"], expected, rtol=1e-6)
        both.reset()
    assert np.isnan(both.auc.compute())
    single = streaming.as_nnx(empty["counts"], lambda s: s.f1(), outputs="predictions")
    single.update(predictions=scores > 0, labels=truth, mask=np.arange(96) < 50)
    expected = sk.f1_score(truth[:50], scores[:50] > 0, average="macro", zero_division=0)
    np.testing.assert_allclose(single.compute(), expected, rtol=1e-6)
    with pytest.raises(TypeError, match="labels must be passed by name"):
        single.update(predictions=scores > 0)
