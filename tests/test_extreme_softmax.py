"""Focused and decoupled softmax losses at the limits of the float range, in 50 digits."""

import functools
import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from compiling import jit

from mllosses_jax import (
    decoupled_softmax_loss,
    factorized_count_loss,
    single_label_asymmetric_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
)

ROWS = {
    np.float32: [
        [1.2e38, -1.2e38, 0.0],
        [3e38, 0.0, -4e37],
        [1e30, -1e30, 0.0],
        [-3e38, 0.0, 3e37],
        [3e38, 2e38, 3e38],
        [90.0, 0.0, -90.0],
        [-9.0, 0.5, 12.0],
    ],
    np.float16: [[6e4, -6e4, 0.0], [3e4, 0.0, -6e4], [-6e4, 0.0, 6e4], [9.0, 0.0, -12.0]],
}
ROWS[jnp.bfloat16] = ROWS[np.float32]


def exact_slope(row, label, weight_of):
    """Computes the gradient of Σ_c w_c(s)·(−log s_c) to 50 digits, by the slope in each s_c."""
    with mpmath.workdps(60):
        x = [mpmath.mpf(float(value)) for value in row]
        exponentials = [mpmath.exp(value - max(x)) for value in x]
        total = mpmath.fsum(exponentials)
        s = [value / total for value in exponentials]
        logs = [value - max(x) - mpmath.log(total) for value in x]
        rest = [mpmath.fsum(exponentials[:c] + exponentials[c + 1 :]) / total for c in range(3)]
        by_log = [weight_of(s[c], logs[c], rest[c], c == label) for c in range(3)]
        return [
            float(by_log[k] * rest[k] - s[k] * mpmath.fsum(by_log[:k] + by_log[k + 1 :]))
            for k in range(3)
        ]


def falling(gamma, s, log, rest):
    """Computes the derivative of −(1 − s)^γ·log s with respect to log s."""
    steep = gamma * rest ** (gamma - 1) * s * log if rest and gamma else 0
    return steep - (rest**gamma if rest or gamma else mpmath.mpf(1))


def rising(gamma, s, log):
    """Computes the derivative of −s^γ·log s with respect to log s."""
    return -(s**gamma if gamma else 1) * (gamma * log + 1)


@pytest.mark.parametrize("dtype", ROWS)
@pytest.mark.parametrize("gamma", [0, 0.5, 1.0, 2, 4.5])
def test_slope_of_the_softmax_focal_loss(gamma, dtype):
    x = jnp.asarray(ROWS[dtype], dtype)

    @jit
    @jax.grad
    def slope(x, labels):
        return jnp.sum(softmax_focal_loss(x, labels, gamma=gamma, reduction="none"))

    for label in range(3):
        labels = np.tile(np.eye(3, dtype=np.float32)[label], (len(x), 1))

        def exact(s, log, rest, true):
            return falling(gamma, s, log, rest) if true else mpmath.mpf(0)

        expected = [exact_slope(row, label, exact) for row in np.asarray(x, np.float64)]
        found = np.asarray(slope(x, labels), np.float64)
        rtol = 1e-5 if dtype == np.float32 else 1e-2
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("dtype", ROWS)
@pytest.mark.parametrize("gammas", [(0, 4), (0.5, 1.5), (2, 0)])
def test_slope_of_the_asymmetric_loss_of_single_labels(gammas, dtype):
    x, (on, off), smoothing = jnp.asarray(ROWS[dtype], dtype), gammas, 0.3

    @jit
    @jax.grad
    def slope(x, ids):
        losses = single_label_asymmetric_loss(
            x, ids, gamma_pos=on, gamma_neg=off, label_smoothing=smoothing, reduction="none"
        )
        return jnp.sum(losses)

    for label in range(3):
        ids = np.full(len(x), label, np.int32)

        def exact(s, log, rest, true):
            share = mpmath.mpf(smoothing) / 3
            if true:
                return (1 - mpmath.mpf(smoothing) + share) * falling(on, s, log, rest)
            return share * rising(off, s, log)

        expected = [exact_slope(row, label, exact) for row in np.asarray(x, np.float64)]
        found = np.asarray(slope(x, ids), np.float64)
        rtol = 1e-5 if dtype == np.float32 else 1e-2
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("loss", [softmax_focal_loss, single_label_asymmetric_loss])
def test_curvature_is_finite_at_the_ends(loss):
    x = jnp.asarray(ROWS[np.float32])

    @functools.partial(jit, static_argnums=0)
    def curvature(gamma, x, direction):
        named = {"gamma": gamma} if loss is softmax_focal_loss else {"gamma_pos": gamma}
        slope = jax.grad(lambda x: loss(x, jnp.ones(len(x), int), reduction="sum", **named))
        return jax.jvp(slope, (x,), (direction,))[1]

    for gamma in (0, 0.5, 2, 2.5):
        product = curvature(gamma, x, jnp.ones_like(x))
        np.testing.assert_allclose(product, 0, atol=1e-5)  # a shift of all logits changes nothing
        one = curvature(gamma, x, np.eye(3, dtype=np.float32)[np.arange(len(x)) % 3])
        assert np.isfinite(one).all()


