"""The recipe that learns a loss: its hyper-gradients, and what they lead to."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll

PATH = Path(__file__).parent.parent / "recipes" / "learn_the_loss.py"
FEATURES, LABELS = 4, 3
RATE = 10.0  # learning rate of the recipe's inner optimiser


@pytest.fixture(scope="module")
def recipe():
    specification = importlib.util.spec_from_file_location("learn_the_loss", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def default_promotion():
    """Runs the recipe as in a user's session."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def numpy_parameters(free):
    powers = np.exp(free["weights"])
    return {
        "gamma_neg": np.log1p(np.exp(free["gamma_neg"])),
        "clip": 1 / (1 + np.exp(-free["clip"])),
        "weights": len(powers) * powers / powers.sum(),
    }


def numpy_validation_loss(free, params, train, clean):
    """Computes cross-entropy after one step, whose slope holds the focus constant, by formulas."""
    own = numpy_parameters(free)
    x, y = train
    p = 1 / (1 + np.exp(-(x @ params)))
    p_m = np.maximum(p - own["clip"], 0)
    # d/dx of -log p is p - 1; d/dx of -log(1 - p_m) is p(1 - p)/(1 - p_m) where p > clip.
    negative = p_m ** own["gamma_neg"] * (p > own["clip"]) * p * (1 - p) / (1 - p_m)
    slope = own["weights"] * np.where(y, p - 1, negative) / y.size
    params = params - RATE * x.T @ slope
    logits = clean[0] @ params
    return np.mean(np.log1p(np.exp(logits)) - clean[1] * logits)


@pytest.fixture(scope="module")
def problem():
    generator = np.random.default_rng(0)
    params = generator.normal(size=(FEATURES, LABELS))
    train, clean = (
        (generator.normal(size=(n, FEATURES)), generator.random((n, LABELS)) < 0.3)
        for n in (30, 20)
    )
    free = {
        "gamma_neg": np.array(0.8),
        "clip": np.array(-2.0),
        "weights": generator.normal(size=LABELS),
    }
    return free, params, train, clean


@pytest.fixture(scope="module")
def hyper_gradient(recipe, problem):
    free, params, train, clean = problem
    with jax.numpy_dtype_promotion("standard"), jax.enable_x64(True):
        free, params, train, clean = jax.tree.map(jnp.asarray, (free, params, train, clean))
        model = params, recipe.inner.init(params)
        slopes, _ = jax.grad(recipe.validation_loss, has_aux=True)(free, model, train, clean)
        return jax.tree.map(np.asarray, slopes)


def central_difference(problem, name, index, step=1e-5):
    free, *rest = problem
    values = []
    for sign in (1, -1):
        moved = {key: value.copy() for key, value in free.items()}
        moved[name][index] += sign * step
        values.append(numpy_validation_loss(moved, *rest))
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(
    ("name", "index"), [("gamma_neg", ()), ("clip", ()), *(("weights", i) for i in range(LABELS))]
)
def test_hyper_gradients_are_those_of_the_step_taken(hyper_gradient, problem, name, index):
    expected = central_difference(problem, name, index)
    assert abs(expected) > 1e-5
    np.testing.assert_allclose(hyper_gradient[name][index], expected, rtol=1e-6)


def test_parameters_stay_in_their_domain(recipe):
    for value in (-1e3, -20.0, 0.0, 20.0, 1e3):
        weights = jnp.array([value, 0.0, 0.0])
        free = {"gamma_neg": jnp.array(value), "clip": jnp.array(value), "weights": weights}
        own = recipe.loss_parameters(free)
        assert own["gamma_neg"] >= 0
        assert 0 <= own["clip"] <= 1
        assert jnp.all(own["weights"] >= 0)
        assert float(jnp.mean(own["weights"])) == pytest.approx(1)


def test_a_learnt_loss_trains_a_better_model(recipe):
    """Half of the positives are missing in training: cross-entropy alone is not the best loss."""
    result = recipe.main(steps=200)
    assert result["after"] < result["before"]
    assert float(jnp.max(result["weights"])) > 1.01
    assert not np.isclose(result["gamma_neg"], np.log1p(np.exp(0.5)), rtol=0.05)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("sigmoid_binary_cross_entropy", "pos_weight", 2.0),
        ("balanced_binary_cross_entropy", "alpha", 0.3),
        ("weak_assume_negative_loss", "gamma", 0.3),
    ],
)
def test_mixed_derivatives_of_zero_logits(name, parameter, value):
    """A model whose last layer starts at 0 has logits 0, where |x| has a kink."""
    labels = jnp.array([0.3])

    def loss(x, theta):
        return getattr(mll, name)(x * jnp.ones(1), labels, **{parameter: theta})

    x, theta = jnp.asarray(0.0), jnp.asarray(value)
    by_x = jax.grad(lambda x: jax.grad(loss, argnums=1)(x, theta))(x)
    by_theta = jax.grad(lambda theta: jax.grad(loss)(x, theta))(theta)
    h = 1e-2  # the slope in x is linear in these parameters
    slopes = [jax.grad(loss)(x, theta + step) for step in (h, -h)]
    np.testing.assert_allclose(by_theta, (slopes[0] - slopes[1]) / (2 * h), rtol=1e-4)
    np.testing.assert_allclose(by_x, by_theta, rtol=1e-5)


def test_curvature_of_quality_focal_loss_at_its_minimum():
    """For β = 2, ℓ = (p − y)²·H(y, p), so ℓ'' = 2·(p·(1 − p))²·H(y, y) at p = y."""
    for x in (0.0, 0.7):
        p = 1 / (1 + np.exp(-x))
        entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
        found = jax.hessian(lambda x, y=p: mll.quality_focal_loss(x * jnp.ones(1), jnp.array([y])))
        wanted = 2 * (p * (1 - p)) ** 2 * entropy
        np.testing.assert_allclose(found(jnp.asarray(x)), wanted, rtol=1e-4)
