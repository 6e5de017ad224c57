"""Calibrators against scikit-learn, SciPy in float64 and the definition of a stationary point."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from mllosses_jax import calibration, metrics

N, L = 150, 6
LOWEST = 0.01  # the smallest slope allowed
FITS = {
    name: getattr(calibration, f"fit_{name}")
    for name in ("temperature", "bias", "platt", "beta", "isotonic")
}
PARAMETRIC = [name for name in FITS if name != "isotonic"]


def fitted(name, x, y, *, scope="label", shrinkage=2.0, weights=None, where=None):
    """Fits with every argument as an array, so that all tests of a method share a program."""
    return FITS[name](
        x,
        np.asarray(y, np.float32),
        scope=scope,
        shrinkage=np.float32(shrinkage),
        weights=np.ones(len(x), np.float32) if weights is None else weights,
        where=np.ones(x.shape, bool) if where is None else where,
    )


def problem(seed=0):
    """Returns scores and labels: offset, steep, flat, reversed, rare and tied ones."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, L)) * [1, 4, 1, 1, 1, 2] + [-5, 0, 1, 0, -1, 0]
    sharp = np.array([2, 0.5, 0.2, -1, 1.5, 0.7])
    y = rng.random((N, L)) < expit(sharp * (x - x.mean(0)) + [0, 1, 0, 0, -3, 0])
    x[:, 5] = x[:, 5].round()
    y[:4, 4] = [True, False, True, False]
    return x.astype(np.float32), y


def features(name, x):
    """Returns a model's features, its parameters at the identity, their bounds and the offset."""
    one, zero = np.ones_like(x), np.zeros_like(x)
    return {
        "temperature": ([x], [1.0], [(LOWEST, None)], zero),
        "bias": ([one], [0.0], [(None, None)], x),
        "platt": ([x, one], [1.0, 0.0], [(LOWEST, None), (None, None)], zero),
        "beta": (
            [log_expit(x), -log_expit(-x), one],
            [1.0, 1.0, 0.0],
            [(LOWEST, None), (LOWEST, None), (None, None)],
            zero,
        ),
    }[name]


def parameters(name, calibrator):
    if name == "temperature":
        return np.stack([calibrator.slope], -1)
    if name == "bias":
        return np.stack([calibrator.bias], -1)
    return np.stack(jax.tree.leaves(calibrator), -1)


