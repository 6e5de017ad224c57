"""The linear model over very many labels, trained with one loss through a head.

The strength of the penalty is chosen on the validation part, if there is one, or else on a fifth of
the training rows, which are drawn at random, among multiples of a reference that is derived from
the loss's slope at the start. The learning rate is the one with which the loss falls most in an
epoch. Both are chosen with the same budget for each loss. If two orders of the rows lead to
different models, each seed draws an order of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from mllosses_jax.compare import parts, strengths
from mllosses_jax.compare.bound_loss import HeadLoss
from mllosses_jax.compare.large import judgment
from mllosses_jax.compare.large.outcome import Ranked, RankedOutcome
from mllosses_jax.compare.large.training import (
    GAP,
    KEPT,
    ROUNDS,
    SEARCH_ROUNDS,
    Fit,
    Fitter,
    make_data,
)
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset
from mllosses_jax.data.group_splits import split_groups

HELD_OUT = 0.2  # the share of the training rows on which settings are chosen
# Of strengths whose scores are equal to this many digits, the one tried first is taken, which is
# nearly always the largest. Without rounding, the search would follow a plateau to strengths so
# small that training ends long before it has converged.
DIGITS = 3
SAME = 1e-3  # fits whose nDCG@5 on the training rows differs by less are the same model


def run(
    dataset: Dataset, loss: HeadLoss, settings: Settings, on_pass: Callable[[], None]
) -> RankedOutcome:
    """Chooses the strength of one loss, fits its final models, and ranks the test part's labels.

    Args:
        dataset: the standardised data set, with a test part.
        loss: a loss that a head can compute, with all that it needs.
        settings: the settings of the experiment.
        on_pass: called after each strength that was tried, and after the final fits.
    """
    begin, cpu = time.perf_counter(), time.process_time()
    fitter = Fitter(dataset, loss)
    kept = min(KEPT, dataset.y_train.shape[1])
    pool = parts.pool(dataset)
    if dataset.y_validation is None:
        train, held_rows = _held_out(fitter.rows, dataset.groups_train)
        held_data = fitter.data.at(held_rows)
    else:
        train, held_rows = fitter.rows, np.flatnonzero(pool.known.any(axis=1))
        held_data = make_data(pool.x, pool.y, dataset.mask_validation).at(held_rows)
    truth = pool.y[held_rows], pool.known[held_rows]
    found: dict[int, Ranked] = {}

    def attempt(step: int) -> float:
        strength = fitter.reference * strengths.factor(step)
        fit = fitter.fit(train, strength, tolerance=0, rounds=SEARCH_ROUNDS, seed=0)
        found[step] = fitter.ranked(fit.state, held_data, kept)
        on_pass()
        return round(judgment.quality(found[step], *truth), DIGITS)

    scores = strengths.search(attempt)
    top, tried = strengths.best(scores), sorted(scores)
    strength = fitter.reference * strengths.factor(top)
    fits, varies = _final(fitter, strength, settings)
    on_pass()
    assert dataset.x_test is not None
    assert dataset.y_test is not None
    test = make_data(dataset.x_test, dataset.y_test, dataset.mask_test)
    factors = np.array([strengths.factor(step) for step in tried])
    return RankedOutcome(
        params={
            "kernel": np.stack([np.asarray(fit.state.kernel).T for fit in fits]),
            "bias": np.stack([np.asarray(fit.state.bias) for fit in fits]),
        },
        test=tuple(fitter.ranked(fit.state, test, kept) for fit in fits),
        held=found[top],
        held_rows=held_rows,
        global_threshold=judgment.common_threshold(found[top], *truth),
        chosen={"strength": strength},
        tried={
            "strength": fitter.reference * factors,
            "score": np.array([scores[step] for step in tried]),
        },
        at_edge=("strength",) if strengths.at_edge(top) else (),
        varies=varies,
        residuals=np.array([fit.residual for fit in fits]),
        seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time() - cpu,
    )


def _held_out(rows: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows to train on and rows to choose settings on, both in ascending order.

    Args:
        rows: the rows with a known label. A single one serves both.
        groups: the group of every training row, if there are groups.
    """
    if groups is not None:
        no_labels = np.zeros((len(rows), 0), bool)  # as without groups, labels do not matter
        train, held = split_groups(no_labels, groups[rows], (1 - HELD_OUT, HELD_OUT))
        return rows[train], rows[held]
    order = np.random.default_rng(0).permutation(rows)
    number = max(round(HELD_OUT * len(rows)), 1)
    return np.sort(order[number:] if len(rows) > 1 else order), np.sort(order[:number])


def _final(fitter: Fitter, strength: float, settings: Settings) -> tuple[list[Fit], bool]:
    """Fits all training rows: one model, or, if their order matters (True), one for each seed."""
    dataset = fitter.dataset
    every = np.arange(len(dataset.y_train))

    def of_seed(seed: int) -> Fit:
        return fitter.fit(every, strength, tolerance=GAP, rounds=len(ROUNDS), seed=seed + 1)

    def quality(fit: Fit) -> float:
        ranked = fitter.ranked(fit.state, fitter.data, 5)
        return judgment.quality(ranked, dataset.y_train, dataset.known_train)

    # A second order is drawn even for a single seed, to find out whether the order matters.
    fits = [of_seed(0), of_seed(1)]
    if not abs(quality(fits[0]) - quality(fits[1])) > SAME:  # also if both diverged
        return fits[:1], False
    fits += [of_seed(seed) for seed in range(2, settings.num_seeds)]
    return fits[: settings.num_seeds], True