@pytest.mark.parametrize("dtype", [bool, np.float32])
@pytest.mark.parametrize("loss", [softmax_cross_entropy, factorized_count_loss])
def test_slope_of_cross_entropies_does_not_cancel(loss, dtype):
    x = jnp.array([[30.0, 0.0, -2.0], [50.0, 1.0, 2.0]])  # softmax(x) is nearly the label
    labels = jnp.array([[1, 0, 0], [1, 0, 0]], dtype)
    named = {"count_logits": jnp.zeros(2)} if loss is factorized_count_loss else {}
    found = jax.grad(lambda x: loss(x, labels, reduction="sum", **named))(x)

    def exact(s, log, rest, true):
        return mpmath.mpf(-1 if true else 0)

    expected = [exact_slope(np.asarray(row, np.float64), 0, exact) for row in x]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [bool, np.float32])
def test_cross_entropy_of_infinite_logits(dtype):
    x = jnp.array([[0.0, -np.inf, 0.0]])
    labels = jnp.array([[1, 0, 0], [0, 1, 0]], dtype)
    for labels_of_row, wanted in zip(labels, (np.log(2), np.inf), strict=True):
        loss = functools.partial(softmax_cross_entropy, labels=labels_of_row[None])
        value, slope = jax.value_and_grad(lambda x, loss=loss: loss(x))(x)
        np.testing.assert_allclose(value, wanted, rtol=1e-6)
        np.testing.assert_allclose(slope, [[0.5, 0, 0.5] - np.float32(labels_of_row)], rtol=1e-6)


@pytest.mark.parametrize("share", [0.5, 1e-30])
def test_a_share_of_a_label_of_no_probability_costs_infinitely_much(share):
    x, labels = jnp.array([[0.0, -np.inf]]), jnp.array([[1 - share, share]], jnp.float32)
    assert softmax_cross_entropy(x, labels) == np.inf


def test_an_exponential_that_is_never_1_costs_digits_only(monkeypatch):
    # XLA promises no exact exp(0), and some device's may be the number below 1.
    x = jnp.array([[3.0, 1.0, -2.0], [2.0, 2.0, 2.0], [12.0, 0.0, 1.0]])
    labels = jnp.array([[1, 0, 0], [0, 1, 1], [1, 0, 0]], bool)
    loss = functools.partial(softmax_cross_entropy, labels=labels, reduction="none")
    wanted = loss(x), jax.jacobian(loss)(x)
    exp = jnp.exp
    monkeypatch.setattr(jnp, "exp", lambda x: (1 - 2.0**-24) * exp(x))
    jax.clear_caches()
    found = loss(x), jax.jacobian(loss)(x)
    monkeypatch.undo()
    jax.clear_caches()
    assert not np.array_equal(found[0], wanted[0])  # it was used
    for got, truth in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, truth, atol=1e-6)


def exact_decoupled(row, positive):
    """Computes value, gradient and Hessian of the decoupled loss to 60 digits."""
    with mpmath.workdps(60):
        x = [mpmath.mpf(float(value)) for value in row]
        on, off = ([c for c in range(3) if positive[c] is want] for want in (True, False))
        value, slope, curve = mpmath.mpf(0), mpmath.matrix(3, 1), mpmath.matrix(3, 3)
        for p in on:
            exponents = {j: x[j] - x[p] for j in off}
            top = max([mpmath.mpf(0), *exponents.values()])
            total = mpmath.exp(-top) + mpmath.fsum(mpmath.exp(e - top) for e in exponents.values())
            value += (top + mpmath.log(total)) / len(on)
            s = {j: mpmath.exp(e - top) / total for j, e in exponents.items()}
            s[p] = mpmath.exp(-top) / total
            others = mpmath.fsum(s[j] for j in off)
            for a, b in itertools.product(s, s):
                rest = mpmath.fsum(s[c] for c in s if c != a)
                curve[a, b] += (s[a] * rest if a == b else -s[a] * s[b]) / len(on)
            for a, share in s.items():
                slope[a] += (share if a != p else -others) / len(on)
        return (
            float(value),
            [float(v) for v in slope],
            [[float(v) for v in r] for r in curve.tolist()],
        )


@pytest.mark.parametrize("dtype", ROWS)
def test_decoupled_loss_and_two_derivatives(dtype):
    x = jnp.asarray(ROWS[dtype], dtype)

    @jit
    def value_slope_and_curve(row, positive):
        def loss(x):
            return decoupled_softmax_loss(x, positive)

        return loss(row), jax.grad(loss)(row), jax.hessian(loss)(row.astype(jnp.float32))

    for positive in ([True, False, False], [True, True, False], [False, True, True]):
        for row in x:
            value, slope, curve = exact_decoupled(np.asarray(row, np.float64), positive)
            found, found_slope, found_curve = jax.device_get(
                value_slope_and_curve(row, np.array(positive))
            )
            rtol = 1e-5 if dtype == np.float32 else 1e-2
            tiny = 1e-30 if dtype == np.float32 else 1e-6  # float16 has no smaller numbers
            if value * sum(positive) < 3e38:  # the sum of the terms is a float
                np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-37)
            np.testing.assert_allclose(found_slope.astype(float), slope, rtol=rtol, atol=tiny)
            np.testing.assert_allclose(found_curve, curve, rtol=1e-5, atol=1e-7)
