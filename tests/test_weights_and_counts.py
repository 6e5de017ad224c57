"""Impossible weights and counts: eager calls of losses, metrics and weighting refuse them."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll
from mllosses_jax import calibration, metrics, weighting

X = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, -2.0]], np.float32)
Y = np.array([[1, 0, 1], [0, 1, 0]])
WEIGHTED = {
    "sigmoid_binary_cross_entropy": functools.partial(mll.sigmoid_binary_cross_entropy, X, Y),
    "softmax_cross_entropy": functools.partial(mll.softmax_cross_entropy, X, Y),
    "asymmetric_loss": functools.partial(mll.asymmetric_loss, X, Y),
    "f1": functools.partial(metrics.f1, X > 0, Y),
    "hamming_loss": functools.partial(metrics.hamming_loss, X > 0, Y),
    "brier_score": functools.partial(metrics.brier_score, X, Y, inputs="logits"),
    "fit_platt": functools.partial(calibration.fit_platt, X, Y),
}
COUNTED = {
    "effective_number_weights": weighting.effective_number_weights,
    "negative_positive_ratio": functools.partial(
        weighting.negative_positive_ratio, num_samples=100
    ),
    "inverse_propensity": functools.partial(weighting.inverse_propensity, num_samples=100),
    "propensity_weights": functools.partial(weighting.propensity_weights, num_samples=100),
    "class_balanced_weights": functools.partial(weighting.class_balanced_weights, Y),
    "rebalanced_weights": functools.partial(weighting.rebalanced_weights, Y),
    "ldam_loss": functools.partial(mll.ldam_loss, X, Y),
    "distribution_balanced_loss": functools.partial(
        mll.distribution_balanced_loss, X, Y, num_samples=100
    ),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_negative_weights(name):
    call = WEIGHTED[name]
    for weights in (np.array([1.0, -0.5], np.float32), np.array([-1, 3]), np.array([-np.inf, 1])):
        shape = (2, 1) if name in {"sigmoid_binary_cross_entropy", "asymmetric_loss"} else (2,)
        wrong = weights.reshape(shape)
        for given in (wrong, jnp.asarray(wrong.astype(np.float32))):
            with pytest.raises(ValueError, match=rf"{name}: weights must .* got .*-"):
                call(weights=given)
    if name != "fit_platt":
        jax.jit(lambda weights: call(weights=weights))(jnp.asarray(wrong, jnp.float32))
        jax.grad(lambda weights: call(weights=weights).sum())(jnp.ones(shape))


@pytest.mark.parametrize("name", COUNTED)
def test_impossible_counts(name):
    call = COUNTED[name]
    for counts in (np.array([5, -1, 3]), np.array([5.0, -0.5, 3.0], np.float32)):
        for given in (counts, jnp.asarray(counts)):
            with pytest.raises(ValueError, match=rf"{name}: label_counts must .* got .*-"):
                call(label_counts=given)
    jax.jit(lambda counts: call(label_counts=counts))(jnp.asarray(counts, jnp.float32))
    if "num_samples" in inspect.signature(getattr(call, "func", call)).parameters:
        for total in (100, np.float32(100), jnp.array([100, 100, 100])):
            for counts in (np.array([5, 101, 3]), jnp.array([5.0, 1e6, 3.0])):
                with pytest.raises(ValueError, match=rf"{name}: label_counts must .*num_samples"):
                    call(label_counts=counts, num_samples=total)
        call(label_counts=np.array([5, 100, 0]), num_samples=100)
