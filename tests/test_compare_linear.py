"""Linear models against solvers that share no code with them, and how their strength is chosen."""

import dataclasses
import threading
import time

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from benchmarks import linear_float64
from benchmarks.linear_float64 import solve_float64
from mllosses_jax.compare import linear, parts, products
from mllosses_jax.compare.linear import Fitter
from mllosses_jax.compare.objective import Objective, bind
from mllosses_jax.compare.products import Features
from mllosses_jax.compare.settings import Settings
from mllosses_jax.data import Dataset

ROWS, FEATURES, LABELS = 80, 5, 4
BINARY, ZLPR = "sigmoid_binary_cross_entropy", "zlpr_loss"
EVERY = np.arange(ROWS)
STRENGTH = 3e-3


def make_dataset(masked=False, sparse=False, rows=ROWS):
    """Standard normal features, or sparse ones of which every twentieth is not 0."""
    generator = np.random.default_rng(0)
    width = 8 * FEATURES if sparse else FEATURES
    x = generator.normal(size=(rows, width))
    if sparse:
        x *= generator.random(x.shape) < 0.05
    noise = generator.normal(size=(rows, 1))
    y = x @ generator.normal(size=(width, LABELS)) + noise > [0.0, 0.5, 1.0, 1.5]
    return Dataset(
        name="toy",
        label_names=tuple("abcd"),
        x_train=x,
        y_train=y,
        mask_train=generator.random(y.shape) < 0.8 if masked else None,
        x_test=x[:9],
        y_test=y[:9],
        sparse=sparse,
    )


def make_fitter(loss, dataset, **settings):
    objective = loss if isinstance(loss, Objective) else bind(loss, dataset)
    return Fitter(dataset, objective, Settings(**settings))


def known_of(dataset):
    known = dataset.mask_train
    return np.ones_like(dataset.y_train) if known is None else known


def value_and_gradient(loss, dataset, params, strength):
    """The objective and its gradient (D + 1, L), in double precision."""
    x, params = dataset.x_train.astype(np.float64), params.astype(np.float64)
    value, slope = loss(x @ params[:-1] + params[-1], dataset.y_train, known_of(dataset))
    value += strength / 2 * np.sum(params[:-1] ** 2)
    gradient = np.concatenate([x.T @ slope + strength * params[:-1], slope.sum(0)[None]])
    return value, gradient


def start_of(dataset):
    """Where fits begin: the log odds."""
    params = np.zeros((dataset.x_train.shape[1] + 1, LABELS))
    params[-1] = linear_float64.log_odds(dataset.y_train, known_of(dataset))
    return params


def test_products_are_those_of_numpy(monkeypatch):
    dataset = make_dataset(sparse=True)
    generator = np.random.default_rng(1)
    x = dataset.x_train
    params = generator.normal(size=(x.shape[1] + 1, LABELS)).astype(np.float32)
    slopes = generator.normal(size=(ROWS, LABELS)).astype(np.float32)
    sparse = Features(x)
    monkeypatch.setattr(products, "SPARSE_DENSITY", 0)
    dense = Features(x)
    monkeypatch.setattr(products, "SMALL", 0)
    large = Features(x)
    assert (sparse.sparse, dense.sparse, large.sparse) == (True, False, False)
    assert sparse.shape == dense.shape == x.shape
    with_ones = np.column_stack([x, np.ones(ROWS)]).astype(np.float64)
    for features in (sparse, dense, large):
        outputs, gradient = features.outputs(params), features.gradient(slopes)
        np.testing.assert_allclose(outputs, with_ones @ params, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(gradient, with_ones.T @ slopes, rtol=1e-5, atol=1e-5)


# The model.


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [BINARY, ZLPR])
def test_the_model_is_that_of_another_solver(name, masked, sparse):
    dataset = make_dataset(masked, sparse)
    fitter = make_fitter(name, dataset)
    assert fitter.features.sparse is sparse
    params, residual = fitter.fit(EVERY, STRENGTH, tolerance=fitter.settings.tolerance)
    assert residual <= fitter.settings.tolerance
    oracle = solve_float64(name, dataset.x_train, dataset.y_train, dataset.mask_train, STRENGTH)
    value, _ = value_and_gradient(linear_float64.LOSSES[name], dataset, params, STRENGTH)
    assert value == pytest.approx(oracle.value, rel=1e-5)
    expected = np.vstack([oracle.weights, oracle.bias])
    assert np.linalg.norm(params - expected) < 1e-2 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", [BINARY, ZLPR])
