"""Sums over pairs without the pairs equal sums over all pairs, in value, gradient and curvature."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit

import mllosses_jax as mll

TEMPERATURE = 0.5
SIZES = [2, 9, 300, 3000]  # one block, two blocks, one group of blocks, three groups


def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def logistic_and_slope(x, positives):
    gaps = x[~positives] - x[positives][:, None]  # (P, N)
    slope = np.zeros_like(x)
    slope[positives] = -sigmoid(gaps).mean(axis=1) / positives.sum()
    slope[~positives] = sigmoid(gaps).mean(axis=0) / (~positives).sum()
    return np.logaddexp(0, gaps).mean(), slope


def smooth_ap_and_slope(x, positives):
    s = sigmoid((x - x[positives][:, None]) / TEMPERATURE)  # (P, n)
    slopes = s * (1 - s) / TEMPERATURE
    itself = np.eye(x.size, dtype=bool)[positives]
    right = 1 + s.sum(axis=1, where=positives & ~itself)
    wrong = s.sum(axis=1, where=np.broadcast_to(~positives, s.shape))
    by_right, by_wrong = -wrong / (right + wrong) ** 2, right / (right + wrong) ** 2
    terms = slopes * np.where(positives, by_right[:, None], by_wrong[:, None]) * ~itself
    slope = terms.sum(axis=0)
    slope[positives] -= terms.sum(axis=1)
    return (wrong / (right + wrong)).mean(), slope / positives.sum()


def smooth_ap(x, positives, where=None):
    columns = x[:, None], positives[:, None]
    return mll.smooth_ap_loss(*columns, temperature=TEMPERATURE, where=where)


@jit
def curved_logistic(x, positives, v):
    return derivatives(mll.pairwise_logistic_loss, x, positives, v)


@jit
def curved_smooth_ap(x, positives, v):
    return derivatives(smooth_ap, x, positives, v)


def derivatives(loss, x, positives, v):
    def slope(x):
        return jax.value_and_grad(loss)(x, positives)

    (value, gradient), (_, product) = jax.jvp(slope, (x,), (v,))
    return value, gradient, product


CASES = {
    "pairwise_logistic_loss": (curved_logistic, logistic_and_slope),
    "smooth_ap_loss": (curved_smooth_ap, smooth_ap_and_slope),
}

# Relative to the largest entry. Among equal logits, the terms of smooth AP's curvature cancel.
CURVATURE_ERROR = {"pairwise_logistic_loss": 1e-5, "smooth_ap_loss": 5e-4}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", SIZES)
def test_sums_equal_those_over_all_pairs(name, size):
    found, wanted = CASES[name]
    rng = np.random.default_rng(size)
    v = rng.normal(size=size).astype(np.float32)
    for density in (0.1, 0.6):
        positives = rng.random(size) < density
        positives[:2] = True, False
        row = 3 * rng.normal(size=size)
        for logits in (row, np.round(row), np.zeros(size), 30 * row):  # the second has ties
            x = logits.astype(np.float32)
            value, gradient, product = found(x, positives, v)
            exact, h = x.astype(np.float64), 1e-6
            expected, slope = wanted(exact, positives)
            change = wanted(exact + h * v, positives)[1] - wanted(exact - h * v, positives)[1]
            curvature, largest = change / (2 * h), np.abs(slope).max()
            np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-30)
            np.testing.assert_allclose(gradient, slope, rtol=0, atol=1e-5 * largest + 1e-30)
            bound = CURVATURE_ERROR[name] * max(np.abs(curvature).max(), largest) + 1e-30
            np.testing.assert_allclose(product, curvature, rtol=0, atol=bound)


def test_entries_that_do_not_count_are_in_no_pair():
    rng = np.random.default_rng(0)
    x, positives = rng.normal(size=300).astype(np.float32), rng.random(300) < 0.3
    where = rng.random(300) < 0.7
    hidden = np.where(where, x, np.nan)
    for loss, wanted in (
        (mll.pairwise_logistic_loss, logistic_and_slope),
        (lambda *args, where: smooth_ap(*args, where=where[:, None]), smooth_ap_and_slope),
    ):
        value, gradient = jax.value_and_grad(loss)(hidden, positives, where=where)
        expected, slope = wanted(x[where].astype(np.float64), positives[where])
        np.testing.assert_allclose(value, expected, rtol=2e-6)
        assert not np.any(np.asarray(gradient)[~where])
        np.testing.assert_allclose(gradient[where], slope, rtol=0, atol=3e-6 * np.abs(slope).max())


def test_a_row_of_many_labels():
    """One of 100,000 labels is positive, so all pairs fit in memory for the comparison."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=100_000).astype(np.float32)
    positives = np.arange(x.size) == 7
    value, gradient = jax.value_and_grad(mll.pairwise_logistic_loss)(jnp.asarray(x), positives)
    expected, slope = logistic_and_slope(x.astype(np.float64), positives)
    np.testing.assert_allclose(value, expected, rtol=2e-6)
    # The powers of exp(-gap) are products over hundreds of blocks.
    np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_third_derivatives(name):
    """The slope of the curvature along v is that of differences of exact slopes."""
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, 20))
    positives = rng.random(20) < 0.4
    loss = {"pairwise_logistic_loss": mll.pairwise_logistic_loss, "smooth_ap_loss": smooth_ap}[name]
    wanted = CASES[name][1]

    def slope(x):
        return jax.grad(loss)(x, positives)

    @jit
    def third(x, v):
        return jax.jvp(lambda x: jax.jvp(slope, (x,), (v,))[1], (x,), (v,))[1]

    found = third(x.astype(np.float32), v.astype(np.float32))
    h = 1e-3
    slopes = [wanted(x + step * v, positives)[1] for step in (h, 0, -h)]
    expected = (slopes[0] - 2 * slopes[1] + slopes[2]) / h**2
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_logits_of_a_diverged_model_are_not_a_perfect_loss(name):
    loss = {"pairwise_logistic_loss": mll.pairwise_logistic_loss, "smooth_ap_loss": smooth_ap}[name]
    for size in (3, 30):
        value, gradient = jax.value_and_grad(loss)(
            np.full(size, np.nan, np.float32), np.arange(size) < 2
        )
        assert np.isnan(value)
        assert np.isnan(gradient).all()
