"""Training in steps against a loop in NumPy, and how learning rate, decay and steps are chosen."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from steps_inputs import (
    BINARY,
    FEATURES,
    LABELS,
    ROWS,
    attempt,
    make_dataset,
    make_experiment,
    run,
    shorten,
    with_train,
)

from mllosses_jax.compare import (
    mlp,
    parts,
    steps_attempts,
    steps_search,
    steps_training,
    validation,
)
from mllosses_jax.compare.bound_loss import BoundLoss, bind
from mllosses_jax.compare.steps_attempts import Attempt, Experiment, Found
from mllosses_jax.compare.steps_training import Rates, Trainer, batches


@pytest.fixture(scope="module", autouse=True)
def optax_promotion():
    """Adam in optax mixes its int32 count with float32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(autouse=True)
def short(monkeypatch):
    shorten(monkeypatch)


def numpy_trained(params, dataset, rows, learning_rate, decay):
    """Returns the last parameters of AdamW on binary cross-entropy in float64, and their path."""
    params = {name: np.asarray(value, np.float64) for name, value in params.items()}
    first = {name: np.zeros_like(value) for name, value in params.items()}
    second = {name: np.zeros_like(value) for name, value in params.items()}
    path = []
    for count, index in enumerate(rows, 1):
        x, y = dataset.x_train[index].astype(np.float64), dataset.y_train[index]
        known = np.ones_like(y) if dataset.mask_train is None else dataset.mask_train[index]
        before = x @ params["hidden_kernel"] + params["hidden_bias"]
        hidden = np.maximum(before, 0)
        slope = (expit(hidden @ params["kernel"] + params["bias"]) - y) * known / known.sum()
        back = slope @ params["kernel"].T * (before > 0)
        gradient = {
            "hidden_kernel": x.T @ back,
            "hidden_bias": back.sum(0),
            "kernel": hidden.T @ slope,
            "bias": slope.sum(0),
        }
        changed = {}
        for name, g in gradient.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            ratio = first[name] / (1 - 0.9**count)
            ratio /= np.sqrt(second[name] / (1 - 0.999**count)) + 1e-15
            shrunk = decay * params[name] if "kernel" in name else 0
            changed[name] = params[name] - learning_rate * (ratio + shrunk)
        params = changed
        path.append(params)
    return params, path


@pytest.mark.parametrize("masked", [False, True])
def test_training_is_a_plain_loop(masked, monkeypatch):
    monkeypatch.setattr(steps_training, "AVERAGED", 4)
    dataset = make_dataset(masked)
    network = mlp.mlp(FEATURES, LABELS)
    trainer = Trainer(dataset, bind(BINARY, dataset), network, jax.devices()[:2])
    rates = Rates(np.float32([0.01, 0.02]), np.float32([3.0, 1.0]))
    rows = [np.arange(0, 40), np.arange(20, ROWS)]
    start = state = trainer.start(rows, 0)
    taken = batches(rows, 0, num_steps=5, batch_size=16)
    seen = [next(taken), next(taken)]
    for of_round in seen:
        state = trainer.advance(state, of_round, rates)
    for model in range(2):
        first = {name: value[model] for name, value in start.params.items()}
        each = np.concatenate(seen)[:, model]
        params, path = numpy_trained(first, dataset, each, (0.01, 0.02)[model], (3.0, 1.0)[model])
        average = {name: sum(step[name] for step in path[:4]) / 4 for name in params}
        for step in path[4:]:
            average = {name: 0.75 * average[name] + 0.25 * step[name] for name in params}
        for name, value in params.items():
            np.testing.assert_allclose(state.params[name][model], value, rtol=1e-3, atol=2e-5)
            np.testing.assert_allclose(
                state.average[name][model], average[name], rtol=1e-3, atol=2e-5
            )


def test_models_begin_apart_at_the_log_odds_of_their_own_rows():
    dataset = make_dataset(masked=True)
    bound = dataclasses.replace(bind(BINARY, dataset), num_outputs=LABELS + 1)
    rows = [np.arange(0, 40), np.arange(20, ROWS)]
    network = mlp.mlp(FEATURES, LABELS + 1)
    start = Trainer(dataset, bound, network, jax.devices()[:1]).start(rows, 0)
    assert np.std(start.params["hidden_kernel"]) == pytest.approx((2 / FEATURES) ** 0.5, rel=0.2)
    assert not np.any(start.params["hidden_kernel"][0] == start.params["hidden_kernel"][1])
    for model, of_model in enumerate(rows):
        share = np.ma.array(
            dataset.y_train[of_model], mask=~dataset.mask_train[of_model], dtype=float
        ).mean(0)
        bias = start.params["bias"][model]
        np.testing.assert_allclose(expit(bias[:LABELS]), share, rtol=1e-5)
        assert bias[LABELS] == 0