def test_a_fit_to_some_rows_is_that_to_a_data_set_of_them(name):
    """The penalty beside the sum of the losses is the same: more strength for fewer rows."""
    dataset = make_dataset(masked=True)
    rows = np.random.default_rng(2).permutation(ROWS)[:50]
    params, _ = make_fitter(name, dataset).fit(rows, STRENGTH, tolerance=1e-4)
    alone = dataclasses.replace(
        dataset,
        x_train=dataset.x_train[rows],
        y_train=dataset.y_train[rows],
        mask_train=dataset.mask_train[rows],
    )
    strength = STRENGTH * ROWS / 50
    oracle = solve_float64(name, alone.x_train, alone.y_train, alone.mask_train, strength)
    value, _ = value_and_gradient(linear_float64.LOSSES[name], alone, params, strength)
    assert value == pytest.approx(oracle.value, rel=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_cross_entropy_gives_the_regression_of_scikit_learn(masked):
    dataset = make_dataset(masked)
    known = known_of(dataset)
    params, _ = make_fitter(BINARY, dataset).fit(EVERY, STRENGTH, tolerance=1e-5)
    c = 1 / (STRENGTH * known.sum())  # it sums over rows, of one label, and penalises with 1
    for label, where in enumerate(known.T):
        peer = LogisticRegression(C=c, tol=1e-10, max_iter=10_000)
        peer.fit(dataset.x_train[where], dataset.y_train[where, label])
        np.testing.assert_allclose(params[:-1, label], peer.coef_[0], atol=5e-3, rtol=5e-3)
        np.testing.assert_allclose(params[-1, label], peer.intercept_[0], atol=5e-3, rtol=5e-3)


def held_focus(x, y, known):
    """The slope of the asymmetric loss of which the focusing weight is held constant."""
    p, q = expit(x), expit(-x)
    rest = np.maximum(p - 0.05, 0)
    negative = rest**4 * np.where(p > 0.05, p * q / (1 - rest), 0)
    return np.nan, np.where(known, np.where(y, -q * q, negative), 0) / known.sum()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("asymmetric_loss", held_focus),
        ("asymmetric_loss(detach_focus=False)", linear_float64.asymmetric),
        ("sigmoid_focal_loss", linear_float64.focal),
        ("soft_f1_loss", linear_float64.soft_f1),
    ],
)
def test_a_fit_ends_at_rest(name, loss, masked):
    """Where slope + strength * kernel vanishes, also of what is no gradient or not convex."""
    dataset = make_dataset(masked)
    fitter = make_fitter(name, dataset)
    strength = 0.01 * fitter.reference
    params, residual = fitter.fit(EVERY, strength, tolerance=1e-4)
    _, begin = value_and_gradient(loss, dataset, start_of(dataset), strength)
    _, end = value_and_gradient(loss, dataset, params, strength)
    ratio = np.linalg.norm(end) / np.linalg.norm(begin)
    assert ratio <= 1.2e-4
    assert residual == pytest.approx(ratio, abs=2e-5)
    assert np.linalg.norm(params[:-1]) > 0.5


def test_the_slope_of_the_asymmetric_loss_is_not_its_gradient():
    """So that rest is not the minimum of the value, which another solver would find."""
    dataset = make_dataset()
    params, _ = make_fitter("asymmetric_loss", dataset).fit(EVERY, STRENGTH, tolerance=1e-4)
    _, gradient = value_and_gradient(linear_float64.asymmetric, dataset, params, STRENGTH)
    _, slope = value_and_gradient(held_focus, dataset, params, STRENGTH)
    assert np.linalg.norm(gradient) > 100 * np.linalg.norm(slope)


@pytest.mark.parametrize("name", [BINARY, ZLPR, "soft_f1_loss"])
def test_features_that_tell_nothing_leave_a_fit_at_rest(name):
    """The log odds are the answer then but for what labels share: nothing to fall by a share of."""
    dataset = make_dataset()
    dataset = dataclasses.replace(dataset, x_train=np.zeros_like(dataset.x_train))
    fit = make_fitter(name, dataset).fit(EVERY, STRENGTH, tolerance=1e-4)
    assert fit.residual <= 1e-4
    np.testing.assert_array_equal(fit.params[:-1], 0)


def test_hinges_are_support_vector_machines():
    dataset = make_dataset()
    strength = 3e-3
    params, residual = make_fitter("hinge_loss", dataset).fit(EVERY, strength, tolerance=1e-4)
    assert residual > 1e-4  # no rest at a kink: Adam went on

    def objective(params):
        z = dataset.x_train @ params[:-1] + params[-1]
        hinges = np.maximum(0, 1 - np.where(dataset.y_train, z, -z))
        return hinges.mean() + strength / 2 * np.sum(params[:-1] ** 2)

    best = np.empty(params.shape)
    for label in range(LABELS):
        peer = SVC(kernel="linear", C=1 / (strength * ROWS * LABELS), tol=1e-8)
        peer.fit(dataset.x_train, dataset.y_train[:, label])
        best[:-1, label], best[-1, label] = peer.coef_[0], peer.intercept_[0]
    assert objective(best) - 1e-6 <= objective(params) <= 1.001 * objective(best)


