"""Inputs, oracles and parameters of the tests of losses in two sweeps over the labels."""

import functools

import jax
import numpy as np
import oracles
import pytest
from compiling import jit

B, L, D, K, CHUNK = 7, 53, 5, 6, 8
SETTINGS = {
    "softmax_cross_entropy": [{}, {"normalize": False}],
    "decoupled_softmax_loss": [{}, {"temperature": 0.3, "normalize": False}],
    "lsep_loss": [{}],
    "zlpr_loss": [{}],
    "two_way_sample_loss": [{}, {"positive_temperature": 1.5, "negative_temperature": 0.4}],
}
ROWS = [(name, kwargs) for name, settings in SETTINGS.items() for kwargs in settings]
each_loss = pytest.mark.parametrize(("name", "kwargs"), ROWS, ids=str)
each_name = pytest.mark.parametrize("name", SETTINGS)
IMPLEMENTATIONS = ("dense", "recompute", "checkpoint")


@functools.cache
def inputs():
    """Returns features, kernel, bias, and ids: an empty row, duplicates, borders of chunks."""
    rng = np.random.default_rng(0)
    x, w, b = (rng.normal(size=s).astype(np.float32) for s in ((B, D), (L, D), (L,)))
    ids = rng.integers(-1, L, (B, K)).astype(np.int32)
    ids[0] = -1
    ids[1] = [0, CHUNK - 1, CHUNK, 2 * CHUNK, L - 1, L - 1]
    ids[2] = 3
    unknown = np.full((B, 3), -1, np.int32)
    unknown[1] = [0, CHUNK, CHUNK]
    unknown[3] = [ids[3, 0], 11, 12]
    where = np.arange(B) != 4
    weights = rng.uniform(0.5, 2, B).astype(np.float32)
    return x, w, b, ids, unknown, where, weights


def dense(ids):
    y = np.zeros((B, L), bool)
    for row, some in enumerate(ids):
        y[row, some[some >= 0]] = True
    return y


def oracle(name, kwargs, logits, options=False):
    """Returns the losses of the samples in float64, from all labels."""
    *_, ids, unknown, where, weights = inputs()
    mask = np.ones((B, L), bool)
    if options:
        mask = ~dense(unknown) & where[:, None]
    losses = oracles.find(name)(logits, dense(ids).astype(np.float64), mask, **kwargs)
    return losses * np.where(mask.any(1), weights, 0) if options else losses


def oracle_gradients(name, kwargs, options=False):
    """Returns the gradients of the sum by central differences in the logits, in float64."""
    x, w, b = (a.astype(np.float64) for a in inputs()[:3])
    logits, h = x @ w.T + b, 1e-6
    slope = np.zeros((B, L))
    for label in range(L):  # one label of all samples at a time: samples do not see each other
        step = np.zeros((B, L))
        step[:, label] = h
        above, below = (oracle(name, kwargs, logits + s * step, options) for s in (1, -1))
        slope[:, label] = (above - below) / (2 * h)
    return slope @ w, slope.T @ x, slope.sum(0)


def of_all_ways(function, num_arguments):
    """Returns the program for the value and gradients of a function of (way, *arguments)."""
    numbers = tuple(range(num_arguments))

    @jit
    def everything(*arguments):
        return {
            way: jax.value_and_grad(functools.partial(function, way), argnums=numbers)(*arguments)
            for way in IMPLEMENTATIONS
        }

    return everything


def in_all_ways(function, *arguments):
    """Returns the value and gradients of a function of (implementation, *arguments)."""
    return of_all_ways(function, len(arguments))(*arguments)
