"""Relations among the polynomial, robust, focal and margin losses, and SPLC's switch."""

import logging
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit

import mllosses_jax as mll

LOGITS = np.random.default_rng(0).normal(scale=3, size=(6, 7)).astype(np.float32)
HARD = np.random.default_rng(1).random((6, 7)) < 0.5
SOFT = np.random.default_rng(2).random((6, 7)).astype(np.float32)


@pytest.mark.parametrize("labels", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize(
    ("loss", "other"),
    [
        (partial(mll.poly1_binary_cross_entropy, epsilon=0), mll.sigmoid_binary_cross_entropy),
        (partial(mll.poly1_focal_loss, gamma=0), mll.poly1_binary_cross_entropy),
        (
            partial(mll.poly1_focal_loss, epsilon=0, alpha=0.3),
            partial(mll.sigmoid_focal_loss, alpha=0.3),
        ),
        (
            partial(mll.asymmetric_polynomial_loss, epsilon_pos=0, epsilon_pos_pow=0),
            partial(mll.asymmetric_loss, gamma_pos=0),
        ),
        (partial(mll.generalized_binary_cross_entropy, q=0), mll.sigmoid_binary_cross_entropy),
        (
            partial(mll.generalized_binary_cross_entropy, q=jnp.float32(1e-7)),
            mll.sigmoid_binary_cross_entropy,
        ),
        (partial(mll.quality_focal_loss, beta=0), mll.sigmoid_binary_cross_entropy),
    ],
)
def test_one_loss_is_a_case_of_another(loss, other, labels):
    @jit
    def values_and_slopes(x):
        return [
            (f(x, labels, reduction="none"), jax.grad(partial(f, reduction="sum"))(x, labels))
            for f in (loss, other)
        ]

    for one, two in zip(*values_and_slopes(LOGITS), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_hard_labels_only():
    absolute = mll.generalized_binary_cross_entropy(LOGITS, HARD, q=1, reduction="none")
    np.testing.assert_allclose(absolute, jax.nn.sigmoid(np.where(HARD, -LOGITS, LOGITS)), rtol=2e-5)
    focal = mll.sigmoid_focal_loss(LOGITS, HARD, gamma=3, reduction="none")
    quality = mll.quality_focal_loss(LOGITS, HARD, beta=3, reduction="none")
    np.testing.assert_array_equal(quality, focal)
    uncorrected = mll.splc_loss(LOGITS, HARD, correct=False, margin=0)
    np.testing.assert_allclose(uncorrected, mll.sigmoid_focal_loss(LOGITS, HARD), rtol=1e-6)


def test_slope_of_a_negative_is_a_hill():
    slope = jax.grad(lambda x: mll.hill_loss(x, np.zeros_like(HARD), reduction="sum"))(LOGITS)
    p, q = jax.nn.sigmoid(LOGITS), jax.nn.sigmoid(-LOGITS)
    np.testing.assert_allclose(slope, 3 * p**2 * q**2, rtol=1e-5)


@pytest.mark.parametrize("beta", [0.5, 1, 2, jnp.array(0.0)], ids=str)
def test_quality_focal_loss_is_flat_at_its_minimum(beta):
    x, y = jnp.zeros((1, 1)), jnp.full((1, 1), 0.5)
    slope = jax.grad(lambda x: mll.quality_focal_loss(x, y, beta=beta, reduction="sum"))
    assert slope(x) == 0
    assert np.all(np.isfinite(jax.jvp(slope, (x,), (jnp.ones_like(x),))[1]))


def test_generalized_cross_entropy_has_a_slope_in_q_at_zero():
    x = jnp.array([[1.5]])
    slope = jax.grad(lambda q: mll.generalized_binary_cross_entropy(x, x > 0, q=q))(0.0)
    np.testing.assert_allclose(slope, -(np.log1p(np.exp(-1.5)) ** 2) / 2, rtol=1e-5)


@pytest.mark.parametrize("loss", [mll.asymmetric_loss, mll.robust_asymmetric_loss])
@pytest.mark.parametrize("gamma", [1e34, 3e38])
def test_a_negative_of_no_weight_has_no_slope(loss, gamma):
    # p_m is far below 1, and so p_m to a huge power is 0, however fast it grows.
    logits, labels = jnp.array([[1e-6, 0.1, 0.02, -2.9]]), jnp.zeros((1, 4), bool)
    slope = jax.grad(lambda x, gamma: loss(x, labels, gamma_neg=gamma))
    np.testing.assert_array_equal(jit(slope)(logits, jnp.float32(gamma)), np.zeros((1, 4)))


@pytest.mark.parametrize("loss", [mll.hinge_loss, mll.squared_hinge_loss])
@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_slope_at_the_kink_is_zero(loss, dtype):
    x, y = jnp.array([[1.0, -1.0]]), np.array([[1, 0]]).astype(dtype)
    slope = jax.grad(lambda x: loss(x, y, reduction="sum"))(x)
    np.testing.assert_array_equal(slope, [[0, 0]])


def test_correction_begins_without_recompilation(caplog):
    def loss(correct):
        return mll.splc_loss(LOGITS, HARD, correct=jnp.asarray(correct))

    loss(False).block_until_ready()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        before, after = loss(False), loss(True)
    assert not [r for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert before == mll.splc_loss(LOGITS, HARD, correct=False)
    assert after == mll.splc_loss(LOGITS, HARD)
    assert after < before


def test_a_corrected_label_is_a_positive_without_margin():
    x, y = jnp.array([[2.0, 0.0]]), jnp.array([[0, 0]])
    losses = mll.splc_loss(x, y, reduction="none")
    expected = mll.sigmoid_focal_loss(x, jnp.array([[1, 0]]), reduction="none")
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    slope = jax.grad(lambda x: mll.splc_loss(x, y, reduction="sum"))(x)
    assert slope[0, 0] < 0 < slope[0, 1]