@pytest.mark.parametrize(
    ("name", "independent"),
    [
        (BINARY, True),
        ("soft_f1_loss", True),
        (ZLPR, False),
        ("softmax_cross_entropy", False),
        ("large_loss_rejection", False),
    ],
)
def test_whether_labels_are_independent_is_seen(name, independent):
    for masked in (False, True):
        assert make_fitter(name, make_dataset(masked)).independent is independent


@pytest.mark.parametrize("scale", [1e-10, 3e6, 1e20])
def test_the_scale_of_sparse_features_does_not_matter(scale):
    """They are not standardised, for their zeros must stay."""
    dataset = make_dataset(sparse=True)
    scaled = dataclasses.replace(
        dataset, x_train=dataset.x_train * scale, x_test=dataset.x_test * scale
    )
    outcomes = [run(bind(BINARY, each), each.standardised()) for each in (dataset, scaled)]
    assert all(not outcome.varies and outcome.residuals <= 1e-4 for outcome in outcomes)
    scores = [outcome.test_scores for outcome in outcomes]
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-3)
    np.testing.assert_allclose(outcomes[0].held.scores, outcomes[1].held.scores, atol=2e-2)


def test_an_interruption_does_not_wait_for_fits_that_go_on():
    """Threads do not see it: each fit looks itself."""
    dataset = make_dataset()
    fitter = make_fitter(BINARY, dataset)
    begun, seen = threading.Barrier(3), []

    def fit(number):
        begun.wait()
        if number == 0:
            raise KeyboardInterrupt
        while not fitter.stopped:
            time.sleep(0.001)
        try:
            fitter.fit(EVERY, STRENGTH, tolerance=1e-4)
        except InterruptedError:
            seen.append(number)

    with pytest.raises(KeyboardInterrupt):
        linear._at_once(fitter, fit, range(3))
    assert sorted(seen) == [1, 2]


def test_unknown_labels_and_the_test_part_leave_no_trace():
    dataset = make_dataset(masked=True)
    garbage = np.where(dataset.mask_train, dataset.y_train, 1)
    other = dataclasses.replace(
        dataset, y_train=garbage, x_test=-7 * dataset.x_test, y_test=~dataset.y_test
    )
    ours, theirs = (make_fitter(ZLPR, each) for each in (dataset, other))
    assert ours.reference == theirs.reference
    fits = [each.fit(EVERY, STRENGTH, tolerance=1e-4).params for each in (ours, theirs)]
    np.testing.assert_array_equal(*fits)


# The choice of the strength.


class Charted:
    """A fitter whose validation scores are given by the step of the strength."""

    reference = 0.25

    def __init__(self, score):
        self.dataset, self.settings, self.score = make_dataset(), Settings(), score
        self.features, self.fits = None, []

    def step(self, strength):
        return round(linear.PER_DECADE * np.log10(strength / self.reference))

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
    """Two that are worse end the search where none is clearly so."""
    found, steps = Charted(lambda step: -1e-5 * abs(step + 4)).search(monkeypatch)
    assert not found.at_edge
    assert min(steps) == -8
    assert max(steps) == 0
    found, steps = Charted(lambda step: -np.inf).search(monkeypatch)
    assert not found.at_edge
    assert len(steps) < 10


@pytest.mark.parametrize(("sign", "edge"), [(1, linear.HIGHEST), (-1, linear.LOWEST)])
def test_an_edge_is_told(sign, edge, monkeypatch):
    found, steps = Charted(lambda step: sign * step).search(monkeypatch)
    assert found.at_edge
    assert min(steps) >= linear.LOWEST - 1
    assert max(steps) <= linear.HIGHEST + 1
    assert edge in steps


def test_scores_are_held_out(monkeypatch):
    """The labels of a fold have no part in the scores of its rows, but in those of others."""
    dataset = make_dataset()
    folds = parts.folds(dataset.y_train, None)
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


def run(objective, dataset, **settings):
    return linear.run(dataset, objective, Settings(**settings), lambda: None)


def test_the_scale_of_a_loss_does_not_matter():
    dataset = make_dataset()
    plain = bind(BINARY, dataset)
    scaled = Objective(lambda *args, **options: 1000 * plain.loss(*args, **options), LABELS)
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
    assert np.all(np.isfinite(some))  # a label without a positive has log odds as well
