"""Fits on scores of any scale and origin, against float64 fits of the same cross-entropy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from mllosses_jax import calibration

N = 400
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(N, 2)) * [2.0, 1.2] - [1.0, 0.3]
TRUTH = RNG.random((N, 2)) < 1 / (1 + np.exp(-0.7 * SCORES - 0.4))
CHANGES = {
    "as they are": (1, 0),
    "hundredfold": (100, 0),
    "two hundredfold": (200, 0),
    "a hundredth": (0.01, 0),
    "ten thousandfold": (1e4, 0),
    "shifted": (1, 1000),
    "scaled and shifted": (50, -3e4),
}
SOFTPLUS = {-1: lambda x: -np.logaddexp(0, -x), 1: lambda x: np.logaddexp(0, x)}
FAMILIES = {  # features, and which of their coefficients may not be negative
    "fit_platt": (lambda x: [x, np.ones_like(x)], (0,)),
    "fit_temperature": (lambda x: [x], (0,)),
    "fit_beta": (lambda x: [SOFTPLUS[-1](x), SOFTPLUS[1](x), np.ones_like(x)], (0, 1)),
}


def log_loss(z, y):
    return np.mean(np.logaddexp(0, np.where(y, -z, z)))


def best_log_loss(name, x, y):
    """Computes the lowest log loss of one label by SciPy in float64, on features of unit size."""
    make, bounded = FAMILIES[name]
    features = np.stack(make(x))
    if len(features) > 1:  # one of them is a constant
        features[:-1] -= features[:-1].mean(1, keepdims=True)
    size = np.maximum(np.median(np.abs(features), 1, keepdims=True), 1e-3)
    features = features / size

    def value_and_slope(theta):
        z = theta @ features
        slope = features @ (1 / (1 + np.exp(-np.clip(z, -700, 700))) - y) / len(y)
        return log_loss(z, y), slope

    # The temperature is at most ten times the size of the scores. This matters where the origin of
    # the scores is not that of logits.
    low = 0.1 if name == "fit_temperature" else 0
    bounds = [(low if k in bounded else None, None) for k in range(len(features))]
    found = optimize.minimize(
        value_and_slope, np.full(len(features), 0.1), jac=True, bounds=bounds, method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10000},
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", FAMILIES)
def test_log_loss_is_that_of_scipy_on_any_scale(name, change):
    scale, shift = CHANGES[change]
    x = (SCORES * scale + shift).astype(np.float32)
    fitted = getattr(calibration, name)(x, TRUTH, shrinkage=0)
    z = np.asarray(fitted.logits(x), np.float64)
    for label in range(2):
        exact = x[:, label].astype(np.float64)
        expected = best_log_loss(name, exact, TRUTH[:, label])
        np.testing.assert_allclose(log_loss(z[:, label], TRUTH[:, label]), expected, atol=2e-5)


@pytest.mark.parametrize("change", CHANGES)
def test_a_bias_gives_the_frequency_on_any_scale(change):
    scale, shift = CHANGES[change]
    x = (SCORES * scale + shift).astype(np.float32)
    fitted = calibration.fit_bias(x, TRUTH, shrinkage=0)
    for label in range(2):
        row = x[:, label].astype(np.float64)

        def excess(b, row=row, label=label):
            z = np.clip(row + b, -700, 700)
            return np.mean(1 / (1 + np.exp(-z))) - TRUTH[:, label].mean()

        reach = np.abs(row).max() + 50
        exact = optimize.brentq(excess, -reach, reach, xtol=1e-10)
        got = log_loss(row + float(fitted.bias[label]), TRUTH[:, label])
        np.testing.assert_allclose(got, log_loss(row + exact, TRUTH[:, label]), rtol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_with_shrinkage_margins_are_calibrated_like_logits(name):
    losses = []
    for scale in (1, 100, 200, 1e4):
        x = (SCORES * scale).astype(np.float32)
        z = np.asarray(getattr(calibration, name)(x, TRUTH).logits(x), np.float64)
        losses.append(log_loss(z, TRUTH))
    # Beta calibration bends at a logit of 0, which on large scales is a kink.
    np.testing.assert_allclose(losses, losses[0], atol=5e-3 if name == "fit_beta" else 5e-4)


@pytest.mark.parametrize("name", ["fit_platt", "fit_bias", "fit_beta"])
@pytest.mark.parametrize("sentinel", [-1e9, -3e38, -np.inf])
def test_a_few_scores_far_outside_do_not_spoil_the_rest(name, sentinel):
    x, y = SCORES.astype(np.float32), TRUTH.copy()
    fit = getattr(calibration, name)
    x_far = np.where(np.arange(N)[:, None] < 40, sentinel, x).astype(np.float32)
    y[:40] = False
    expected = fit(np.where(np.isfinite(x_far) & (x_far > -1e8), x_far, -99), y)(jnp.asarray(x))
    np.testing.assert_allclose(fit(x_far, y)(x), expected, atol=2e-3)
