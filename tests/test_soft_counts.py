"""Losses of soft counts where predictions are nearly certain, right or wrong, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_fully

import mllosses_jax as mll
from mllosses_jax._core.numerics import pair_of_tail, signed_tail, tail_of_pair

# The loss, and the α, β, factor of TP and addends of the share α·FP + β·FN over all
LOSSES = {
    "soft_f1_loss": ({"epsilon": 1e-30}, (1, 1, 2, 0, 0)),
    "soft_fbeta_loss": ({"epsilon": 1e-3, "beta": 2.5}, (1, 6.25, 7.25, 1e-3, 0)),
    "dice_loss": ({"smooth": 1e-3}, (1, 1, 2, 0, 1e-3)),
    "tversky_loss": ({"smooth": 0.0}, (0.3, 0.7, 1, 0, 0)),
    "jaccard_loss": ({"smooth": 0.0}, (1, 1, 1, 0, 0)),
}
AXES = {"macro": (0,), "samples": (1,), "micro": (0, 1)}


def reference(x, y, counted, axis, numbers):
    """Returns the sum of the losses and its gradient, in which nothing cancels."""
    alpha, beta, factor, epsilon, smooth = numbers
    p, q = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))

    def total(terms):
        return np.sum(np.where(counted, terms, 0), axis=axis, keepdims=True)

    wrong = total(beta * y * q + alpha * (1 - y) * p) + epsilon
    right = total(factor * y * p) + smooth
    by_wrong, by_right = (part / (wrong + right) ** 2 for part in (right, -wrong))
    slope = y * (factor * by_right - beta * by_wrong) + (1 - y) * alpha * by_wrong
    return np.sum(wrong / (wrong + right)), np.where(counted, p * q * slope, 0)


@pytest.mark.parametrize("labels", ["bool", "float", "soft"])
@pytest.mark.parametrize("average", list(AXES))
@pytest.mark.parametrize("name", list(LOSSES))
def test_certain_predictions(name, average, labels):
    rng = np.random.default_rng(0)
    hard = rng.random((12, 5)) < 0.4
    hard[0], hard[:, 0] = True, True
    counted = rng.random(hard.shape) < 0.8
    y = np.clip(hard, 0.25, 0.75) if labels == "soft" else hard.astype(float)
    given = hard if labels == "bool" else y.astype(np.float32)
    kwargs, numbers = LOSSES[name]

    @jit_fully
    def program(x, y, where):
        def loss(x):
            return getattr(mll, name)(x, y, where=where, average=average, reduction="sum", **kwargs)

        return jax.value_and_grad(loss)(x)

    for certainty in (-25, -8, 8, 25):  # wrong or right
        x = np.where(hard, certainty, -certainty) + rng.normal(size=hard.shape).astype(np.float32)
        x = x.astype(np.float32)
        for where in (None, jnp.asarray(counted)):
            found = program(x, given, where)
            mask = np.ones_like(hard) if where is None else counted
            expected = reference(x.astype(float), y, mask, AXES[average], numbers)
            for got, truth in zip(found, expected, strict=True):
                # The parts of a soft label pull in opposite directions.
                scale = 1e-6 * np.max(np.abs(truth)) if labels == "soft" else 1e-30
                np.testing.assert_allclose(got, truth, rtol=2e-5, atol=scale)


def test_a_large_constant_beta_is_squared_as_a_float():
    logits, labels = np.zeros((2, 1), np.float32), np.array([[1], [0]])
    found = mll.soft_fbeta_loss(logits, labels, beta=100_000)
    np.testing.assert_allclose(found, 0.5, rtol=1e-4)  # one minus the recall


def test_a_signed_tail_holds_both_probabilities():
    x = np.concatenate([np.linspace(-86, 86, 173), [-np.inf, np.inf, -1e30, 1e30, -0.0]])
    tail = signed_tail(jnp.asarray(x, jnp.float32))
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    for pair in (pair_of_tail(tail), pair_of_tail(tail_of_pair(*pair_of_tail(tail)))):
        for got, truth in zip(pair, expected, strict=True):
            np.testing.assert_allclose(got, truth, rtol=1e-6, atol=2e-38)
    slope = jax.vmap(jax.grad(signed_tail))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(slope, -expected[0] * expected[1], rtol=1e-6, atol=2e-38)
