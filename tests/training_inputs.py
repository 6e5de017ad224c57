"""A linear model, partly labelled data and gradients by hand, for the tests of training steps."""

import jax
import jax.numpy as jnp
import numpy as np

import mllosses_jax as mll

FEATURES, LABELS, ROWS = 5, 3, 16


def linear(params, inputs):
    return inputs @ params["w"] + params["b"][None, :]


def linear_params():
    w = np.random.default_rng(7).normal(size=(FEATURES, LABELS)).astype(np.float32)
    return {"w": jnp.asarray(w), "b": jnp.zeros(LABELS)}


def make_data():
    """Returns rows; their first half has few known labels, their second few positives."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(ROWS, FEATURES)).astype(np.float32)
    labels = (
        generator.random((ROWS, LABELS)) < np.where(np.arange(ROWS) < ROWS // 2, 0.8, 0.1)[:, None]
    )
    where = (
        generator.random((ROWS, LABELS)) < np.where(np.arange(ROWS) < ROWS // 2, 0.3, 0.9)[:, None]
    )
    labels = np.where(where, labels, np.nan).astype(np.float32)
    return {
        name: jnp.asarray(value)
        for name, value in {"inputs": inputs, "labels": labels, "where": where}.items()
    }


def slopes(data, params):
    """Returns inputs and residuals of binary cross-entropy, 0 where masked, in float64."""
    inputs = np.asarray(data["inputs"], np.float64)
    logits = inputs @ np.asarray(params["w"], np.float64) + np.asarray(params["b"], np.float64)
    where, labels = np.asarray(data["where"]), np.nan_to_num(np.asarray(data["labels"], np.float64))
    return inputs, np.where(where, 1 / (1 + np.exp(-logits)) - labels, 0)


def masked_mean(data, params):
    """Computes the gradient of the mean over the known labels by hand."""
    inputs, residual = slopes(data, params)
    residual = residual / np.asarray(data["where"]).sum()
    return {"w": inputs.T @ residual, "b": residual.sum(0)}


def over_positives(data, params):
    """Computes the gradient of the sum divided by the number of known positives by hand."""
    inputs, residual = slopes(data, params)
    residual = residual / np.nansum(np.asarray(data["labels"]))
    return {"w": inputs.T @ residual, "b": residual.sum(0)}


def cross_entropy_pair(logits, labels, *, where):
    return mll.sigmoid_binary_cross_entropy(logits, labels, where=where, reduction="sum_and_count")


def cross_entropy_over_positives(logits, labels, *, where):
    total = mll.sigmoid_binary_cross_entropy(logits, labels, where=where, reduction="sum")
    return total, jnp.sum(where & (labels > 0))


def one_update(step, state, data):
    """Returns the gradient taken by a descent step at rate 1, and the metrics of the step."""
    before = jax.tree.map(np.asarray, state.params)
    after, metrics = step(state, data)
    return jax.tree.map(lambda old, new: old - np.asarray(new), before, after.params), metrics


def assert_close(actual, expected, tolerance=1e-5):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