def optimum(name, x, y, w, centre=None, precision=0.0):
    """Returns a label's optimal parameters in float64 by L-BFGS-B, the loss and its Hessian."""
    x = x.astype(np.float64)
    columns, identity, bounds, offset = features(name, x)
    columns = np.stack(columns, -1)
    centre = np.asarray(identity if centre is None else centre)

    def loss(theta):
        z, off = columns @ theta + offset, theta - centre
        value = -np.sum(w * (y * log_expit(z) + (1 - y) * log_expit(-z)))
        gradient = columns.T @ (w * (expit(z) - y))
        return (
            (value + off @ np.dot(precision, off) / 2) / w.sum(),
            (gradient + np.dot(precision, off)) / w.sum(),
        )

    def hessian(theta):
        z = columns @ theta + offset
        return (columns.T * (w * expit(z) * expit(-z))) @ columns

    options = {"maxiter": 10000, "maxfun": 100000, "ftol": 1e-16, "gtol": 1e-11}
    found = minimize(loss, identity, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return found.x, loss, hessian


@pytest.mark.parametrize("name", PARAMETRIC)
def test_fit_reaches_the_optimum(name):
    x, y = problem()
    got = parameters(name, fitted(name, x, y, shrinkage=0)).astype(np.float64)
    assert got.shape[0] == L
    for label in range(L):
        best, loss, _ = optimum(name, x[:, label], y[:, label], np.ones(N))
        assert loss(got[label])[0] - loss(best)[0] < 1e-6
        np.testing.assert_allclose(got[label], best, rtol=1e-3, atol=1e-3)
    overall = parameters(name, fitted(name, x, y, shrinkage=0, scope="global"))
    best, _, _ = optimum(name, x.ravel(), y.ravel(), np.ones(N * L))
    np.testing.assert_allclose(overall, best, rtol=1e-3, atol=1e-3)


def test_platt_is_logistic_regression():
    x, y = problem(1)
    calibrator = fitted("platt", x, y, shrinkage=0)
    for label in (0, 1, 4, 5):
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(x[:, [label]].astype(np.float64), y[:, label])
        np.testing.assert_allclose(calibrator.slope[label], model.coef_[0, 0], rtol=1e-3)
        np.testing.assert_allclose(calibrator.bias[label], model.intercept_[0], rtol=1e-3)
        expected = model.predict_proba(x[:, [label]].astype(np.float64))[:, 1]
        np.testing.assert_allclose(calibrator(x)[:, label], expected, atol=1e-4)
    assert calibrator.slope[3] == np.float32(LOWEST)  # the scores are the wrong way round


@pytest.mark.parametrize("name", PARAMETRIC)
def test_shrinkage_is_a_gaussian_prior_worth_s_observations(name):
    x, y = problem(2)
    s, everything = 7.5, np.ones(N * L)
    rarer = min(y.sum(), (~y).sum())
    x_all, y_all = x.ravel(), y.ravel()
    identity, _, hessian = optimum(name, x_all, y_all, everything)
    identity = np.asarray(features(name, x)[1])
    common, _, _ = optimum(name, x_all, y_all, everything, identity, s / rarer * hessian(identity))
    got = parameters(name, fitted(name, x, y, shrinkage=s, scope="global"))
    np.testing.assert_allclose(got, common, rtol=1e-3, atol=1e-3)
    own = parameters(name, fitted(name, x, y, shrinkage=s))
    prior = s / rarer * hessian(common)
    for label in range(L):
        best, _, _ = optimum(name, x[:, label], y[:, label], np.ones(N), common, prior)
        np.testing.assert_allclose(own[label], best, rtol=2e-3, atol=2e-3)
    # Ever stronger shrinkage leads to the common map.
    strong = parameters(name, fitted(name, x, y, shrinkage=1e7))
    limit = parameters(name, fitted(name, x, y, shrinkage=1e7, scope="global"))
    np.testing.assert_allclose(strong, np.broadcast_to(limit, strong.shape), atol=1e-3)


@pytest.mark.parametrize("shrinkage", [0.0, 3.5])
@pytest.mark.parametrize("scope", ["label", "global"])
def test_isotonic_is_that_of_scikit_learn(scope, shrinkage):
    x, y = problem(3)
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, N).astype(np.float32)
    where = rng.random((N, L)) < 0.8
    broken = np.where(where, x, np.nan)
    calibrator = calibration.fit_isotonic(
        broken, y, scope=scope, shrinkage=shrinkage, weights=weights, where=where
    )
    queries = np.concatenate([x, x + 0.37, np.full((1, L), 50), np.full((1, L), -50)])
    queries = queries.astype(np.float32)
    w = where * weights[:, None]

    def curve(of, at):
        model = IsotonicRegression(out_of_bounds="clip")
        model.fit(x[of].astype(np.float64), y[of].astype(np.float64), sample_weight=w[of])
        total, positive = w[of].sum(), (w * y)[of].sum()
        n = min(positive, total - positive)
        return model.predict(at), n / (n + shrinkage)

    everything = curve(where, queries.ravel())
    expected = everything[0].reshape(queries.shape) * everything[1]
    expected += (1 - everything[1]) * expit(queries.astype(np.float64))
    if scope == "label":
        for label in range(L):
            of = np.zeros_like(where)
            of[:, label] = where[:, label]
            own, share = curve(of, queries[:, label])
            expected[:, label] = share * own + (1 - share) * expected[:, label]
    np.testing.assert_allclose(calibrator(queries), expected, atol=2e-6)


