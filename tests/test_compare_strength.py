"""How the strength of a linear model is chosen, and where its fits start."""

import dataclasses

import numpy as np
import pytest
from linear_inputs import (
    BINARY,
    EVERY,
    LABELS,
    ROWS,
    make_dataset,
    make_fitter,
    run,
    start_of,
    value_and_gradient,
)

from benchmarks import linear_float64
from mllosses_jax.compare import linear, parts, strengths
from mllosses_jax.compare.bound_loss import BoundLoss, bind
from mllosses_jax.compare.settings import Settings


class Charted:
    """A fitter whose validation scores are given by the step of the strength."""

    reference = 0.25

    def __init__(self, score):
        self.dataset, self.settings, self.score = make_dataset(), Settings(), score
        self.features, self.fits = None, []

    def step(self, strength):
        return round(strengths.PER_DECADE * np.log10(strength / self.reference))

    def fit(self, rows, strength, *, tolerance):
        assert tolerance == self.settings.fold_tolerance
        self.fits.append(strength)
        return linear.Fit(np.float32(self.step(strength)), 0.0)

    def logits(self, features, fit):
        return np.full((ROWS, LABELS), fit.params)

    def search(self, monkeypatch):
        passes = []
        monkeypatch.setattr(
            linear.validation, "quality", lambda held, dataset: self.score(held.scores[0, 0])
        )
        found = linear._search(self, lambda: passes.append(1))
        assert len(passes) == len(found.strengths) == len(self.fits) / parts.FOLDS_OF_FEW
        return found, [self.step(strength) for strength in found.strengths]


@pytest.mark.parametrize("peak", [-17, -12, -6, -4, -1, 3, 6])
def test_the_search_goes_on_until_the_best_is_inside(peak, monkeypatch):
    charted = Charted(lambda step: -abs(step - peak))
    found, steps = charted.search(monkeypatch)
    assert charted.step(found.strength) == peak
    assert found.strength == pytest.approx(0.25 * 10 ** (peak / 4))
    assert steps == sorted(steps)
    assert {peak - 1, peak, peak + 1} <= set(steps) or {peak - 2, peak, peak + 2} <= set(steps)
    assert np.all(found.held.scores == peak)
    assert found.scores == [-abs(step - peak) for step in steps]
    assert not found.at_edge


def test_a_plateau_is_not_followed_for_ever(monkeypatch):
    """Two worse strengths end the search if none is clearly worse."""
    found, steps = Charted(lambda step: -1e-5 * abs(step + 4)).search(monkeypatch)
    assert not found.at_edge
    assert min(steps) == -8
    assert max(steps) == 0
    found, steps = Charted(lambda step: -np.inf).search(monkeypatch)
    assert not found.at_edge
    assert len(steps) < 10


@pytest.mark.parametrize(("sign", "edge"), [(1, strengths.HIGHEST), (-1, strengths.LOWEST)])
def test_an_edge_is_told(sign, edge, monkeypatch):
    found, steps = Charted(lambda step: sign * step).search(monkeypatch)
    assert found.at_edge
    assert min(steps) >= strengths.LOWEST - 1
    assert max(steps) <= strengths.HIGHEST + 1
    assert edge in steps


def test_scores_are_held_out(monkeypatch):
    """The labels of a fold do not affect the scores of its own rows, only those of others."""
    dataset = make_dataset()
    folds = parts.folds(dataset)
    monkeypatch.setattr(linear.parts, "folds", lambda *_: folds)
    monkeypatch.setattr(linear.validation, "quality", lambda *_: 0.0)  # the first strength wins
    flipped = dataset.y_train.copy()
    flipped[folds[1].validation] ^= True

    def held(y):
        fitter = make_fitter(BINARY, dataclasses.replace(dataset, y_train=y), fold_tolerance=1e-6)
        fitter.reference = 0.02
        found = linear._search(fitter, lambda: None).held
        np.testing.assert_array_equal(found.rows, EVERY)
        return found.scores

    before, after = held(dataset.y_train), held(flipped)
    own = folds[1].validation
    np.testing.assert_allclose(after[own], before[own], atol=1e-3)
    rest = np.setdiff1d(EVERY, own)
    assert np.mean(np.abs(after[rest] - before[rest]) > 1e-2) > 0.9


def test_the_scale_of_a_loss_does_not_matter():
    dataset = make_dataset()
    plain = bind(BINARY, dataset)
    scaled = BoundLoss(lambda *args, **options: 1000 * plain.loss(*args, **options), LABELS)
    one, other = (run(each, dataset) for each in (plain, scaled))
    assert other.chosen["strength"] == pytest.approx(1000 * one.chosen["strength"], rel=1e-4)
    np.testing.assert_allclose(other.test_scores, one.test_scores, rtol=0.01, atol=0.01)
    np.testing.assert_allclose(other.tried["score"], one.tried["score"], atol=5e-3)
    assert one.quality == one.tried["score"].max()
    params = np.concatenate([one.params["kernel"][0], one.params["bias"]])
    strength = one.chosen["strength"]
    _, begin = value_and_gradient(
        linear_float64.cross_entropy, dataset, start_of(dataset), strength
    )
    _, end = value_and_gradient(linear_float64.cross_entropy, dataset, params, strength)
    assert np.linalg.norm(end) <= 1.2e-4 * np.linalg.norm(begin)
    expected = dataset.x_test @ params[:-1] + params[-1]
    np.testing.assert_allclose(one.test_scores[0], expected, atol=1e-5)


@pytest.mark.parametrize("num_seeds", [1, 3])
@pytest.mark.parametrize(("name", "starts_matter"), [("soft_f1_loss", True), (BINARY, False)])
def test_there_are_as_many_models_as_different_starts(name, starts_matter, num_seeds):
    fitter = make_fitter(name, make_dataset(), num_seeds=num_seeds)
    fits, varies = linear._final(fitter, 0.01 * fitter.reference)
    assert varies is starts_matter
    assert len(fits) == (num_seeds if starts_matter else 1)
    again = fitter.fit(EVERY, 0.01 * fitter.reference, tolerance=1e-4, seed=0)
    np.testing.assert_array_equal(fits[0].params, again.params)
    if starts_matter:
        apart = [np.abs(fit.params - fits[0].params).max() for fit in fits[1:]]
        assert all(distance > 0.1 for distance in apart)


def test_starts_are_the_log_odds_and_a_little_noise():
    dataset = make_dataset(masked=True)
    fitter = make_fitter(BINARY, dataset)
    start, noisy = fitter.start(EVERY), fitter.start(EVERY, seed=1)
    np.testing.assert_allclose(start, start_of(dataset), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(noisy[-1], start[-1])
    kernels = [fitter.start(EVERY, seed)[:-1] for seed in range(1, 40)]
    variances = [np.mean((dataset.x_train @ kernel) ** 2) for kernel in kernels]
    assert np.mean(variances) == pytest.approx(linear.NOISE**2, rel=0.1)
    assert not np.array_equal(noisy, fitter.start(EVERY, seed=2))
    some = fitter.start(np.flatnonzero(~dataset.y_train[:, 0]))
    assert np.all(np.isfinite(some))  # even a label without a positive has log odds
