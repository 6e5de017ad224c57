"""Attempts that are trained at once: on several devices, in threads, and in several settings."""

import jax
import numpy as np
import pytest
from steps_inputs import (
    FEATURES,
    LABELS,
    SETTINGS,
    attempt,
    make_dataset,
    make_experiment,
    run,
    shorten,
)

from mllosses_jax.compare import grids, mlp, steps_attempts, steps_search
from mllosses_jax.compare.bound_loss import bind
from mllosses_jax.compare.choosing import parse
from mllosses_jax.compare.steps_attempts import Experiment
from mllosses_jax.compare.steps_training import Rates

# Without kinks, where rounding would decide.
GRID = "sigmoid_focal_loss(gamma=0.5|1|2)"


@pytest.fixture(scope="module", autouse=True)
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(autouse=True)
def short(monkeypatch):
    shorten(monkeypatch)


def attempts_of(dataset, devices, monkeypatch, threads=1):
    """Returns an experiment, and the results of several attempts in several settings."""
    monkeypatch.setattr("os.cpu_count", lambda: threads)
    bounds = grids.bind_settings(parse(GRID), dataset)
    experiment = Experiment(dataset, bounds[0], SETTINGS.num_seeds, devices=devices)
    wanted = [
        Rates(rate, decay, bound.parameters)
        for bound in bounds
        for rate, decay in ((0.01, 3.0), (0.1, 1.0), (0.003, 0.1))
    ]
    ended = []
    found = experiment.attempts(wanted, lambda: ended.append(1))
    assert len(ended) == len(wanted)
    return experiment, found


@pytest.fixture
def promotion():
    """Sets for all threads what the other fixture sets for this one."""
    before = jax.config.jax_numpy_dtype_promotion
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", before)


@pytest.mark.usefixtures("promotion")
def test_eight_devices_and_several_threads_find_what_one_finds(monkeypatch):
    dataset = make_dataset(masked=True)
    alone, expected = attempts_of(dataset, jax.devices()[:1], monkeypatch)
    assert (alone.places, alone.threads) == (1, 1)
    in_threads, found = attempts_of(dataset, jax.devices()[:1], monkeypatch, threads=3)
    assert (in_threads.places, in_threads.threads) == (1, 3)
    assert found.attempts == expected.attempts
    np.testing.assert_array_equal(found.held.scores, expected.held.scores)
    assert len(jax.devices()) == 8
    sharded, found = attempts_of(dataset, jax.devices(), monkeypatch)
    assert (sharded.places, sharded.threads) == (8, 1)
    assert found.best == expected.best
    for ours, theirs in zip(found.attempts, expected.attempts, strict=True):
        assert ours.rounds == theirs.rounds
        assert ours.score == pytest.approx(theirs.score, abs=1e-6)
    np.testing.assert_allclose(found.held.scores, expected.held.scores, rtol=1e-4, atol=1e-5)
    assert len(sharded._start.params["kernel"].sharding.device_set) == 8
    # Each device holds the five models of one attempt.
    shapes = {shard.data.shape for shard in sharded._start.params["kernel"].addressable_shards}
    assert shapes == {(5, 8, LABELS)}


@pytest.mark.usefixtures("promotion")
def test_an_attempt_does_not_depend_on_those_beside_it(monkeypatch):
    dataset = make_dataset()
    _, found = attempts_of(dataset, jax.devices(), monkeypatch)
    bounds = grids.bind_settings(parse(GRID), dataset)
    for number in (4, 8):  # one that begins at once, and one that takes the place of another
        rates = Rates(*((0.1, 1.0), (0.003, 0.1))[number == 8], bounds[number // 3].parameters)
        alone, _ = attempt(make_experiment(dataset, bounds[0]), rates)
        assert alone.rounds == found.attempts[number].rounds
        assert alone.score == pytest.approx(found.attempts[number].score, abs=1e-6)


def test_large_models_train_one_attempt_at_a_time(monkeypatch):
    class Accelerator:
        platform = "gpu"

    monkeypatch.setattr("os.cpu_count", lambda: 64)
    cpu = jax.devices()[:1]
    at_once = steps_attempts._at_once
    assert at_once(2**20, cpu) == (64, 1)
    assert at_once(2**28, cpu) == (4, 1)
    assert at_once(2**40, cpu) == (1, 1)
    assert at_once(2**20, jax.devices()) == (1, 1)
    assert at_once(2**20, [Accelerator()]) == (1, steps_attempts.MOST)
    assert at_once(2**28, [Accelerator()] * 2) == (1, 4)
    assert at_once(2**40, [Accelerator()]) == (1, 1)
    # Weights, their average and two moments of Adam, in float32
    weights = FEATURES * 8 + 8 + 8 * LABELS + LABELS
    assert mlp.mlp(FEATURES, LABELS).num_bytes() == 4 * 4 * weights


def test_the_best_setting_is_trained_to_the_end(monkeypatch):
    """A loss with several settings ends like the best of them alone, with as many attempts each."""
    monkeypatch.setattr(steps_search, "FIRST", [(0, 0), (2, 0)])
    monkeypatch.setattr(steps_search, "THEN", (1,))
    dataset, calls = make_dataset(), []
    choice = parse(GRID)
    bounds = grids.bind_settings(choice, dataset)
    found = steps_search.run(dataset, bounds, SETTINGS, lambda: calls.append(1))
    assert len(calls) == 3 * 3 + 1
    alone = [run(dataset, bind(setting, dataset)) for setting in choice.settings]
    np.testing.assert_allclose(found.settings["score"], [each.quality for each in alone], atol=1e-6)
    best = alone[int(np.argmax(found.settings["score"]))]
    assert found.chosen == best.chosen
    np.testing.assert_allclose(found.tried["score"], best.tried["score"], atol=1e-6)
    np.testing.assert_allclose(found.test_scores, best.test_scores, rtol=1e-3, atol=1e-4)
    assert not any(each.settings for each in alone)
