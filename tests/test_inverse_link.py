"""The probability of a score, against closed forms and the minimum of the conditional risk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, logit

import mllosses_jax as mll
from mllosses_jax import calibration


def focal_closed_form(x, gamma):
    """Computes Ψ of Charoenphakdee et al. for two classes."""

    def h(v):
        return v / ((1 - v) ** gamma - gamma * (1 - v) ** (gamma - 1) * v * np.log(v))

    p, q = expit(x), expit(-x)
    return h(p) / (h(p) + h(q))


@pytest.mark.parametrize("gamma", [0.5, 1, 2.0, 3.5])
def test_inverse_link_of_focal_loss_is_the_closed_form(gamma):
    x = np.linspace(-12, 12, 101)
    got = calibration.inverse_link(mll.sigmoid_focal_loss, np.float32(x), gamma=gamma)
    np.testing.assert_allclose(got, focal_closed_form(x, gamma), rtol=2e-5)


def asymmetric(x, gamma_neg, gamma_pos, clip):
    """Computes the losses of a positive and of a negative, from the formula."""
    p, p_m = expit(x), max(expit(x) - clip, 0)
    return -((1 - p) ** gamma_pos) * log_expit(x), -(p_m**gamma_neg) * np.log1p(-p_m)


RISKS = {
    "bce": (mll.sigmoid_binary_cross_entropy, {}, lambda x: (-log_expit(x), -log_expit(-x))),
    "pos_weight": (
        mll.sigmoid_binary_cross_entropy,
        {"pos_weight": 3.0},
        lambda x: (-3 * log_expit(x), -log_expit(-x)),
    ),
    "focal": (
        mll.sigmoid_focal_loss,
        {"gamma": 2.0, "alpha": 0.25},
        lambda x: (-0.25 * expit(-x) ** 2 * log_expit(x), -0.75 * expit(x) ** 2 * log_expit(-x)),
    ),
    "asymmetric": (
        mll.asymmetric_loss,
        {"gamma_neg": 3.0, "gamma_pos": 1.0, "clip": 0.05, "detach_focus": False},
        lambda x: asymmetric(x, 3.0, 1.0, 0.05),
    ),
    "squared hinge": (
        mll.squared_hinge_loss,
        {},
        lambda x: (max(1 - x, 0) ** 2, max(1 + x, 0) ** 2),
    ),
}


@pytest.mark.parametrize("case", RISKS)
def test_inverse_link_undoes_the_minimum_of_the_conditional_risk(case):
    loss, params, losses = RISKS[case]
    etas = np.array([0.02, 0.1, 0.3, 0.5, 0.7, 0.9])

    def best(eta):
        def risk(x):
            positive, negative = losses(x)
            return eta * positive + (1 - eta) * negative

        grid = np.linspace(-15, 15, 1201)
        near = grid[np.argmin([risk(x) for x in grid])]
        options = {"xatol": 1e-10}
        return minimize_scalar(
            risk, bounds=(near - 0.05, near + 0.05), method="bounded", options=options
        ).x

    scores = np.array([best(eta) for eta in etas], np.float32)
    np.testing.assert_allclose(calibration.inverse_link(loss, scores, **params), etas, atol=1e-5)


def test_inverse_link_of_the_strictly_proper_loss_is_its_own():
    x = np.linspace(-12, 12, 101)
    parameters = {"k_neg": 2.0, "b_neg": 0.5, "zeta_neg": 4.0, "k_pos": 1.5, "b_pos": -0.5}
    for given in ({}, parameters):
        named = {"k_neg": 3.0, "b_neg": 1.0, "zeta_neg": 5.0, "k_pos": 1.0, "b_pos": 0.0} | given
        positive = named["k_pos"] * expit(-named["k_pos"] * (x - named["b_pos"]))
        negative = named["k_neg"] * expit(named["k_neg"] * (x - named["b_neg"]))
        wanted = 1 / (1 + positive * named["zeta_neg"] / negative)
        loss = mll.strictly_proper_asymmetric_loss
        found = calibration.inverse_link(loss, np.float32(x), **given)
        np.testing.assert_allclose(found, wanted, rtol=2e-5)
        assert np.all(np.diff(np.asarray(found, np.float64)) >= 0)


def test_a_strictly_proper_loss_learns_the_frequency():
    """Gradient descent on a constant score ends at the score of the frequency."""
    labels = jnp.arange(20)[:, None] < 3

    def risk(x):
        return mll.strictly_proper_asymmetric_loss(jnp.full((20, 1), x), labels)

    slope = jax.jit(jax.grad(risk))
    x = jnp.float32(0)
    for _ in range(200):
        x -= 5 * slope(x)
    found = calibration.inverse_link(mll.strictly_proper_asymmetric_loss, x[None])
    np.testing.assert_allclose(found, 3 / 20, rtol=1e-3)


def test_inverse_link_follows_the_slope_of_training():
    x = np.float32([-1.0, 0.0, 2.0])
    p = expit(x.astype(np.float64))
    p_m = p - 0.05
    positive = (1 - p) ** 1.0 * (1 - p)  # weight times slope of −log p
    negative = p_m**4 * p * (1 - p) / (1 - p_m)
    got = calibration.inverse_link(mll.asymmetric_loss, x)
    np.testing.assert_allclose(got, negative / (negative + positive), rtol=1e-5)
    alive = calibration.inverse_link(mll.asymmetric_loss, x, detach_focus=False)
    assert np.all(np.abs(alive - got) > 0.001)


def test_inverse_link_at_its_limits():
    x = np.float32([-np.inf, -1e30, -60, -20, 0, 20, 60, 1e30, np.inf])
    for loss, params in [
        (mll.sigmoid_binary_cross_entropy, {}),
        (mll.sigmoid_focal_loss, {"gamma": 2.0}),
        (mll.sigmoid_focal_loss, {"gamma": 0.5}),
        (mll.asymmetric_loss, {}),
        (mll.asymmetric_loss, {"clip": 0.0, "detach_focus": False}),
        (mll.hinge_loss, {}),
    ]:
        eta = np.asarray(calibration.inverse_link(loss, x, **params))
        assert eta[0] < 1e-8
        assert eta[-1] == 1
        assert np.all(np.diff(eta) >= 0)
    # Negatives below the clip cost nothing.
    x = logit(np.float32([0.01, 0.049, 0.051, 0.06]))
    eta = np.asarray(calibration.inverse_link(mll.asymmetric_loss, x, gamma_neg=1.0))
    np.testing.assert_array_equal(eta > 0, [False, False, True, True])
    # A negative's loss is at most -log(clip): nothing is learned beyond a limit below 1.
    top = calibration.inverse_link(mll.asymmetric_loss, np.float32([50]), gamma_pos=0, clip=0.05)
    np.testing.assert_allclose(top, 1 / (1 + 0.05 / 0.95**4), rtol=1e-4)
    # Beyond the threshold a negative counts as a positive, so every score there is still rising.
    for gamma in (2, 8):
        x = np.float32([-np.inf, -60, -2, 0.3, 0.5, 5, 60, 1e30, np.inf])
        eta = np.asarray(calibration.inverse_link(mll.splc_loss, x, gamma=gamma))
        assert np.all(np.diff(eta) >= 0)
        np.testing.assert_array_equal(eta[4:], 1)
        assert 0 < eta[3] < 0.5
        assert eta[0] == 0
    odd = calibration.inverse_link(mll.hill_loss, np.float32([-50, 50, np.nan]))
    assert np.all((odd[:2] >= 0) & (odd[:2] <= 1))
    assert np.isnan(odd[2])


def test_inverse_link_takes_parameters_per_label_and_jit():
    x = jnp.array([[0.5, 0.5]])
    gamma = jnp.array([0.0, 2.0])
    got = jax.jit(lambda v: calibration.inverse_link(mll.sigmoid_focal_loss, v, gamma=gamma))(x)
    np.testing.assert_allclose(got[0], [expit(0.5), focal_closed_form(0.5, 2.0)], rtol=1e-5)
    with pytest.raises(ValueError, match=r"loss must be an element loss.*got \(1,\)"):
        calibration.inverse_link(mll.zlpr_loss, x)