def test_batches_take_one_order_of_own_rows_after_another():
    rows = [np.arange(0, 10), np.arange(5, 17)]
    rounds = batches(rows, 0, num_steps=3, batch_size=4)
    taken = np.concatenate([next(rounds) for _ in range(5)])
    assert taken.shape == (15, 2, 4)
    for model, of_model in enumerate(rows):
        flat = taken[:, model].ravel()
        passes = flat[: len(flat) // len(of_model) * len(of_model)].reshape(-1, len(of_model))
        np.testing.assert_array_equal(np.sort(passes), np.tile(of_model, (len(passes), 1)))
        assert not np.array_equal(passes[0], passes[1])
    other = next(batches([rows[0]] * 2, 1, num_steps=3, batch_size=4))
    assert not np.array_equal(other[:, 0], other[:, 1])
    assert not np.array_equal(other[:, 0], taken[:3, 0])


@pytest.mark.parametrize(
    ("scores", "best", "judged"),
    [([3, 5, 4, 5, 4, 9], 2, 5), ([1, 2, 3, 4, 5, 6], 6, 6), ([-np.inf] * 6, 1, 4)],
)
def test_the_best_round_is_kept(scores, best, judged, monkeypatch):
    monkeypatch.setattr(steps_attempts, "ROUNDS", 6)
    experiment = make_experiment(make_dataset())
    seen = []

    def quality(held, dataset):
        seen.append(held)
        return float(scores[len(seen) - 1])

    monkeypatch.setattr(validation, "quality", quality)
    found, held = attempt(experiment)
    assert len(seen) == judged
    assert (found.score, found.rounds) == (scores[best - 1], best)
    assert found.scores == tuple(scores[:judged])
    assert len(found.losses) == judged
    np.testing.assert_array_equal(held.scores, seen[best - 1].scores)
    assert not np.array_equal(seen[0].scores, seen[1].scores)


def test_held_scores_are_of_models_that_did_not_see_the_row(monkeypatch):
    monkeypatch.setattr(steps_attempts, "ROUNDS", 1)
    dataset = make_dataset()
    experiment = make_experiment(dataset)
    _, before = attempt(experiment)
    row = 7
    x, y = dataset.x_train.copy(), dataset.y_train.copy()
    x[row] += 3
    y[row] ^= True
    monkeypatch.setattr(parts, "draws", lambda *_: experiment.parts)
    _, after = attempt(make_experiment(with_train(dataset, x_train=x, y_train=y)))
    np.testing.assert_array_equal(before.rows, after.rows)
    same = np.all(before.scores == after.scores, axis=1)
    start = 0
    for part in experiment.parts:
        rows = slice(start, start + len(part.validation))
        start = rows.stop
        if row in part.validation:
            assert np.all(same[rows] | (before.rows[rows] == row))
        else:
            assert not np.any(same[rows])


def test_unknown_labels_count_nowhere(monkeypatch):
    dataset = make_dataset(masked=True)
    other = with_train(dataset, y_train=dataset.y_train | ~dataset.mask_train)
    assert not np.array_equal(dataset.y_train, other.y_train)
    ours = make_experiment(dataset)
    monkeypatch.setattr(parts, "draws", lambda *_: ours.parts)
    (first, held), (second, other_held) = map(attempt, (ours, make_experiment(other)))
    assert first == second
    np.testing.assert_array_equal(held.scores, other_held.scores)


def test_final_models_train_on_all_rows_each_in_its_own_order(monkeypatch):
    experiment = make_experiment(make_dataset())
    seen = []
    advance = experiment.trainer.advance

    def spy(state, rows, rates):
        seen.append(rows)
        return advance(state, rows, rates)

    monkeypatch.setattr(experiment.trainer, "advance", spy)
    experiment.final(Rates(0.01, 3.0), num_rounds=3, num_seeds=2)
    rows = np.concatenate(seen)
    assert rows.shape == (15, 5, 16)  # as many models as parts, of which two are the seeds'
    for seed in range(2):
        assert set(rows[:, seed].ravel()) == set(range(ROWS))
    assert not np.array_equal(rows[:, 0], rows[:, 1])


@pytest.fixture(scope="module")
def outcome():
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        passes = []
        found = run(make_dataset(), on_pass=lambda: passes.append(1))
        assert len(passes) == steps_search.PASSES
        return found


def test_the_outcome_fits_together(outcome):
    dataset = make_dataset()
    assert sorted(outcome.held.rows) == list(range(ROWS))  # five folds
    score = validation.quality(outcome.held, dataset)
    assert score == outcome.quality == max(outcome.tried["score"])
    place = int(np.argmax(outcome.tried["score"]))
    assert outcome.chosen == {
        name: outcome.tried[name][place] for name in ("learning_rate", "decay", "steps")
    }
    assert {len(each) for each in outcome.tried.values()} == {steps_search.ATTEMPTS}
    expected = validation.decide(outcome.held, dataset)
    np.testing.assert_array_equal(outcome.decisions.label_thresholds, expected.label_thresholds)
    assert outcome.test_scores.shape == (2, ROWS, LABELS)
    assert outcome.varies
    assert np.isnan(outcome.residuals).all()
    assert not np.array_equal(outcome.test_scores[0], outcome.test_scores[1])
    for seed, scores in enumerate(outcome.test_scores):
        p = {name: value[seed] for name, value in outcome.params.items()}
        hidden = np.maximum(dataset.x_test @ p["hidden_kernel"] + p["hidden_bias"], 0)
        np.testing.assert_allclose(hidden @ p["kernel"] + p["bias"], scores, rtol=1e-4, atol=1e-5)


def test_the_same_seeds_give_the_same_and_the_scale_of_a_loss_is_nothing(outcome):
    dataset = make_dataset()
    bound = bind(BINARY, dataset)

    def larger(outputs, labels, where=None):
        return 1024 * bound.loss(outputs, labels, where=where)

    again = run(dataset)
    scaled = run(dataset, dataclasses.replace(bound, loss=larger))
    np.testing.assert_array_equal(again.test_scores, outcome.test_scores)
    for name, value in outcome.tried.items():
        np.testing.assert_array_equal(again.tried[name], value)
    assert scaled.chosen == outcome.chosen
    np.testing.assert_allclose(scaled.test_scores, outcome.test_scores, atol=1e-4)


def test_every_loss_has_the_same_budget(monkeypatch):
    """Whatever the scores, there are as many attempts, each of at most as many rounds."""
    dataset = make_dataset()
    places = {}
    for name, goal in {"inside": (0, 0), "corner": (2, -2), "far": (6, 6)}.items():
        tried = {}
        for count in (9, *steps_search.THEN):
            pairs = steps_search._next(tried, count)
            assert len(pairs) == len(set(pairs) - tried.keys()) == count
            distances = {pair: float(np.sum(np.abs(np.subtract(pair, goal)))) for pair in pairs}
            tried |= {pair: Attempt(-distance, 1) for pair, distance in distances.items()}
        assert len(tried) == steps_search.ATTEMPTS
        places[name] = list(tried)
    grid = {(i, j) for i in (-2, 0, 2) for j in (-2, 0, 2)}
    assert all(set(each[:9]) == grid for each in places.values())
    assert set(places["inside"][9:]) == {(1, 0), (-1, 0), (0, 1), (0, -1)}  # finer
    assert {(4, -2), (2, -4)} <= set(places["corner"][9:])  # past both edges
    assert max(i + j for i, j in places["far"]) >= 8
    calls = []
    for loss in (BINARY, "soft_f1_loss"):
        run(dataset, bind(loss, dataset), on_pass=lambda loss=loss: calls.append(loss))
    assert calls == [BINARY] * steps_search.PASSES + ["soft_f1_loss"] * steps_search.PASSES


def fake_attempts(monkeypatch, goal, rounds=1):
    """Fakes attempts whose score falls with the distance from a learning rate and a decay."""

    def attempts(self, wanted, on_end):
        places = np.log([(rates.learning_rate, rates.decay) for rates in wanted])
        scores = -np.abs(places - np.log(goal)).sum(1)
        held = validation.Held(np.arange(ROWS), np.zeros((ROWS, LABELS)))
        return Found([Attempt(score, rounds) for score in scores], int(np.argmax(scores)), held)

    monkeypatch.setattr(Experiment, "attempts", attempts)


@pytest.mark.parametrize(
    ("goal", "rounds", "edges"),
    [
        ((0.01, 3.0), 1, ()),
        ((0.01, 3.0), 4, ("steps",)),
        ((1e3, 3.0), 1, ("learning_rate",)),
        ((0.01, 1e-4), 1, ("decay",)),
    ],
)
def test_edges_are_told(goal, rounds, edges, monkeypatch):
    fake_attempts(monkeypatch, goal, rounds)
    assert run(make_dataset()).at_edge == edges


def test_attempts_that_diverge_are_not_chosen(monkeypatch):
    monkeypatch.setattr(
        steps_search, "DECAY", 300.0
    )  # with the learning rate, a factor of up to -27
    monkeypatch.setattr(steps_attempts, "STEPS", 25)
    outcome = run(make_dataset())
    scores = outcome.tried["score"]
    assert np.any(scores == -np.inf)
    assert np.isfinite(outcome.quality)
    assert np.isfinite(outcome.test_scores).all()


def test_a_loss_that_always_diverges_has_an_outcome():
    def broken(outputs, labels, where=None):
        return jnp.sum(outputs) * jnp.nan

    outcome = run(make_dataset(), BoundLoss(broken, LABELS))
    assert np.all(outcome.tried["score"] == -np.inf)
    assert np.isnan(outcome.test_scores).all()
    assert np.isfinite(outcome.decisions.label_thresholds).all()
