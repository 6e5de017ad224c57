"""Sums over pairs: ties, several blocks, and rows too long for the contract suite."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

import mllosses_jax as mll
from mllosses_jax._core import pairs


def test_a_hinge_that_just_closes_has_no_slope():
    logits, labels = jnp.array([[1.0, 0.0, 0.0, 0.5]]), np.array([[1, 0, 0, 1]])
    gradient = jax.grad(mll.multilabel_margin_loss)(logits, labels)
    np.testing.assert_array_equal(gradient, [[0, 0.25, 0.25, -0.5]])


def row_of(size):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, size)).astype(np.float32), rng.random((2, size)) < 0.1


@pytest.mark.parametrize("name", ["multilabel_margin_loss", "warp_loss"])
def test_long_rows(name):
    logits, labels = row_of(3000)
    value, gradient = jax.value_and_grad(lambda x: getattr(mll, name)(x, labels, reduction="sum"))(
        logits
    )
    arguments = logits.astype(np.float64), labels.astype(float), np.ones_like(labels)
    np.testing.assert_allclose(value, oracles.find(name)(*arguments).sum(), rtol=2e-6)
    slope = oracles.find(f"{name}_slope")(*arguments)
    # A pair within rounding of its margin may fall on either side.
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=3e-3)


@pytest.mark.parametrize(
    ("name", "kwargs"), [("pairwise_logistic_loss", {}), ("smooth_ap_loss", {"temperature": 0.5})]
)
def test_blocks_do_not_change_the_result(name, kwargs, monkeypatch):
    logits, labels = row_of(30)
    if name == "smooth_ap_loss":
        logits, labels = logits.T, labels.T

    def results():
        def loss(x):
            return getattr(mll, name)(x, labels, reduction="sum", **kwargs)

        second = jax.grad(lambda x: jnp.sum(jax.grad(loss)(x) ** 2))
        jax.clear_caches()  # the size of a block is a constant of the program
        return *jax.value_and_grad(loss)(logits), second(logits)

    one = results()
    monkeypatch.setattr(pairs, "_BLOCK", 240)  # four of the 30 anchors at a time
    for got, wanted in zip(results(), one, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7)
