"""Properties of the long-tail losses beyond the contract of every loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll

X = np.random.default_rng(0).normal(scale=3, size=(6, 4)).astype(np.float32)
Y = np.random.default_rng(1).random(X.shape) < 0.4
COUNTS = np.array([0, 3, 40, 50], np.float32)  # out of 50: one label is absent, one universal


@pytest.mark.parametrize("dtype", [bool, np.float32])
@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_absent_and_universal_labels_are_finite(dtype, gamma):
    y = np.concatenate([Y, np.zeros((1, 4), bool), np.ones((1, 4), bool)]).astype(dtype)
    x = np.concatenate([X, X[:2]])

    def total(x, counts):
        loss = mll.distribution_balanced_loss(
            x, y, label_counts=counts, num_samples=50, gamma=gamma, reduction="none"
        )
        margin = mll.ldam_loss(x, y, label_counts=counts, reduction="none")
        adjusted = mll.logit_adjusted_binary_cross_entropy(
            x, y, prior=counts / 50, reduction="none"
        )
        return jnp.sum(loss) + jnp.sum(margin) + jnp.sum(adjusted), (loss, margin, adjusted)

    function = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))
    gradients, losses = function(x, COUNTS)
    for array in jax.tree.leaves((gradients, losses)):
        assert np.all(np.isfinite(array))
    clamped = jax.tree.leaves(function(x, np.clip(COUNTS, 1, 49))[1])
    np.testing.assert_array_equal(losses[0], clamped[0])


def test_a_row_without_positives_weighs_most():
    loss = functools.partial(
        mll.distribution_balanced_loss, X[:1], label_counts=COUNTS, num_samples=50, reduction="none"
    )
    empty = np.zeros((1, 4), bool)
    ratio = loss(empty) / loss(empty, alpha=0.5, beta=0)
    np.testing.assert_allclose(ratio, np.full((1, 4), 1.1), rtol=1e-5)


def test_the_undivided_bias_is_that_of_the_text_version():
    prior = COUNTS[1:3] / 50
    x, y = X[:, 1:3], Y[:, 1:3]
    ours = mll.distribution_balanced_loss(
        x,
        y,
        label_counts=COUNTS[1:3],
        num_samples=50,
        kappa=0.05 * 2,
        alpha=0.5,
        beta=0,
        gamma=0,
        balance=1,
        reduction="none",
    )
    z = x + 0.05 * np.log(prior / (1 - prior))
    reference = np.where(y, np.logaddexp(0, -z), np.logaddexp(0, 2 * z) / 2)
    np.testing.assert_allclose(ours, reference, rtol=1e-5)


def test_logit_adjustment_is_the_bias_without_the_rest():
    counts = np.array([1, 3, 40, 49], np.float32)
    ours = mll.logit_adjusted_binary_cross_entropy(X, Y, prior=counts / 50)
    balanced = mll.distribution_balanced_loss(
        X,
        Y,
        label_counts=counts,
        num_samples=50,
        alpha=0.5,
        beta=0,
        kappa=1,
        neg_scale=1,
        gamma=0,
        balance=1,
    )
    np.testing.assert_allclose(ours, balanced, rtol=1e-6)
    plain = mll.sigmoid_binary_cross_entropy(X, Y)
    unadjusted = mll.logit_adjusted_binary_cross_entropy(X, Y, prior=counts / 50, tau=0)
    np.testing.assert_allclose(unadjusted, plain, rtol=1e-6)


def test_without_margin_frequency_or_loss_of_labels_it_is_cross_entropy():
    plain = mll.sigmoid_binary_cross_entropy(X, Y, reduction="none")
    for loss in (
        functools.partial(mll.ldam_loss, label_counts=COUNTS, max_margin=0, scale=1),
        functools.partial(mll.equalization_loss, label_frequencies=COUNTS / 50, threshold=0),
        functools.partial(mll.unbiased_binary_cross_entropy, propensity=1),
    ):
        np.testing.assert_allclose(loss(X, Y, reduction="none"), plain, rtol=2e-6)


def test_a_rare_label_learns_from_its_positives_alone():
    frequencies = np.array([0.001, 0.001, 0.5, 0.5])
    gradient = jax.grad(
        lambda x: mll.equalization_loss(x, Y, label_frequencies=frequencies, reduction="sum")
    )(X)
    plain = jax.grad(lambda x: mll.sigmoid_binary_cross_entropy(x, Y, reduction="sum"))(X)
    kept = Y | (frequencies > 0.01)
    np.testing.assert_allclose(gradient, np.where(kept, plain, 0), rtol=1e-6)


@pytest.mark.parametrize("rho", [0.05, 0.5, 0.9])
def test_expectation_over_missing_labels(rho):
    loss = functools.partial(mll.unbiased_binary_cross_entropy, X, propensity=rho, reduction="none")
    noted, missing = loss(np.ones(X.shape, bool)), loss(np.zeros(X.shape, bool))
    complete = mll.sigmoid_binary_cross_entropy(X, np.ones(X.shape, bool), reduction="none")
    np.testing.assert_allclose(rho * noted + (1 - rho) * missing, complete, rtol=1e-4, atol=1e-5)


def test_unbiased_loss_has_no_lower_bound_and_a_convex_upper_one():
    x = np.linspace(-50, 1e4, 50, dtype=np.float32)[:, None]
    y, rho = np.ones(x.shape, bool), 0.2
    ours = mll.unbiased_binary_cross_entropy(x, y, propensity=rho, reduction="none")
    above = mll.sigmoid_binary_cross_entropy(x, y, pos_weight=2 / rho - 1, reduction="none")
    assert np.all(np.diff(ours[:, 0]) < 0)
    np.testing.assert_allclose(ours[-1], (1 - 1 / rho) * 1e4, rtol=1e-5)
    assert np.all(above >= ours)


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_infinite_logits(dtype):
    x = jnp.array([[-np.inf], [np.inf], [-np.inf], [np.inf]], jnp.float32)
    y = jnp.array([[1], [1], [0], [0]]).astype(dtype)
    for loss, limits in (
        (
            functools.partial(mll.distribution_balanced_loss, label_counts=20, num_samples=50),
            [np.inf, 0, 0, np.inf],
        ),
        (functools.partial(mll.ldam_loss, label_counts=20), [np.inf, 0, 0, np.inf]),
        (
            functools.partial(mll.logit_adjusted_binary_cross_entropy, prior=0.1),
            [np.inf, 0, 0, np.inf],
        ),
        (
            functools.partial(mll.equalization_loss, label_frequencies=0.001),
            [np.inf, 0, 0, 0],
        ),
        (
            functools.partial(mll.unbiased_binary_cross_entropy, propensity=0.5),
            [np.inf, -np.inf, 0, np.inf],
        ),
    ):
        value = jax.jit(functools.partial(loss, reduction="none"))(x, y)
        np.testing.assert_array_equal(value[:, 0], limits)
        gradient = jax.jit(jax.grad(lambda x, loss=loss: loss(x, y, reduction="sum")))(x)
        assert np.all(np.isfinite(gradient))
