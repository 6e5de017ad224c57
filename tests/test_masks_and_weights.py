"""Gradients where masks, weights and soft labels interact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll


@pytest.mark.parametrize("name", ["softmax_focal_loss", "single_label_asymmetric_loss"])
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_a_masked_class_and_a_weight_above_one(name, gamma):
    x, y = jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[1, 0, 0]])
    where = jnp.array([[True, True, False]])
    parameter = {"gamma": gamma} if name == "softmax_focal_loss" else {"gamma_neg": gamma}

    def loss(x, y, where, weight):
        weights = jnp.array([weight])
        return getattr(mll, name)(x, y, where=where, weights=weights, reduction="sum", **parameter)

    masked = jax.grad(loss)(x, y, where, 8.0)
    deleted = jax.grad(loss)(x[:, :2], y[:, :2], None, 8.0)
    np.testing.assert_allclose(masked[:, :2], deleted, rtol=1e-5)
    assert masked[0, 2] == 0


def test_hessian_of_zlpr_at_nearly_hard_labels():
    x = jnp.array([[0.5, -1.0, 2.0]])
    hard, nearly = jnp.array([[0.0, 1.0, 0.0]]), jnp.array([[1e-30, 1.0, 0.0]])
    tiny = jnp.array([[1e-30, 0.0, 0.0]])

    def product(y):
        slope = jax.grad(lambda x: mll.zlpr_loss(x, y))
        return jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]

    np.testing.assert_allclose(product(nearly), product(hard), rtol=1e-5)
    np.testing.assert_allclose(product(tiny), product(jnp.zeros_like(x)), rtol=1e-5)


def test_a_masked_weight_is_not_looked_at():
    x, y = jnp.array([[0.0, 2.0]]), jnp.array([[0, 0]])
    where, above = jnp.array([[False, True]]), jnp.array([[True, True], [False, True]])

    def loss(x, weight):
        return mll.hierarchical_coherence_loss(
            x, y, ancestors=above, where=where, weights=jnp.array([[weight, 1.0]]), reduction="sum"
        )

    np.testing.assert_array_equal(jax.grad(loss)(x, jnp.nan), jax.grad(loss)(x, 1.0))


def test_graph_penalty_of_nearly_equal_predictions():
    random = np.random.default_rng(0)
    x = (6 + 0.1 * random.standard_normal((2, 200))).astype(np.float32)
    affinity = random.random((200, 200)).astype(np.float32)
    p = 1 / (1 + np.exp(-x.astype(np.float64)))
    expected = [np.sum(affinity * (row[:, None] - row) ** 2) / 2 for row in p]
    value = mll.label_graph_penalty(x, x > 0, affinity=affinity, reduction="none")
    np.testing.assert_allclose(value, expected, rtol=2e-3)


@pytest.mark.parametrize(
    "name", ["lsep_loss", "zlpr_loss", "two_way_sample_loss", "two_way_label_loss", "two_way_loss"]
)
def test_tangents_under_a_mask_do_not_count(name):
    rng = np.random.default_rng(0)
    x, y = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32), jnp.asarray(rng.random((4, 6)) < 0.5)
    where = jnp.asarray(rng.random((4, 6)) < 0.7)

    @jax.jit
    def changes(tangent):
        loss = functools.partial(getattr(mll, name), labels=y, where=where)
        return tuple(jax.jvp(f, (x,), (tangent,))[1] for f in (loss, jax.grad(loss)))

    wanted = changes(where.astype(x.dtype))
    for masked in (jnp.nan, jnp.inf):
        found = changes(jnp.where(where, 1, jnp.asarray(masked, x.dtype)))
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