def test_isotonic_where_every_round_merges_one_block():
    # Block means rise up to the last one, which is so low that it absorbs them from the top down.
    sizes = np.arange(2, 30)
    y = np.concatenate([np.repeat([1.0, 0.0], [n - 1, 1]) for n in sizes] + [np.zeros(500)])
    x = np.arange(len(y), dtype=np.float32)
    calibrator = calibration.fit_isotonic(x[:, None], y[:, None], shrinkage=0)
    expected = IsotonicRegression().fit_transform(x, y)
    np.testing.assert_allclose(calibrator(x[:, None])[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("shrinkage", [0, 10.0])
@pytest.mark.parametrize("name", FITS)
def test_labels_that_lack_a_class_take_the_common_map(name, shrinkage):
    x, y = problem(4)
    x, y, where = x.copy(), y.copy(), np.ones((N, L), bool)
    y[:, 0], y[:, 1], where[:, 2] = False, True, False
    x[:, 2] = np.nan
    calibrator = fitted(name, x, y, shrinkage=shrinkage, where=where)
    common = fitted(name, x, y, shrinkage=shrinkage, where=where, scope="global")
    grid = jnp.asarray(np.repeat(np.linspace(-9, 9, 40)[:, None], L, 1), jnp.float32)
    np.testing.assert_array_equal(calibrator(grid)[:, :3], common(grid)[:, :3])
    assert np.all(np.abs(calibrator(grid)[:, 3:] - common(grid)[:, 3:]).max(0) > 1e-3)
    for nothing in (np.zeros_like(y), np.ones_like(y)):
        calibrator = fitted(name, x, nothing, shrinkage=shrinkage, where=where)
        np.testing.assert_allclose(calibrator(grid), jax.nn.sigmoid(grid), rtol=1e-6)
    nowhere = np.zeros_like(where)
    calibrator = fitted(name, x, y, shrinkage=shrinkage, where=nowhere)
    np.testing.assert_allclose(calibrator(grid), jax.nn.sigmoid(grid), rtol=1e-6)


@pytest.mark.parametrize("name", FITS)
def test_masked_entries_weights_and_soft_labels(name):
    x, _ = problem(5)
    rng = np.random.default_rng(1)
    soft = rng.choice([0.0, 0.25, 1.0], (N, L)).astype(np.float32)
    weights = rng.integers(0, 3, N).astype(np.float32)
    # A soft label is equivalent to two entries of fractional weight.
    half = N // 2
    weights[half:] = 0
    twice, hard = np.concatenate([x[:half]] * 2), np.repeat([True, False], half)
    halves = np.concatenate([soft[:half, 0], 1 - soft[:half, 0]]) * np.tile(weights[:half], 2)
    one = fitted(
        name, np.repeat(twice[:, :1], L, 1), np.repeat(hard[:, None], L, 1), weights=halves
    )
    alone = fitted(name, np.repeat(x[:, :1], L, 1), np.repeat(soft[:, :1], L, 1), weights=weights)
    np.testing.assert_allclose(alone(x), one(x), atol=1e-5)
    got = fitted(name, x, soft, weights=weights)
    # Entries that are masked or have no weight change nothing.
    where = np.repeat((weights > 0)[:, None], L, 1)
    dirty = np.where(where, x, np.nan)
    masked = fitted(name, dirty, np.where(where, soft, np.nan), weights=weights, where=where)
    np.testing.assert_allclose(masked(x), got(x), atol=1e-5)
    unweighted = fitted(name, dirty, soft, weights=weights)
    np.testing.assert_allclose(unweighted(x), got(x), atol=1e-5)


@pytest.mark.parametrize("name", FITS)
def test_order_is_kept(name):
    x, y = problem(6)
    calibrator = fitted(name, x, y)
    grid = np.concatenate([[-np.inf, -1e30, -200], np.linspace(-30, 30, 500), [200, 1e30, np.inf]])
    p = np.asarray(calibrator(np.repeat(grid[:, None], L, 1).astype(np.float32)))
    assert np.all((p >= 0) & (p <= 1))
    assert np.all(np.diff(p, axis=0) >= 0)
    if name != "isotonic":
        assert np.all(p[0] == 0)
        assert np.all(p[-1] == 1)
        for measure in (metrics.average_precision, metrics.roc_auc):
            before, after = (measure(scores, y, average=None) for scores in (x, calibrator(x)))
            np.testing.assert_allclose(after, before, rtol=1e-6)
        np.testing.assert_allclose(jax.nn.sigmoid(calibrator.logits(x)), calibrator(x), rtol=1e-5)


@pytest.mark.parametrize("name", FITS)
def test_hard_cases_stay_finite(name):
    x, y = problem(7)
    x = x.copy()
    x[:, 0] = 3  # a single score
    x[:, 1] = np.where(y[:, 1], 40, -40)  # separated
    x[:, 2] = np.where(y[:, 2], -np.inf, np.inf)  # certain and wrong
    x[:, 3] *= 1e30
    for shrinkage in (0.0, 10.0):
        calibrator = fitted(name, x, y, shrinkage=shrinkage)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(calibrator))
        assert np.all(np.isfinite(calibrator(x)))
        again = fitted(name, x, y, shrinkage=shrinkage)
        jax.tree.map(np.testing.assert_array_equal, calibrator, again)
    x[0, 4] = np.nan
    assert np.all(np.isnan(fitted(name, x, y)(x)))
    calibrator = fitted(name, np.nan_to_num(x, nan=0.0), y)
    probabilities = np.asarray(calibrator(x))
    assert np.isnan(probabilities[0, 4])
    assert np.isnan(probabilities).sum() == 1


@pytest.mark.parametrize("name", FITS)
def test_dtypes_shapes_and_transformations(name):
    x, y = problem()
    calibrator = fitted(name, x, y)
    narrow = jnp.asarray(x, jnp.bfloat16)
    assert calibrator(narrow).dtype == jnp.float32
    np.testing.assert_array_equal(calibrator(narrow), calibrator(narrow.astype(jnp.float32)))
    stacked = jax.jit(lambda c, v: c(v))(calibrator, jnp.stack([x, x + 1]))
    np.testing.assert_allclose(stacked[1], calibrator(x + 1), atol=1e-6)
    np.testing.assert_allclose(calibrator(x[0]), calibrator(x)[0], atol=1e-6)
    overall = fitted(name, x, y, scope="global")
    assert overall(x[:, :2]).shape == (N, 2)
    if name != "isotonic":
        assert all(leaf.shape == () for leaf in jax.tree.leaves(overall))
    if name != "platt":
        return
    jitted = jax.jit(FITS[name])(x, y)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), jitted, calibrator)


