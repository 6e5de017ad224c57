"""Proper scores, against scikit-learn and definitions written out in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, xlogy
from sklearn import metrics as sk

from mllosses_jax import metrics

AVERAGES = ["micro", "macro", "weighted", "samples", None]
SCORES = {
    "log loss": (metrics.binary_log_loss, lambda p, y: -xlogy(y, p) - xlogy(1 - y, 1 - p)),
    "Brier": (metrics.brier_score, lambda p, y: (p - y) ** 2),
}
PEERS = {
    "log loss": lambda y, p: sk.log_loss(y, p, labels=[0, 1]),
    "Brier": sk.brier_score_loss,
}
CASES = ["random", "tied", "certain", "trivial labels", "empty rows"]
SHAPE = (60, 5)


def forecast(case):
    """Returns roughly calibrated probabilities, and labels."""
    rng = np.random.default_rng(3)
    p = rng.beta(0.7, 1.5, SHAPE).astype(np.float32)
    truth = rng.random(SHAPE) < p
    if case == "tied":
        p = p.round(1)
        truth = rng.random(SHAPE) < np.clip(p, 0.05, 0.95)
        p = np.clip(p, np.float32(0.1), np.float32(0.9))
    if case == "certain":
        p = np.where(rng.random(SHAPE) < 0.3, truth, p).astype(np.float32)
    if case == "trivial labels":
        truth[:, 0], truth[:, 1] = False, True
    if case == "empty rows":
        truth[:20] = False
    return p, truth


def mean_of(values, truth, average, where=None, weights=None):
    """Returns the average of (N, L) values, computed in loops."""
    n, labels = values.shape
    where = np.ones(values.shape, bool) if where is None else where
    weights = np.ones(n) if weights is None else weights
    cells = [(i, j) for i in range(n) for j in range(labels) if where[i, j] and weights[i] > 0]

    def mean(chosen):
        if not chosen:
            return np.nan
        return np.average([values[c] for c in chosen], weights=[weights[i] for i, _ in chosen])

    if average == "micro":
        return mean(cells)
    if average == "samples":
        rows = [[c for c in cells if c[0] == i] for i in range(n)]
        kept = [i for i in range(n) if rows[i]]
        return np.average([mean(rows[i]) for i in kept], weights=weights[kept])
    columns = [[c for c in cells if c[1] == j] for j in range(labels)]
    means = np.array([mean(column) for column in columns])
    support = np.array([sum(weights[i] * truth[i, j] for i, j in column) for column in columns])
    if average is None:
        return means
    kept = ~np.isnan(means)
    return np.average(means[kept], weights=support[kept] if average == "weighted" else None)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SCORES)
def test_scores_of_labels_match_scikit_learn(name, case):
    p, truth = forecast(case)
    got = SCORES[name][0](p, truth, inputs="probabilities", average=None)
    # In float64 the peer's log loss clips at 2e-16, which has no effect here.
    expected = [PEERS[name](truth[:, j], p[:, j].astype(np.float64)) for j in range(SHAPE[1])]
    np.testing.assert_allclose(got, expected, rtol=2e-6)


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("name", SCORES)
def test_averages(name, average):
    ours, definition = SCORES[name]
    p, truth = forecast("random")
    values = definition(p.astype(np.float64), truth)
    rng = np.random.default_rng(5)
    where = rng.random(SHAPE) < 0.6
    where[4:7], where[:, 2] = False, False
    weights = rng.integers(0, 4, SHAPE[0]).astype(np.float32)
    broken = np.where(where, p, np.nan)
    options = {"inputs": "probabilities", "average": average}
    np.testing.assert_allclose(
        ours(p, truth, **options), mean_of(values, truth, average), rtol=2e-6
    )
    np.testing.assert_allclose(
        ours(broken, np.where(where, truth, np.nan), where=where, **options),
        mean_of(values, truth, average, where),
        rtol=2e-6,
    )
    np.testing.assert_allclose(
        ours(broken, truth, where=where, weights=weights, **options),
        mean_of(values, truth, average, where, weights),
        rtol=2e-6,
    )


@pytest.mark.parametrize("name", SCORES)
def test_weights_and_masks_beside_the_peer(name):
    ours, _ = SCORES[name]
    p, truth = forecast("random")
    w = np.random.default_rng(6).random(SHAPE[0]).astype(np.float32)
    got = ours(p, truth, inputs="probabilities", average=None, weights=w)
    peer = {"log loss": sk.log_loss, "Brier": sk.brier_score_loss}[name]
    columns = zip(truth.T, p.T.astype(np.float64), strict=True)
    expected = [peer(y, column, sample_weight=w) for y, column in columns]
    np.testing.assert_allclose(got, expected, rtol=2e-6)
    # Entries that do not count are ignored.
    p[0], w[0] = truth[0] == 0, 0
    assert np.isfinite(ours(p, truth, inputs="probabilities", weights=w))
    where = np.ones((SHAPE[0], 1), bool)
    where[0] = False
    assert np.isfinite(ours(p, truth, inputs="probabilities", where=where))
    assert np.isnan(ours(p, truth, inputs="probabilities", where=np.zeros_like(where)))


@pytest.mark.parametrize("name", SCORES)
def test_logits_are_stable(name):
    ours, definition = SCORES[name]
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, SHAPE).astype(np.float32)
    truth = rng.random(SHAPE) < 0.3
    expected = definition(expit(logits.astype(np.float64)), truth)
    got = ours(logits, truth, inputs="logits", average=None)
    np.testing.assert_allclose(got, expected.mean(0), rtol=2e-6)
    far = np.array([[200.0, -200.0, -200.0, 30.0]], np.float32)
    got = ours(far, np.array([[0, 1, 0, 1]]), inputs="logits", average=None)
    exact = {"log loss": [200, 200, 0, np.exp(-30.0)], "Brier": [1, 1, 0, 0]}[name]
    np.testing.assert_allclose(got, exact, rtol=2e-6, atol=0 if name == "log loss" else 1e-12)


def test_log_loss_clips_nothing():
    p, truth = np.array([[0.0, 1.0, 0.0, 1.0]], np.float32), np.array([[1, 0, 0, 1]])
    got = metrics.binary_log_loss(p, truth, inputs="probabilities", average=None)
    np.testing.assert_array_equal(got, [np.inf, np.inf, 0, 0])
    assert metrics.binary_log_loss(p, truth, inputs="probabilities") == np.inf
    # The peer returns −log ε of its dtype instead, and reads a matrix of labels as classes.
    peer = sk.log_loss([1, 0], p[0, :2], labels=[0, 1])
    np.testing.assert_allclose(peer, -np.log(np.finfo(np.float32).eps), rtol=1e-6)
    small = np.array([[1e-30, 1e-7]], np.float32)
    got = metrics.binary_log_loss(small, np.array([[1, 0]]), inputs="probabilities", average=None)
    exact = small.astype(np.float64)[0]
    np.testing.assert_allclose(got, [-np.log(exact[0]), -np.log1p(-exact[1])], rtol=2e-6)


def test_scikit_learn_of_a_matrix_is_another_number():
    p, truth = np.array([[0.5, 0.25], [0.5, 0.75]]), np.array([[1, 0], [0, 1]])
    with pytest.warns(UserWarning, match="sum to one"):
        peer = sk.log_loss(truth, p)
    positives_only = -(truth * np.log(p)).sum() / 2
    # As documented, each row's positives alone count, however the peer scales them.
    assert abs(peer - positives_only) < 1e-6
    ours = metrics.binary_log_loss(p.astype(np.float32), truth, inputs="probabilities")
    np.testing.assert_allclose(ours, sk.log_loss(truth.ravel(), p.ravel()), rtol=1e-6)


def rows_for(average, p, truth, where):
    if average == "micro":
        return [(p[where], truth[where])]
    kept = [(p[where[:, j], j], truth[where[:, j], j]) for j in range(p.shape[1])]
    return kept if average is None else [pair for pair in kept if len(pair[0])]


def murphy(p, y, bin_of):
    """Returns the five terms of one label, computed in a loop over bins."""
    n, ybar = len(p), y.mean()
    terms = np.zeros(5)
    terms[2] = ybar * (1 - ybar)
    for b in np.unique(bin_of):
        inside = bin_of == b
        pb, yb, share = p[inside].mean(), y[inside].mean(), inside.mean()
        terms[0] += share * (pb - yb) ** 2
        terms[1] += share * (yb - ybar) ** 2
        terms[3] += ((p[inside] - pb) ** 2).sum() / n
        terms[4] += 2 * ((p[inside] - pb) * (y[inside] - yb)).sum() / n
    return terms


@pytest.mark.parametrize("average", ["macro", "micro", None])
@pytest.mark.parametrize("case", CASES)
def test_brier_score_is_the_sum_of_its_parts(case, average):
    p, truth = forecast(case)
    where = np.random.default_rng(8).random(SHAPE) < 0.8
    where[:, 3] = False
    for keep in (np.ones(SHAPE, bool), where):
        parts = metrics.brier_decomposition(
            np.where(keep, p, np.nan),
            truth,
            inputs="probabilities",
            bins=7,
            average=average,
            where=keep,
        )
        expected = []
        for probabilities, y in rows_for(average, p.astype(np.float64), truth, keep):
            if len(y) == 0:
                expected.append(np.full(5, np.nan))
                continue
            bin_of = np.searchsorted(np.linspace(0, 1, 8)[1:-1], probabilities)
            expected.append(murphy(probabilities, y.astype(float), bin_of))
        expected = np.array(expected).T
        expected = expected if average is None else expected.mean(1)
        np.testing.assert_allclose(np.array(parts), expected, rtol=2e-5, atol=2e-7)
        broken = np.where(keep, p, np.nan)
        whole = metrics.brier_score(
            broken, truth, inputs="probabilities", average=average, where=keep
        )
        np.testing.assert_allclose(parts.brier_score, whole, atol=2e-7)


def test_parts_of_the_brier_score_are_exact_in_float64():
    p, truth = forecast("random")
    with jax.enable_x64(True):
        for binning in ("uniform", "quantile"):
            parts = metrics.brier_decomposition(
                p.astype(np.float64), truth, inputs="probabilities", binning=binning, average=None
            )
            assert parts.reliability.dtype == jnp.float64
            pairs = zip(truth.T, p.T, strict=True)
            whole = [sk.brier_score_loss(y, q.astype(float)) for y, q in pairs]
            np.testing.assert_allclose(parts.brier_score, whole, rtol=1e-14)
            assert (np.abs(parts.within_bin_covariance) > 1e-6).all()
    # Where each bin holds one distinct probability, the last two terms vanish.
    tied = np.where(p < 0.3, 0.25, 0.75).astype(np.float32)
    parts = metrics.brier_decomposition(tied, truth, inputs="probabilities", bins=2)
    np.testing.assert_array_equal(parts[3:], 0)


@pytest.mark.parametrize("name", [*SCORES, "decomposition"])
def test_narrow_scores_and_transformations(name):
    function = SCORES[name][0] if name in SCORES else metrics.brier_decomposition
    p, truth = forecast("random")

    def value(p, y):
        result = function(p, y, inputs="probabilities")
        return jnp.stack(result) if name == "decomposition" else result

    narrow = jnp.asarray(p, jnp.bfloat16)
    np.testing.assert_array_equal(value(narrow, truth), value(narrow.astype(jnp.float32), truth))
    assert value(narrow, truth).dtype == jnp.float32
    pairs = jnp.stack([p, 1 - p]), jnp.stack([truth, ~truth])
    mapped = jax.jit(jax.vmap(value))(*pairs)
    single = [value(a, b) for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(mapped, single, rtol=1e-5, atol=1e-8)
    assert np.isnan(value(jnp.asarray(p).at[0, 0].set(jnp.nan), truth)).all()
    with jax.enable_x64(True):
        assert value(p.astype(np.float64), truth).dtype == jnp.float64


@pytest.mark.parametrize("name", SCORES)
def test_nan_is_never_hidden_and_gradients_are_finite(name):
    ours, _ = SCORES[name]
    p, truth = forecast("certain")
    p[3, 1] = np.nan
    per_label = np.asarray(ours(p, truth, inputs="probabilities", average=None))
    assert np.isnan(per_label[1])
    assert np.isfinite(np.delete(per_label, 1)).all()
    for average in ("micro", "macro", "samples", "weighted"):
        assert np.isnan(ours(p, truth, inputs="probabilities", average=average))
    absent, others = truth & (np.arange(5) != 1), np.arange(len(p)) != 3
    assert np.isnan(ours(p, absent, inputs="probabilities", average="weighted"))
    assert np.isfinite(ours(p, absent, inputs="probabilities", average="weighted", weights=others))
    where = ~np.isnan(p)
    gradient = jax.grad(lambda s: ours(s, truth, inputs="probabilities", where=where))(p)
    y, n = truth[where].astype(float), where.sum()
    p64 = p[where].astype(np.float64)
    slope = {"log loss": -y / np.where(y, p64, 1) + (1 - y) / (1 - p64 * (1 - y))}
    slope["Brier"] = 2 * (p64 - y)
    np.testing.assert_allclose(np.asarray(gradient)[where], slope[name] / n, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(np.asarray(gradient)[~where], 0)
    logits = np.where(where, 3 * p - 1, np.nan)
    gradient = jax.grad(lambda s: ours(s, truth, inputs="logits", where=where))(logits)
    q = expit(logits[where].astype(np.float64))
    slope = {"log loss": q - y, "Brier": 2 * (q - y) * q * (1 - q)}
    np.testing.assert_allclose(np.asarray(gradient)[where], slope[name] / n, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(np.asarray(gradient)[~where], 0)


FUNCTIONS = [
    metrics.binary_log_loss,
    metrics.brier_score,
    metrics.brier_decomposition,
    metrics.expected_calibration_error,
    metrics.calibration_curve,
    metrics.calibration_in_the_large,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_logits_passed_as_probabilities_are_refused(function, convert):
    p, truth = forecast("random")
    for value in (-0.25, 1.5, np.inf):
        bad = p.copy()
        bad[2, 3] = value
        bad[0, 0] = np.nan
        with pytest.raises(ValueError, match=rf"{function.__name__}: scores must lie in \[0, 1\]"):
            function(convert(bad), truth, inputs="probabilities")
        with pytest.raises(ValueError, match="must lie in"):
            function(scores=convert(bad), labels=truth, inputs="probabilities")
    constant = convert(bad)
    where = np.ones(SHAPE, bool)
    where[2, 3] = where[0, 0] = False
    function(convert(bad), truth, inputs="probabilities", where=where)
    with pytest.raises(ValueError, match="must lie in"):
        jax.jit(lambda scale: function(constant, truth, inputs="probabilities")[0] * scale)(1.0)
    if convert is jnp.asarray:
        return
    # Inside a transformation there are no values to check, so the result is NaN.
    bad[0, 0] = 0.5
    hidden = jax.jit(lambda s: function(s, truth, inputs="probabilities", average="micro"))(bad)
    for part in jax.tree.leaves(hidden)[:2]:
        assert np.isnan(part).all()


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_bad_input_is_named(function):
    p, truth = forecast("random")
    with pytest.raises(TypeError, match=rf"{function.__name__}: missing.*'inputs'"):
        function(p, truth)
    with pytest.raises(ValueError, match="inputs must be one of 'logits', 'probabilities', got 'p"):
        function(p, truth, inputs="probs")
    with pytest.raises(TypeError, match="scores must be an array"):
        function(p.tolist(), truth, inputs="probabilities")
    with pytest.raises(TypeError, match=r"scores must be a floating-point array.*labels passed"):
        function(truth, p, inputs="probabilities")
    with pytest.raises(ValueError, match=r"labels must have the shape of scores"):
        function(p, truth[:, :3], inputs="probabilities")
    with pytest.raises(ValueError, match=r"pass where\[:, None\]"):
        function(p, truth, inputs="probabilities", where=np.ones(SHAPE[0], bool))
    with pytest.raises(ValueError, match="average must be one of"):
        function(p, truth, inputs="probabilities", average="binary")
    with pytest.raises(TypeError, match=function.__name__):
        function(inputs="probabilities")


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
def test_bins_of_rows_on_several_devices(binning):
    rng = np.random.default_rng(8)
    p = rng.random((16, 3), dtype=np.float32)
    truth = rng.random(p.shape) < 0.4
    mesh = jax.make_mesh((8,), ("n",), axis_types=(jax.sharding.AxisType.Explicit,))
    with jax.set_mesh(mesh):
        rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("n", None))
        sharded = [jax.device_put(array, rows) for array in (p, truth)]
        for average in ("macro", "micro"):
            parts = metrics.brier_decomposition(
                *sharded, inputs="probabilities", bins=4, binning=binning, average=average
            )
            np.testing.assert_allclose(parts.brier_score, ((p - truth) ** 2).mean(), rtol=1e-5)
