"""Losses of dense logits with the ids of positives, in one sweep over the labels or in two."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit
from two_sweep_inputs import CHUNK, B, L, dense, each_loss, in_all_ways, inputs

import mllosses_jax as mll
from mllosses_jax import catalogue, heads


@each_loss
def test_sparse_labels_of_dense_logits(name, kwargs):
    _, _, _, ids, unknown, where, weights = inputs()
    logits = np.random.default_rng(5).normal(size=(B, L)).astype(np.float32)
    given = {"unknown": unknown, "where": where, "sample_weights": weights}
    logits[4] = np.nan  # a masked sample

    def function(way, logits):
        return heads.sparse_label_loss(
            logits,
            ids,
            loss=catalogue.find(name).loss,
            loss_kwargs=kwargs,
            implementation=way,
            chunk_size=CHUNK,
            **given,
        )

    mask = ~dense(unknown) & where[:, None]
    loss = catalogue.find(name).loss
    expected = jax.value_and_grad(
        lambda z: loss(z, dense(ids), where=mask, weights=weights, **kwargs)
    )(logits)
    for value, (gradient,) in in_all_ways(function, logits).values():
        np.testing.assert_allclose(value, expected[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("way", ["dense", "one_pass", "recompute", "checkpoint", None])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sparse_labels_of_a_separable_loss(way, dtype):
    ids, unknown = inputs()[3:5]
    logits = jnp.asarray(np.random.default_rng(5).normal(size=(B, L)), dtype)
    weights = jnp.linspace(0.5, 2, L)
    value, gradient = jit(
        jax.value_and_grad(
            lambda z: heads.sparse_label_loss(
                z,
                ids,
                loss=mll.sigmoid_focal_loss,
                label_weights=weights,
                unknown=unknown,
                implementation=way,
                chunk_size=CHUNK,
            )
        )
    )(logits)
    expected = jax.value_and_grad(
        lambda z: mll.sigmoid_focal_loss(z, dense(ids), weights=weights, where=~dense(unknown))
    )(logits)
    assert gradient.dtype == logits.dtype
    np.testing.assert_allclose(value, expected[0], rtol=1e-6)
    np.testing.assert_allclose(
        gradient.astype(jnp.float32),
        expected[1].astype(jnp.float32),
        rtol=1e-5 if dtype == "float32" else 1e-2,
        atol=1e-9,
    )


def test_sparse_labels_refuse_what_is_no_batch_of_logits():
    with pytest.raises(ValueError, match=r"logits must have shape \(B, L\)"):
        heads.sparse_label_loss(np.ones(3, np.float32), [[0]])
    with pytest.raises(ValueError, match=r"positives must hold ids in \[0, 3\)"):
        heads.sparse_label_loss(np.ones((1, 3), np.float32), [[3]])
