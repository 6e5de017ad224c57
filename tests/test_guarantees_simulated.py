"""Promised thresholds keep what they promise, in draws from a population whose risks are exact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit

from mllosses_jax import decisions

DRAWS = 1000


class Population:
    """Rows that are drawn with replacement, and the risk of any threshold over all of them."""

    def __init__(self, tied):
        rng = np.random.default_rng(5)
        self.truth = rng.random((3000, 5)) < np.array([0.5, 0.4, 0.3, 0.2, 0.05])
        noise = rng.standard_normal(self.truth.shape)
        self.scores = (noise + 1.5 * self.truth).astype(np.float32)
        if tied:
            self.scores = self.scores.round(0)

    def draws(self, count):
        rows = np.random.default_rng(6).integers(0, len(self.truth), (DRAWS, count))
        return self.scores[rows], self.truth[rows]

    def missed(self, t):
        missed = (self.truth & (self.scores < t)).sum(1)
        return float(np.mean(missed / np.maximum(self.truth.sum(1), 1)))

    def wrong(self, t):
        predicted = self.scores >= t
        wrong = (predicted & ~self.truth).sum(1)
        return float(np.mean(wrong / np.maximum(predicted.sum(1), 1)))

    def missed_by_label(self, t):
        return (self.truth & (self.scores < t)).sum(0) / self.truth.sum(0)


def of_draws(function, given):
    return np.asarray(jit(jax.vmap(function))(*map(jnp.asarray, given)))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("count", "level"), [(10, 0.9), (40, 0.8), (200, 0.9)])
def test_promised_recall_holds_on_average(count, level, tied):
    population = Population(tied)
    thresholds = of_draws(
        functools.partial(decisions.threshold_for_recall, level=level), population.draws(count)
    )
    risks = np.array([population.missed(t) for t in thresholds])
    error = risks.std() / np.sqrt(DRAWS)
    assert risks.mean() <= 1 - level + 3 * error
    if not tied:  # the promise is not kept by predicting everything
        assert risks.mean() >= 1 - level - 2 / (count + 1) - 3 * error


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", ["recall", "precision"])
def test_promises_hold_with_their_confidence(kind, tied):
    population = Population(tied)
    level, confidence = 0.8, 0.9
    function = getattr(decisions, f"threshold_for_{kind}")
    thresholds = of_draws(
        functools.partial(function, level=level, confidence=confidence), population.draws(200)
    )
    risk = population.missed if kind == "recall" else population.wrong
    broken_promises = np.mean([risk(t) > 1 - level for t in thresholds])
    delta = 1 - confidence
    assert broken_promises <= delta + 3 * np.sqrt(delta * (1 - delta) / DRAWS)
    assert np.isfinite(thresholds).all()
    assert np.mean([risk(t) for t in thresholds]) > 0.05  # it makes use of what it may lose


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_promises_hold_for_each_label(confidence):
    population = Population(tied=False)
    level = 0.8
    tune = functools.partial(
        decisions.threshold_for_recall, level=level, confidence=confidence, scope="label"
    )
    thresholds = of_draws(tune, population.draws(150))
    risks = np.array([population.missed_by_label(t) for t in thresholds])
    if confidence is None:
        errors = risks.std(0) / np.sqrt(DRAWS)
        assert np.all(risks.mean(0) <= 1 - level + 3 * errors)
        assert np.all(risks.mean(0)[:4] >= 1 - level - 0.05)
    else:
        broken_promises = np.mean(risks > 1 - level, axis=0)
        assert np.all(broken_promises <= 0.1 + 3 * np.sqrt(0.09 / DRAWS))
        assert np.all(broken_promises[:4] > 0.02)