def test_wide_logits_are_fitted_in_float64():
    x, y = problem()
    wide = x.astype(np.float64)
    with jax.enable_x64(True):
        calibrator = calibration.fit_platt(wide, y, shrinkage=0)
        curve = calibration.fit_isotonic(wide, y)
        for each in (calibrator, curve):
            assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(each))
            assert each(wide).dtype == jnp.float64
        best, _, _ = optimum("platt", x[:, 0], y[:, 0], np.ones(N))
        np.testing.assert_allclose(parameters("platt", calibrator)[0], best, rtol=1e-6)


@pytest.mark.parametrize("scope", ["label", "global"])
@pytest.mark.parametrize("name", FITS)
def test_files(name, scope, tmp_path):
    x, y = problem()
    calibrator = fitted(name, x, y, scope=scope)
    names = [f"label {index}" for index in range(L)]
    calibration.save(calibrator, tmp_path / "c.json", names)
    found = calibration.load(tmp_path / "c.json", names)
    assert type(found) is type(calibrator)
    np.testing.assert_array_equal(found(x), calibrator(x))
    written = {"format": "mllosses_jax calibrator 1", **calibration.to_dict(found, names)}
    assert json.loads((tmp_path / "c.json").read_text()) == written
    some = [3, 0]
    found = calibration.load(tmp_path / "c.json", [names[index] for index in some])
    np.testing.assert_array_equal(found(x[:, some]), np.asarray(calibrator(x))[:, some])


@pytest.mark.parametrize("name", FITS)
def test_endless_shrinkage_is_the_identity(name):
    x, y = problem()
    for scope in ("label", "global"):
        calibrator = fitted(name, x, y, scope=scope, shrinkage=float("inf"))
        np.testing.assert_allclose(calibrator(x), jax.nn.sigmoid(x), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("name", FITS)
def test_bad_input_is_named(name):
    x, y = problem()
    fit = FITS[name]
    with pytest.raises(TypeError, match="logits must be a floating-point array"):
        fit(y, x)
    with pytest.raises(ValueError, match="labels must have the shape of logits"):
        fit(x, y[:, 1:])
    with pytest.raises(ValueError, match=r"expected \(N, L\), got \(6,\)"):
        fit(x[0], y[0])
    with pytest.raises(ValueError, match="scope must be one of 'label', 'global'"):
        fit(x, y, scope="macro")
    with pytest.raises(ValueError, match="shrinkage must"):
        fit(x, y, shrinkage=-1)
    with pytest.raises(ValueError, match=r"shrinkage must be a scalar, got shape \(2,\)"):
        fit(x, y, shrinkage=np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"weights must have one entry per sample.*got \(6,\)"):
        fit(x, y, weights=np.ones(L, np.float32))
    with pytest.raises(ValueError, match=r"weights must"):
        fit(x, y, weights=-np.ones(N, np.float32))
    with pytest.raises(TypeError, match="where must be a bool array"):
        fit(x, y, where=np.ones((N, L)))
    with pytest.raises(ValueError, match="must be a scalar or have shape"):
        fitted(name, x, y)(x[:, :4])


def test_isotonic_refuses_weights_that_are_not_numbers():
    weights = np.array([1, np.nan, 1], np.float32)
    with pytest.raises(ValueError, match="weights must be at least 0, got nan"):
        calibration.fit_isotonic(np.zeros((3, 1), np.float32), np.eye(3)[:, :1], weights=weights)
