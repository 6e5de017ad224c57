"""The linear model: a stationary point of mean loss + (strength / 2) ||kernel||^2, with free bias.

Any correct solver finds the same model, so differences between losses do not come from the
optimiser. The strength of each loss is chosen by folds, among multiples of a reference that is
derived from the loss's slope at the start, so that losses on different scales are treated alike. A
strength applies to all training rows; a fit to n of N rows uses N / n times as much, which keeps
the penalty constant relative to the sum of the losses. Every fit starts cold, with the kernel at
zero and the bias at the log odds of each label. If two starts lead to different models (soft F1 is
not convex), each seed draws a start of its own.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mllosses_jax.compare import descent, grids, lbfgs, parts, strengths, validation
from mllosses_jax.compare.bound_loss import BoundLoss, counts
from mllosses_jax.compare.heads import scores_of
from mllosses_jax.compare.outcome import Outcome
from mllosses_jax.compare.products import Features, Floats
from mllosses_jax.compare.settings import Settings
from mllosses_jax.compare.validation import Held
from mllosses_jax.data import Dataset
from mllosses_jax.metrics import average_precision

_T = TypeVar("_T")
_R = TypeVar("_R")

LONGEST_STEP = 1.0  # how far one step may move the logits of a label, in root mean square
FIRST_LOOK = 30  # evaluations after which the guess at the curvature is made anew
NEAR = 10  # times the goal, where a search is slow rather than stuck at a kink
LEAST_BEND, LEAST_SHARE = 1e-4, 0.1  # of the guess, relative to the largest and to the variance
NOISE = 0.1  # standard deviation of the logits at a random start
AT_REST = 1e-3  # share of the sum of absolute slopes below which the features tell nothing
SAME = 1e-3  # fits whose mAP on the training rows differs by less are the same model


class Fit(NamedTuple):
    """One model: its parameters (D + 1, K), and how close it is to a stationary point."""

    params: Floats
    residual: float


class Fitter:
    """Fits a linear model with one loss, to any rows of a training part and at any strength."""

    def __init__(self, dataset: Dataset, bound_loss: BoundLoss, settings: Settings) -> None:
        self.dataset, self.bound_loss, self.settings = dataset, bound_loss, settings
        self.features = Features(dataset.x_train)
        self.stopped = False  # set to stop the fits that are running
        self._labels = jnp.asarray(dataset.y_train)
        self._known = None if dataset.mask_train is None else jnp.asarray(dataset.mask_train)
        self._slopes = _program(bound_loss.loss)
        self._decays = np.ones((self.features.shape[1] + 1, 1), np.float32)
        self._decays[-1] = 0  # the bias is free
        every = np.arange(len(dataset.y_train))
        start = self.start(every)
        slopes = self._slope_at(every)
        response = self._slope_of_loss(every)(start) * self._decays
        spread = float(np.sqrt(np.mean(self.features.outputs(response).std(0) ** 2)))
        self.reference = spread if spread > 0 else 1.0  # The features may tell nothing.
        self.independent = _independent(slopes, start.shape, len(every))
        self._centre = dataset.x_train.mean(axis=0)[:, None]
        self._variances = np.append(dataset.x_train.var(axis=0), 1).astype(np.float32)[:, None]
        self._curvature = self._curvature_at(start, slopes)

    def start(self, rows: parts.Rows, seed: int = 0) -> Floats:
        """Returns the start of a fit to some rows: a kernel of 0 for seed 0, and noise for others.

        The noise gives logits a standard deviation of 0.1, because a start far from zero may end
        in minima that a start at zero would never reach.
        """
        positives, known = counts(self.dataset, rows)
        share = positives / known
        shape = (self.features.shape[1] + 1, self.bound_loss.num_outputs)
        params = np.zeros(shape, np.float32)
        params[-1, : len(share)] = np.log(share / (1 - share))
        if seed:
            scale = NOISE / math.sqrt(
                float(np.mean(np.sum(self.dataset.x_train**2, axis=1))) + 1e-30
            )
            noise = np.random.default_rng(seed).normal(size=(shape[0] - 1, shape[1]))
            params[:-1] = scale * noise
        return params

    def fit(self, rows: parts.Rows, strength: float, *, tolerance: float, seed: int = 0) -> Fit:
        """Fits one model to the given rows; the others do not count (see the module docstring).

        The solver sees centred features, and so the bias `b + centre . kernel`, which the penalty
        leaves as free. The model is the same, and takes a third of the steps if features are
        sparse: those that are not centred have the bias in common.
        """
        slope_of_loss = self._slope_of_loss(rows)
        decay = np.float32(strength * len(self.dataset.y_train) / len(rows))

        def slope(params: Floats) -> Floats:
            if self.stopped:
                raise InterruptedError("the fit is no longer wanted")
            of_loss = slope_of_loss(self._with_bias_moved(params, -1))
            result = of_loss + decay * self._decays * params
            result[:-1] -= self._centre * result[-1]
            return result

        def search(start: Floats, curvature: Floats, max_evaluations: int) -> lbfgs.Solution:
            return lbfgs.solve(
                slope,
                start,
                curvature=curvature + decay * self._decays,
                spread=self._variances / np.float32(LONGEST_STEP**2),
                goal=goal,
                independent=self.independent,
                max_evaluations=max_evaluations,
            )

        at_start, most = self._norm_at_start(rows), self.settings.max_evaluations
        goal = tolerance * at_start
        start = self._with_bias_moved(self.start(rows, seed), 1)
        found = search(start, self._curvature, min(most, FIRST_LOOK))
        if found.norm > goal and most > FIRST_LOOK:
            reached = self._with_bias_moved(found.params, -1)
            curvature = self._curvature_at(reached, self._slope_at(rows))
            found = search(found.params, curvature, most - FIRST_LOOK)
        if not found.norm <= NEAR * goal:
            found = descent.settle(slope, found)
        return Fit(self._with_bias_moved(found.params, -1), found.norm / at_start)

    def _with_bias_moved(self, params: Floats, sign: int) -> Floats:
        """Returns parameters with `sign * centre . kernel` added to the bias."""
        moved = params.copy()
        moved[-1] += sign * np.einsum("di,dk->k", self._centre, params[:-1])
        return moved

    def _curvature_at(self, params: Floats, slopes: Callable[[Floats], Floats]) -> Floats:
        """Returns about the diagonal of the Hessian of the loss, for centred features, (D + 1, K).

        It is that of sum_i h_i (x_i - centre)^2, with the curvature h_i of the loss along an output
        by a secant. Where it is small or negative it is replaced by a share of what the variance of
        the feature would give.
        """
        outputs = self.features.outputs(params)
        signs = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), outputs.shape)
        bends = (slopes(outputs + signs) - slopes(outputs - signs)) * signs / 2
        of_outputs = bends.sum(axis=0)
        highest = float(np.max(of_outputs))
        if not highest > 0:
            return np.repeat(self._variances, len(of_outputs), axis=1)
        result = self.features.gradient_of_squares(bends)
        result[:-1] += self._centre * (
            self._centre * of_outputs - 2 * self.features.gradient(bends)[:-1]
        )
        of_outputs = np.maximum(of_outputs, LEAST_BEND * highest)
        curvature: Floats = np.maximum(result, LEAST_SHARE * self._variances * of_outputs)
        return curvature

    def _norm_at_start(self, rows: parts.Rows) -> float:
        """Returns the norm of the slope at the start, but at least what rounding may leave."""
        slopes = self._slope_at(rows)(self.features.outputs(self.start(rows)))
        rounding = AT_REST * float(np.linalg.norm(np.abs(slopes).sum(axis=0)))
        return max(float(np.linalg.norm(self.features.gradient(slopes))), rounding, 1e-30)

    def logits(self, features: Features, fit: Fit) -> Floats:
        """Returns the scores of rows, without the outputs of extra heads."""
        outputs = features.outputs(fit.params)
        return scores_of(outputs, self._labels.shape[1], self.bound_loss.learns_threshold)

    def _slope_of_loss(self, rows: parts.Rows) -> Callable[[Floats], Floats]:
        at, features = self._slope_at(rows), self.features.with_rows(rows)
        return lambda params: features.gradient(at(features.outputs(params)))

    def _slope_at(self, rows: parts.Rows) -> Callable[[Floats], Floats]:
        """Returns the slopes of the loss at outputs (N, K); rows that are not given have 0."""
        if not self.bound_loss.takes_where:
            return lambda outputs: self._slopes_of_rows(outputs, rows)
        chosen = np.zeros((len(self._labels), 1), bool)
        chosen[rows] = True
        where = jnp.asarray(chosen if self._known is None else self._known & chosen)
        values = self.bound_loss.parameters
        return lambda outputs: np.asarray(self._slopes(outputs, self._labels, *values, where=where))

    def _slopes_of_rows(self, outputs: Floats, rows: parts.Rows) -> Floats:
        """Returns the slopes of a loss that cannot mask rows, which sees none but those given."""
        slopes = np.zeros(outputs.shape, np.float32)
        parameters = self.bound_loss.parameters
        slopes[rows] = self._slopes(outputs[rows], self._labels[rows], *parameters)
        return slopes


@functools.lru_cache(maxsize=1)  # The settings of a loss, which share it, come one by one.
def _program(loss: Callable[..., Array]) -> Callable[..., Array]:
    """Returns the slopes of a loss at outputs, as a compiled program."""
    return jax.jit(jax.grad(loss))


def run(
    dataset: Dataset,
    bound_losses: Sequence[BoundLoss],
    settings: Settings,
    on_pass: Callable[[], None],
) -> Outcome:
    """Chooses a setting and a strength, fits the final models of a loss, and scores the test part.

    Args:
        dataset: the standardised data set, with a test part.
        bound_losses: the loss in each of its settings, with all that it needs.
        settings: the settings of the experiment.
        on_pass: called after each strength that was tried, and after the final fits.
    """
    begin, cpu = time.perf_counter(), time.process_time()
    best: tuple[Fitter, _Search] | None = None
    scores = []
    for bound_loss in bound_losses:
        fitter = Fitter(dataset, bound_loss, settings)
        search = _search(fitter, on_pass)
        scores.append(max(search.scores))
        if best is None or scores[-1] > max(best[1].scores):
            best = fitter, search
    assert best is not None
    fitter, search = best
    fits, varies = _final(fitter, search.strength)
    on_pass()
    assert dataset.x_test is not None
    test = Features(dataset.x_test)
    params = np.stack([fit.params for fit in fits])
    return Outcome(
        params={"kernel": params[:, :-1], "bias": params[:, -1]},
        test_scores=np.stack([fitter.logits(test, fit) for fit in fits]),
        held=search.held,
        decisions=validation.decide(
            search.held, dataset, tune=not fitter.bound_loss.learns_threshold
        ),
        chosen={"strength": search.strength},
        tried={"strength": np.array(search.strengths), "score": np.array(search.scores)},
        at_edge=("strength",) if search.at_edge else (),
        varies=varies,
        residuals=np.array([fit.residual for fit in fits]),
        settings=grids.scores_of(scores),
        seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time() - cpu,
    )


class _Search(NamedTuple):
    strength: float
    held: Held
    strengths: list[float]
    scores: list[float]
    at_edge: bool


def _search(fitter: Fitter, on_pass: Callable[[], None]) -> _Search:
    """Finds the strength with the best validation score, by folds or on the validation part."""
    dataset, settings = fitter.dataset, fitter.settings
    folds, pool = parts.folds(dataset), parts.pool(dataset)
    features = fitter.features if pool.x is dataset.x_train else Features(pool.x)
    best: Held | None = None
    highest = -math.inf

    def strength_of(step: int) -> float:
        return fitter.reference * strengths.factor(step)

    def attempt(step: int) -> float:
        nonlocal best, highest
        held = np.empty(pool.y.shape, np.float32)

        def fit(fold: parts.Part) -> None:
            train, rest = fold
            found = fitter.fit(train, strength_of(step), tolerance=settings.fold_tolerance)
            held[rest] = fitter.logits(features, found)[rest]

        _at_once(fitter, fit, folds)
        found = Held(np.arange(len(held)), held)
        score = validation.quality(found, dataset)
        if best is None or score > highest:
            best, highest = found, score
        on_pass()
        return score

    scores = strengths.search(attempt)
    assert best is not None
    top, tried = strengths.best(scores), sorted(scores)
    return _Search(
        strength=strength_of(top),
        held=best,
        strengths=[strength_of(step) for step in tried],
        scores=[scores[step] for step in tried],
        at_edge=strengths.at_edge(top),
    )


def _final(fitter: Fitter, strength: float) -> tuple[list[Fit], bool]:
    """Fits all training rows: one model, or, if the start matters (True), one for each seed."""
    dataset, num_seeds = fitter.dataset, fitter.settings.num_seeds
    every = np.arange(len(dataset.y_train))

    def of_seed(seed: int) -> Fit:
        return fitter.fit(every, strength, tolerance=fitter.settings.tolerance, seed=seed)

    def quality(fit: Fit) -> float:
        scores = fitter.logits(fitter.features, fit)
        return float(average_precision(scores, dataset.y_train, where=dataset.mask_train))

    # A second start is drawn even for a single seed, to find out whether the start matters.
    fits = _at_once(fitter, of_seed, range(2))
    if not abs(quality(fits[0]) - quality(fits[1])) > SAME:  # also if both are NaN
        return fits[:1], False
    fits += _at_once(fitter, of_seed, range(2, num_seeds))
    return fits[:num_seeds], True


def _at_once(fitter: Fitter, fit: Callable[[_T], _R], of: Iterable[_T]) -> list[_R]:
    """Runs independent fits in threads, because a single fit leaves cores idle."""
    with ThreadPoolExecutor() as pool:
        try:
            return list(pool.map(fit, of))
        except BaseException:  # including an interruption, which threads do not see
            fitter.stopped = True
            raise


def _independent(slopes: Callable[[Floats], Floats], shape: tuple[int, int], num_rows: int) -> bool:
    """Returns whether no output's slope depends on another output, by changing half of them."""
    generator = np.random.default_rng(0)
    num_outputs = shape[1]
    outputs = generator.normal(size=(num_rows, num_outputs)).astype(np.float32)
    before = slopes(outputs)
    changed = generator.permutation(num_outputs) < num_outputs // 2
    outputs[:, changed] = 10 * generator.normal(size=(num_rows, int(changed.sum())))
    kept = np.abs(slopes(outputs) - before)[:, ~changed]
    return bool(np.max(kept, initial=0) <= 1e-5 * np.max(np.abs(before)))
