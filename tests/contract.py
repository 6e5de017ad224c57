"""The rows, inputs and programs (compiled once) that the contract suite shares."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import (
    CASES,
    FIRST_OF_EACH,
    FIRST_OF_EACH_SHAPE,
    NUM_LABELS,
    NUM_SAMPLES,
)
from compiling import jit

all_cases = pytest.mark.parametrize("case", CASES, ids=str)
each_loss = pytest.mark.parametrize("case", FIRST_OF_EACH, ids=str)
each_shape = pytest.mark.parametrize("case", FIRST_OF_EACH_SHAPE, ids=str)
REDUCTIONS = ("none", "sum", "mean", "batchmean", "weighted_mean", "sum_and_count")


def make_inputs(case, seed=0, soft=False, samples=NUM_SAMPLES):
    """Returns float32 logits, float32 labels and a bool mask, with an empty and a full row."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(samples, NUM_LABELS)).astype(np.float32)
    if case.entry.takes == "probabilities":
        logits = (1 / (1 + np.exp(-logits))).astype(np.float32)
    labels = (rng.random(logits.shape) < 0.4).astype(np.float32)
    labels[0], labels[1] = 0, 1
    if soft:
        labels = rng.uniform(0.05, 0.95, size=logits.shape).astype(np.float32)
    mask = rng.random(logits.shape) < 0.7
    mask[2], mask[:, 3] = False, mask[:, 3] & (np.arange(samples) < samples // 2)
    return logits, labels, mask


def written_out(case, reduction=None):
    """Returns the loss of a case as a function of (logits, labels, where, weights)."""
    kwargs = dict(case.kwargs)
    if case.entry.kind != "batch":
        kwargs["reduction"] = reduction or "none"

        def function(logits, labels, where=None, weights=None):
            return case.loss(logits, labels, where=where, weights=weights, **kwargs)
    else:

        def function(logits, labels, where=None, weights=None):
            assert weights is None
            return case.loss(logits, labels, where=where, **kwargs)

    return function


@functools.cache
def compiled(case, reduction=None):
    """Returns the jitted loss of a case."""
    return jit(written_out(case, reduction))


@functools.cache
def every_reduction(case):
    """Returns one jitted program for the losses of a case by every reduction that it supports."""
    names = [n for n in REDUCTIONS if n != "batchmean" or case.unreduced in ("element", "sample")]

    def function(logits, labels, where=None, weights=None):
        call = functools.partial(case.loss, logits, labels, where=where, **case.kwargs)
        if case.entry.kind == "batch":
            return {"mean": call()}
        return {name: call(weights=weights, reduction=name) for name in names}

    return jit(function)


@functools.cache
def mean_and_gradient(case):
    """Returns a jitted function of (logits, labels, where): a case's mean and its gradient."""
    return jit(jax.value_and_grad(written_out(case, "mean")))


@functools.cache
def derivatives(case):
    """Returns the jitted value, gradient and Hessian-vector product of the sum of a case.

    One program serves many tests: they call it with (logits, labels, where, direction), each of
    shape (NUM_SAMPLES, NUM_LABELS).
    """
    function = written_out(case, "sum")

    def everything(x, y, where, direction):
        slope = jax.value_and_grad(lambda x: function(x, y, where))
        (value, gradient), (_, product) = jax.jvp(slope, (x,), (direction,))
        return value, gradient, product

    return jit(everything)


EXTREMES = np.array([0, 17, 25, 88, 110, 1e4, 1e30, 3e38])
# The sum of extreme losses of both signs is NaN.
UNBOUNDED_BELOW = ("unbiased_binary_cross_entropy",)


def extreme_inputs(case, dtype):
    """Returns eight batches of logits, bool labels and masks."""
    # Sums over labels and products with gamma need some room below the largest float.
    alone = case.entry.kind == "element" and case.name not in UNBOUNDED_BELOW
    largest = min(float(jnp.finfo(dtype).max), np.inf if alone else 1e30)
    levels = np.unique(np.clip(np.concatenate([EXTREMES, -EXTREMES]), -largest, largest))
    if case.entry.takes == "probabilities":
        levels = np.array([0, 1e-30, 0.5, 1])
    rng = np.random.default_rng(3)
    logits = rng.choice(levels, size=(8, NUM_SAMPLES, NUM_LABELS)).astype(np.float32)
    labels = rng.random(logits.shape) < 0.5
    labels[:, 0], labels[:, 1] = False, True
    mask = rng.random(logits.shape) < 0.7
    mask[:4] = True
    return zip(jnp.asarray(logits).astype(dtype), labels, mask, strict=True)
