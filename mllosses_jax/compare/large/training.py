"""The fit of a linear model over very many labels: stochastic gradient descent on a head.

The objective is the mean over rows of the loss, summed over the labels for losses of entries, plus
(strength / 2) ||kernel||^2, with a free bias. Training goes in rounds, each twice as long as the
one before and with half its learning rate, which falls to zero within the round. After each round
the gradient g of the objective over all rows is computed, and training ends once

    ||g||^2 / (2 strength) <= tolerance * (objective at the start - objective now).

For a convex loss whose bias is at its best, the left side bounds how far the objective is above its
minimum.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from mllosses_jax.compare.bound_loss import HeadLoss, counts
from mllosses_jax.compare.large.outcome import Ranked
from mllosses_jax.data import Dataset
from mllosses_jax.heads import (
    HeadState,
    linear_head_sgd_step,
    linear_head_top_k,
    linear_head_value_and_grad,
    positives_from_dense,
)

KEPT = 100  # labels of each row whose scores are kept
ROUNDS = (8, 16, 32, 64)  # epochs
SEARCH_ROUNDS = 2  # of fits that only choose the strength, whatever the check says
GAP = 0.01  # the tolerance of the check of convergence
LARGEST_BATCH, STEPS = 128, 100  # an epoch of few rows has about this many steps
BLOCK = 512  # rows whose gradient or scores are computed together
RATE_STEP, PROBES = 4.0, 5  # learning rates that are tried are a factor apart
MOST_DECAY = 0.05  # the most by which the penalty may shrink the kernel in a step
SAMPLED = 1024  # rows from which the reference strength is estimated
ARRAYS = (jax.Array, np.ndarray, np.generic)  # parameters that are arguments of a program
FLAT = 1e-3  # the share of the objective below which its decrease says that features tell nothing

Rows = NDArray[np.intp]


class Data(NamedTuple):
    """Rows on the device, each with the ids of its labels, padded with -1."""

    features: Array
    positives: Array
    unknown: Array | None

    def at(self, rows: Array | NDArray[Any]) -> Data:
        """Returns some of the rows."""
        return Data(
            self.features[rows],
            self.positives[rows],
            None if self.unknown is None else self.unknown[rows],
        )


class Fit(NamedTuple):
    """One model, and the left side of the check of convergence as a share of the decrease."""

    state: HeadState
    residual: float


class Objective(NamedTuple):
    """The objective, (), and its gradient."""

    value: Array
    kernel: Array
    bias: Array

    @property
    def square(self) -> Array:
        """The squared norm of the gradient, ()."""
        return jnp.sum(self.kernel**2) + jnp.sum(self.bias**2)


def make_data(x: NDArray[Any], y: NDArray[np.bool_], mask: NDArray[np.bool_] | None) -> Data:
    """Returns rows of a data set on the device."""
    unknown = None if mask is None else jnp.asarray(positives_from_dense(~mask))
    known = y if mask is None else y & mask
    return Data(jnp.asarray(x), jnp.asarray(positives_from_dense(known)), unknown)


class Fitter:
    """Fits a linear model with one loss, to any rows of a training part and at any strength."""

    def __init__(self, dataset: Dataset, loss: HeadLoss) -> None:
        self.dataset, self.loss = dataset, loss.loss
        constants = {n: v for n, v in loss.arguments.items() if not isinstance(v, ARRAYS)}
        self._constants = tuple(constants.items())
        self._arrays = {n: v for n, v in loss.arguments.items() if n not in constants}
        self.data = make_data(dataset.x_train, dataset.y_train, dataset.mask_train)
        self.rows = np.flatnonzero(dataset.known_train.any(axis=1))
        start = self.start(self.rows)
        at_start = self.objective(start, self.rows, 0.0)
        sample = np.random.default_rng(0).permutation(self.rows)[:SAMPLED]
        spread = _spread(self.data.features[sample], at_start.kernel)
        self.reference = spread if spread > 0 else 1.0  # The features may tell nothing.
        self._rate: float | None = None

    def start(self, rows: Rows) -> HeadState:
        """Returns a kernel of 0 and a bias at the log odds of each label."""
        positives, known = counts(self.dataset, rows)
        share = positives / known
        bias = jnp.asarray(np.log(share / (1 - share)), jnp.float32)
        kernel = jnp.zeros((len(share), self.data.features.shape[1]))
        return HeadState(kernel, bias, jnp.zeros_like(kernel), jnp.zeros_like(bias))

    def fit(self, rows: Rows, strength: float, *, tolerance: float, rounds: int, seed: int) -> Fit:
        """Fits one model to the given rows; the seed sets their order."""
        rows = np.intersect1d(rows, self.rows)
        if self._rate is None:
            self._rate = self._best_rate(rows, strength)
        state, generator = self.start(rows), np.random.default_rng(seed)
        before = float(self.objective(state, rows, strength).value)
        residual = math.inf
        for number, epochs in enumerate(ROUNDS[:rounds]):
            state = self._round(state, rows, strength, self._rate / 2**number, epochs, generator)
            now = self.objective(state, rows, strength)
            decrease = max(before - float(now.value), FLAT * abs(before))
            residual = float(now.square) / (2 * strength) / decrease
            if not residual > tolerance:  # also after divergence, which is NaN
                break
        return Fit(state, residual)

    def objective(self, state: HeadState, rows: Rows, strength: float) -> Objective:
        """Returns the objective over rows and its gradient."""
        sums = None
        for block in _blocks(rows):
            where = jnp.asarray(block >= 0)
            data = self.data.at(block)
            found = _sums(self.loss, self._constants, self._arrays, state, data, where)
            sums = found if sums is None else jax.tree.map(jnp.add, sums, found)
        assert sums is not None
        value, kernel, bias = jax.tree.map(lambda total: total / len(rows), sums)
        weights = state.kernel
        assert isinstance(weights, Array)
        penalty = strength / 2 * jnp.sum(weights**2)
        return Objective(value + penalty, kernel + strength * weights, bias)

    def ranked(self, state: HeadState, data: Data, size: int) -> Ranked:
        """Returns the labels of the highest scores of rows; unknown ones are not among them."""
        found = []
        number = len(data.features)
        for block in _blocks(np.arange(number)):
            part = data.at(block)
            top = linear_head_top_k(
                part.features, state.kernel, size, bias=state.bias, exclude=part.unknown
            )
            found.append(jax.device_get((top.ids, top.scores)))
        ids, scores = (np.concatenate(parts)[:number] for parts in zip(*found, strict=True))
        return Ranked(ids, scores)

    def _best_rate(self, rows: Rows, strength: float) -> float:
        """Returns the learning rate with which an epoch of a sample of rows gets furthest."""
        sample = np.random.default_rng(0).permutation(rows)[: STEPS * LARGEST_BATCH]
        square = float(jnp.mean(jnp.sum(self.data.features[sample] ** 2, axis=1)))
        tried: dict[int, float] = {}

        def attempt(power: int) -> None:
            rate = RATE_STEP**power / max(square, 1e-30)
            order = np.random.default_rng(0)
            state = self._round(self.start(rows), sample, strength, rate, 1, order)
            value = float(self.objective(state, sample, strength).value)
            tried[power] = value if math.isfinite(value) else math.inf

        attempt(1)
        attempt(2)
        while len(tried) < PROBES:
            best = min(tried, key=tried.__getitem__)
            if best == max(tried):
                attempt(best + 1)
            elif best == min(tried):
                attempt(best - 1)
            else:
                break
        return float(RATE_STEP ** min(tried, key=tried.__getitem__) / max(square, 1e-30))

    def _round(
        self,
        state: HeadState,
        rows: Rows,
        strength: float,
        rate: float,
        epochs: int,
        generator: np.random.Generator,
    ) -> HeadState:
        """Trains for some epochs, in which the learning rate falls to zero."""
        size = min(LARGEST_BATCH, max(len(rows) // STEPS, 1))
        steps = len(rows) // size
        rate = min(rate, MOST_DECAY / strength)
        rates = rate * (1 - np.arange(epochs * steps, dtype=np.float32) / (epochs * steps))
        for epoch_rates in np.split(rates, epochs):
            order = generator.permutation(rows)[: steps * size].reshape(steps, size)
            state = _epoch(
                self.loss,
                self._constants,
                self._arrays,
                state,
                self.data,
                order,
                epoch_rates,
                strength,
            )
        return state


def _blocks(rows: Rows) -> Iterator[Rows]:
    """Yields rows in blocks of one size; the last is padded with -1."""
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        yield np.pad(block, (0, BLOCK - len(block)), constant_values=-1)


def _spread(features: Array, kernel: Array) -> float:
    """Returns the standard deviation over rows of the outputs of a kernel, averaged over labels."""
    centred = features - jnp.mean(features, axis=0, keepdims=True)
    outputs = (centred[start : start + 64] @ kernel.T for start in range(0, len(centred), 64))
    total = sum(float(jnp.sum(part**2)) for part in outputs)
    return math.sqrt(total / (len(features) * len(kernel)))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _sums(
    loss: Callable[..., Any],
    constants: tuple[tuple[str, Any], ...],
    arrays: dict[str, Any],
    state: HeadState,
    data: Data,
    where: Array,
) -> tuple[Array, Array, Array]:
    assert isinstance(state.kernel, Array)
    value, gradients = linear_head_value_and_grad(
        data.features,
        state.kernel,
        data.positives,
        bias=state.bias,
        loss=loss,
        loss_kwargs=dict(constants) | arrays,
        unknown=data.unknown,
        where=where,
        reduction="sum",
    )
    assert gradients.bias is not None
    return value, gradients.kernel, gradients.bias


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def _epoch(
    loss: Callable[..., Any],
    constants: tuple[tuple[str, Any], ...],
    arrays: dict[str, Any],
    state: HeadState,
    data: Data,
    order: Array,
    rates: Array,
    strength: Array,
) -> HeadState:
    def step(state: HeadState, now: tuple[Array, Array]) -> tuple[HeadState, None]:
        rows, rate = now
        part = data.at(rows)
        found = linear_head_sgd_step(
            state,
            part.features,
            part.positives,
            learning_rate=rate,
            weight_decay=strength,
            loss=loss,
            loss_kwargs=dict(constants) | arrays,
            unknown=part.unknown,
        )
        return found.state, None

    result, _ = jax.lax.scan(step, state, (order, rates))
    return result
