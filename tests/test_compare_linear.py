"""Linear models against solvers that share no code with them."""

import dataclasses
import threading
import time

import numpy as np
import pytest
from linear_inputs import (
    BINARY,
    EVERY,
    LABELS,
    ROWS,
    ZLPR,
    known_of,
    make_dataset,
    make_fitter,
    run,
    start_of,
    value_and_gradient,
)
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from benchmarks import linear_float64
from benchmarks.linear_float64 import solve_float64
from mllosses_jax.compare import linear, products
from mllosses_jax.compare.bound_loss import bind
from mllosses_jax.compare.products import Features
from mllosses_jax.data import Dataset
from mllosses_jax.data.scaling import standardize

STRENGTH = 3e-3


@pytest.mark.parametrize("shifted", [False, True])
def test_products_are_those_of_numpy(monkeypatch, shifted):
    """Features that were mostly zero are sparse even if they are standardised."""
    generator = np.random.default_rng(1)
    x = make_dataset(sparse=True).x_train
    if shifted:
        [x] = standardize(x)
        assert np.count_nonzero(x) > x.size / 2
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
        of_squares = features.gradient_of_squares(slopes)
        np.testing.assert_allclose(of_squares, (with_ones**2).T @ slopes, rtol=1e-5, atol=1e-5)
        rows = generator.permutation(ROWS)[:30]
        some = features.with_rows(rows)
        np.testing.assert_allclose(some.outputs(params)[rows], outputs[rows], rtol=1e-5, atol=1e-5)
        of_some = np.zeros_like(slopes)
        of_some[rows] = slopes[rows]
        expected = features.gradient(of_some)
        np.testing.assert_allclose(some.gradient(of_some), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_curvature_is_that_of_a_secant_in_double_precision(sparse):
    dataset = make_dataset(masked=True, sparse=sparse)
    fitter = make_fitter(BINARY, dataset)
    x, params = dataset.x_train.astype(np.float64), fitter.start(EVERY, seed=1)
    outputs = x @ params[:-1] + params[-1]
    known = known_of(dataset)
    bends = known * (expit(outputs + 1) - expit(outputs - 1)) / 2 / np.sum(known)
    centred = np.column_stack([x - x.mean(0), np.ones(ROWS)])
    found = fitter._curvature_at(params, fitter._slope_at(EVERY))
    least = linear.LEAST_SHARE * centred.var(0)[:-1, None] * bends.sum(0)
    expected = (centred**2).T @ bends
    expected[:-1] = np.maximum(expected[:-1], least)  # a feature may be 0 in all known rows
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_overlap_losses_of_rare_labels_need_no_descent(monkeypatch):
    """Their curvature grows a hundredfold on the way, and the penalty may be larger at first."""
    generator = np.random.default_rng(0)
    x = (generator.random((400, 60)) < 0.1).astype(np.float32)
    x[:, 0] = 1
    y = x @ generator.normal(size=(60, 3)) + generator.normal(size=(400, 1)) > [2.0, 2.5, 3.0]
    dataset = Dataset(name="toy", label_names=("a", "b", "c"), x_train=x, y_train=y, sparse=True)
    fitter = make_fitter("soft_f1_loss", dataset)
    monkeypatch.setattr(linear.descent, "settle", None)
    for factor in (0.3, 0.03, 0.003):
        fit = fitter.fit(np.arange(400), factor * fitter.reference, tolerance=1e-3)
        assert fit.residual <= 1e-3


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
    """The penalty on the sum of the losses is the same, so fewer rows mean more strength."""
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
    # scikit-learn sums the losses over the rows of one label, and gives the penalty a weight of 1.
    c = 1 / (STRENGTH * known.sum())
    for label, where in enumerate(known.T):
        peer = LogisticRegression(C=c, tol=1e-10, max_iter=10_000)
        peer.fit(dataset.x_train[where], dataset.y_train[where, label])
        np.testing.assert_allclose(params[:-1, label], peer.coef_[0], atol=5e-3, rtol=5e-3)
        np.testing.assert_allclose(params[-1, label], peer.intercept_[0], atol=5e-3, rtol=5e-3)


def held_focus(x, y, known):
    """Computes the slope of the asymmetric loss with the focusing weight held constant."""
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
    """It ends where slope + strength * kernel vanishes.

    This holds even for losses that are not convex, or whose slope is not a gradient.
    """
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
    """Hence a fit does not end at the minimum of the value, which another solver would find."""
    dataset = make_dataset()
    params, _ = make_fitter("asymmetric_loss", dataset).fit(EVERY, STRENGTH, tolerance=1e-4)
    _, gradient = value_and_gradient(linear_float64.asymmetric, dataset, params, STRENGTH)
    _, slope = value_and_gradient(held_focus, dataset, params, STRENGTH)
    assert np.linalg.norm(gradient) > 100 * np.linalg.norm(slope)


@pytest.mark.parametrize("name", [BINARY, ZLPR, "soft_f1_loss"])
def test_features_that_tell_nothing_leave_a_fit_at_rest(name):
    """The log odds are then the solution, except for what labels share.

    The slope is small from the start, so it cannot fall to a small share of its initial value.
    """
    dataset = make_dataset()
    dataset = dataclasses.replace(dataset, x_train=np.zeros_like(dataset.x_train))
    fit = make_fitter(name, dataset).fit(EVERY, STRENGTH, tolerance=1e-4)
    assert fit.residual <= 1e-4
    np.testing.assert_array_equal(fit.params[:-1], 0)


def test_hinges_are_support_vector_machines():
    dataset = make_dataset()
    strength = 3e-3
    params, residual = make_fitter("hinge_loss", dataset).fit(EVERY, strength, tolerance=1e-4)
    assert residual > 1e-4  # the slope does not vanish at a kink: Adam took over

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
    """They are not standardised, because their zeros must stay."""
    dataset = make_dataset(sparse=True)
    scaled = dataclasses.replace(
        dataset, x_train=dataset.x_train * scale, x_test=dataset.x_test * scale
    )
    outcomes = [run(bind(BINARY, each), each.standardized()) for each in (dataset, scaled)]
    assert all(not outcome.varies and outcome.residuals <= 1e-4 for outcome in outcomes)
    scores = [outcome.test_scores for outcome in outcomes]
    np.testing.assert_allclose(scores[0], scores[1], atol=2e-3)
    np.testing.assert_allclose(outcomes[0].held.scores, outcomes[1].held.scores, atol=2e-2)


def test_an_interruption_does_not_wait_for_fits_that_go_on():
    """Threads do not receive it, so each fit checks for it."""
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
