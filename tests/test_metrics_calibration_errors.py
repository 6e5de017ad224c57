"""Calibration curves and errors, against scikit-learn, torchmetrics and loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve

from mllosses_jax import metrics

SHAPE = (62, 4)  # 61 is prime: no quantile k·61/K except the ends falls on an entry
BINS = 7
CASES = ["random", "tied", "edges", "sharp", "equal", "trivial labels", "empty rows"]


def forecast(case):
    rng = np.random.default_rng(1)
    p = rng.beta(0.7, 1.5, SHAPE).astype(np.float32)
    if case == "tied":
        p = p.round(1)
    if case == "edges":  # each edge, and the float32 on either side of it
        edges = np.linspace(0, 1, BINS + 1).astype(np.float32)
        around = [edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(1))]
        p = rng.choice(np.concatenate(around), SHAPE)
    if case == "sharp":
        p = (p**8).astype(np.float32)
    if case == "equal":
        p = np.full_like(p, 0.3)
    truth = rng.random(SHAPE) < np.clip(p, 0.1, 0.9)
    if case == "trivial labels":
        truth[:, 0], truth[:, 1] = False, True
    if case == "empty rows":
        truth[:20] = False
    return p, truth


def bins_of(p, bins, binning):
    """Returns the bin of each probability of one label, from the definition."""
    if binning == "uniform":
        upper = [k / bins for k in range(1, bins)]
    else:
        upper = [sorted(p)[(len(p) - 1) * k // bins] for k in range(1, bins)]
    return np.array([sum(q > end for end in upper) for q in p])


def error_of(p, y, bins=BINS, binning="uniform", norm="l1"):
    index = bins_of(p, bins, binning)
    gaps, shares = [], []
    for b in np.unique(index):
        inside = index == b
        gaps.append(abs(p[inside].mean() - y[inside].mean()))
        shares.append(inside.mean())
    gaps, shares = np.array(gaps), np.array(shares)
    return {
        "l1": (shares * gaps).sum(),
        "l2": np.sqrt((shares * gaps**2).sum()),
        "max": gaps.max(),
    }[norm]


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
@pytest.mark.parametrize("case", CASES)
def test_curves_match_scikit_learn(case, binning):
    p, truth = forecast(case)
    options = {"inputs": "probabilities", "bins": BINS, "binning": binning}
    per_label = metrics.calibration_curve(p, truth, **options)
    micro = metrics.calibration_curve(p, truth, average="micro", **options)
    assert per_label.mean_predicted.shape == (SHAPE[1], BINS)
    tables = [*zip(*per_label, strict=True), micro]
    exact = p.astype(np.float64)
    columns = [*zip(exact.T, truth.T, strict=True), (exact.ravel(), truth.ravel())]
    for (predicted, observed, counts), (q, y) in zip(tables, columns, strict=True):
        expected = calibration_curve(y, q, n_bins=BINS, strategy=binning)
        full = np.asarray(counts) > 0
        np.testing.assert_allclose(np.asarray(observed)[full], expected[0], rtol=1e-6)
        np.testing.assert_allclose(np.asarray(predicted)[full], expected[1], rtol=1e-6)
        assert np.isnan(np.asarray(observed)[~full]).all()
        assert np.isnan(np.asarray(predicted)[~full]).all()
        index = bins_of(q, BINS, binning)
        np.testing.assert_array_equal(counts, np.bincount(index, minlength=BINS))


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
@pytest.mark.parametrize("case", ["random", "tied", "trivial labels"])
def test_curves_of_masked_entries_are_as_if_deleted(case, binning):
    p, truth = forecast(case)
    keep = np.random.default_rng(2).random(SHAPE) < 0.6
    keep[:, 2], keep[5:8] = False, False
    options = {"inputs": "probabilities", "bins": BINS, "binning": binning, "where": keep}
    broken, labels = np.where(keep, p, np.nan), np.where(keep, truth, np.nan)
    curve = metrics.calibration_curve(broken, labels, **options)
    per_label = np.asarray(
        metrics.expected_calibration_error(broken, labels, **options, average=None)
    )
    expected = []
    for j in (0, 1, 3):
        q, y = p[keep[:, j], j].astype(np.float64), truth[keep[:, j], j]
        index = bins_of(q, BINS, binning)
        counts = np.bincount(index, minlength=BINS)
        np.testing.assert_array_equal(curve.counts[j], counts)
        sums = np.bincount(index, weights=q, minlength=BINS)[counts > 0]
        got = np.asarray(curve.mean_predicted[j])[counts > 0]
        np.testing.assert_allclose(got, sums / counts[counts > 0], rtol=1e-6)
        expected.append(error_of(q, y, BINS, binning))
    np.testing.assert_allclose(per_label[[0, 1, 3]], expected, rtol=1e-5, atol=1e-7)
    assert np.isnan(per_label[2])
    assert np.isnan(curve.mean_predicted[2]).all()
    assert not np.any(curve.counts[2])
    macro = metrics.expected_calibration_error(broken, labels, **options)
    np.testing.assert_allclose(macro, np.mean(expected), rtol=1e-5, atol=1e-7)
    micro = metrics.expected_calibration_error(broken, labels, **options, average="micro")
    whole = error_of(p[keep].astype(np.float64), truth[keep], BINS, binning)
    np.testing.assert_allclose(micro, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("binning", ["uniform", "quantile"])
@pytest.mark.parametrize("case", CASES)
def test_errors_match_their_definition(case, binning, norm):
    p, truth = forecast(case)
    options = {"inputs": "probabilities", "bins": BINS, "binning": binning, "norm": norm}
    columns = list(zip(p.T.astype(np.float64), truth.T, strict=True))
    expected = np.array([error_of(q, y, BINS, binning, norm) for q, y in columns])
    got = metrics.expected_calibration_error(p, truth, average=None, **options)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
    if norm != "l1":
        return
    prevalence = truth.mean(0)
    relative = expected / np.where(prevalence > 0, prevalence, np.nan)
    got = metrics.expected_calibration_error(p, truth, average=None, relative=True, **options)
    np.testing.assert_allclose(got, relative, rtol=1e-5, atol=1e-6)
    got = metrics.expected_calibration_error(p, truth, relative=True, **options)
    np.testing.assert_allclose(got, np.nanmean(relative), rtol=1e-5)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
@pytest.mark.parametrize("case", ["random", "sharp", "equal", "trivial labels"])
def test_errors_match_torchmetrics(case, norm):
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("torchmetrics.functional.classification").binary_calibration_error
    p, truth = forecast(case)
    for bins in (1, BINS) if norm == "l1" else (BINS,):
        got = metrics.expected_calibration_error(
            p, truth, inputs="probabilities", bins=bins, norm=norm, average=None
        )
        expected = [
            float(peer(torch.tensor(q), torch.tensor(y), n_bins=bins, norm=norm))
            for q, y in zip(p.T.astype(np.float64), truth.T, strict=True)
        ]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
    # The peer's bins are [a, b): the last one does not hold 1, as documented.
    q, y = np.array([[0.9], [1.0]], np.float32), np.array([[0], [1]])
    theirs = float(peer(torch.tensor(q[:, 0]), torch.tensor(y[:, 0]), n_bins=2, norm="max"))
    ours = metrics.expected_calibration_error(q, y, inputs="probabilities", bins=2, norm="max")
    np.testing.assert_allclose([theirs, ours], [0.9, 0.45], rtol=1e-6)


def test_bins_of_equal_mass_keep_ties_together():
    rng = np.random.default_rng(4)
    values = rng.permutation(np.repeat([0.1, 0.2, 0.6, 0.7], [10, 30, 3, 5])).astype(np.float32)
    truth = rng.random((48, 1)) < 0.3
    options = {"inputs": "probabilities", "bins": 6, "binning": "quantile"}
    curve = metrics.calibration_curve(values[:, None], truth, **options)
    # Positions 7, 15, 23, 31, 39 of 0 to 47 hold .1, .2, .2, .2, .2; the last bin has the rest.
    np.testing.assert_array_equal(curve.counts, [[10, 30, 0, 0, 0, 8]])
    order = rng.permutation(48)
    again = metrics.calibration_curve(values[order, None], truth[order], **options)
    np.testing.assert_array_equal(again.counts, curve.counts)
    np.testing.assert_array_equal(again.fraction_of_positives, curve.fraction_of_positives)
    distinct = np.linspace(0.01, 0.99, 48, dtype=np.float32)[:, None]
    curve = metrics.calibration_curve(distinct, truth, **options)
    np.testing.assert_array_equal(curve.counts, [[8] * 6])
    few = metrics.calibration_curve(distinct[:2], truth[:2], **options)
    np.testing.assert_array_equal(few.counts, [[1, 0, 0, 0, 0, 1]])


def test_error_of_a_label_is_not_that_of_its_decisions():
    # p = .1 is right: one label in ten is positive. So is the confidence of .9 in "no".
    p, truth = np.full((10, 1), 0.1, np.float32), np.arange(10)[:, None] == 0
    assert metrics.expected_calibration_error(p, truth, inputs="probabilities") < 1e-7
    # .1 and .9 with y = 0: as confidences they share a bin, as probabilities they do not.
    p, truth = np.array([[0.1], [0.9]], np.float32), np.array([[0], [0]])
    got = metrics.expected_calibration_error(p, truth, inputs="probabilities")
    np.testing.assert_allclose(got, 0.5, rtol=1e-6)  # (|.1 − 0| + |.9 − 0|)/2, not |.9 − .5|


@pytest.mark.parametrize("case", ["random", "trivial labels"])
def test_calibration_in_the_large(case):
    p, truth = forecast(case)
    keep = np.random.default_rng(2).random(SHAPE) < 0.7
    keep[:, 3] = False
    for where in (np.ones(SHAPE, bool), keep):
        broken = np.where(where, p, np.nan)
        sums = np.where(where, p.astype(np.float64), 0).sum(0), (truth & where).sum(0)
        expected = np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1), np.nan)
        options = {"inputs": "probabilities", "where": where}
        got = metrics.calibration_in_the_large(broken, truth, **options)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        got = metrics.calibration_in_the_large(broken, truth, average="micro", **options)
        np.testing.assert_allclose(got, sums[0].sum() / sums[1].sum(), rtol=1e-6)
    assert np.isnan(metrics.calibration_in_the_large(p, truth & False, inputs="logits")).all()


def test_rare_labels_show_their_error_relative_to_prevalence():
    truth = np.zeros((1000, 1), bool)
    truth[:20] = True
    p = np.full((1000, 1), 0.01, np.float32)  # half of what it should be
    options = {"inputs": "probabilities"}
    np.testing.assert_allclose(
        metrics.expected_calibration_error(p, truth, **options), 0.01, rtol=1e-4
    )
    got = metrics.expected_calibration_error(p, truth, relative=True, **options)
    np.testing.assert_allclose(got, 0.5, rtol=1e-4)
    np.testing.assert_allclose(
        metrics.calibration_in_the_large(p, truth, **options), 0.5, rtol=1e-5
    )
    # A label without positives is left out; if it is the only one, the result is NaN.
    two = np.concatenate([p, p], 1), np.concatenate([truth, ~truth & False], 1)
    np.testing.assert_allclose(
        metrics.expected_calibration_error(*two, relative=True, **options), 0.5, rtol=1e-4
    )
    micro = metrics.expected_calibration_error(*two, relative=True, average="micro", **options)
    np.testing.assert_allclose(micro, 0, atol=1e-4)  # .01 is predicted, and 20 of 2000 are positive
    nothing = metrics.expected_calibration_error(p, truth & False, relative=True, **options)
    assert np.isnan(nothing)


def test_logits_and_their_probabilities_agree():
    logits = np.random.default_rng(0).normal(0, 2, SHAPE).astype(np.float32)
    truth = np.random.default_rng(1).random(SHAPE) < 0.3
    for binning in ("uniform", "quantile"):
        got = metrics.expected_calibration_error(
            logits, truth, inputs="logits", binning=binning, bins=BINS, average=None
        )
        columns = zip(expit(logits.astype(np.float64)).T, truth.T, strict=True)
        expected = [error_of(q, y, BINS, binning) for q, y in columns]
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_long_sums_keep_their_digits():
    n = 100_000
    p = np.full((n, 1), 0.03, np.float32)
    truth = np.arange(n)[:, None] % 100 < 3
    got = metrics.expected_calibration_error(p, truth, inputs="probabilities")
    assert got < 2e-7  # a single running float32 sum would be off by 1e-5


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
def test_narrow_scores_and_transformations(binning):
    p, truth = forecast("random")

    def error(p, y):
        return metrics.expected_calibration_error(
            p, y, inputs="probabilities", binning=binning, bins=BINS
        )

    narrow = jnp.asarray(p, jnp.bfloat16)
    assert error(narrow, truth) == error(narrow.astype(jnp.float32), truth)
    pairs = jnp.stack([p, 1 - p]), jnp.stack([truth, ~truth])
    mapped = jax.jit(jax.vmap(error))(*pairs)
    np.testing.assert_allclose(
        mapped, [error(a, b) for a, b in zip(*pairs, strict=True)], rtol=1e-5
    )
    broken = p.copy()
    broken[0, 1] = np.nan
    assert np.isnan(error(broken, truth))
    per_label = metrics.calibration_curve(
        broken, truth, inputs="probabilities", binning=binning, bins=BINS
    )
    assert np.isnan(per_label.mean_predicted[1]).all()
    assert np.isfinite(np.asarray(per_label.mean_predicted)[[0, 2, 3]]).all()
    with jax.enable_x64(True):
        exact = error(p.astype(np.float64), truth)
        assert exact.dtype == jnp.float64
        columns = zip(p.T.astype(np.float64), truth.T, strict=True)
        expected = np.mean([error_of(q, y, BINS, binning) for q, y in columns])
        np.testing.assert_allclose(exact, expected, rtol=1e-13)


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
def test_no_array_of_entries_and_bins_is_held(binning):
    shape, bins = (4096, 16), 100
    lowered = jax.jit(
        lambda s, y: metrics.expected_calibration_error(
            s, y, inputs="logits", bins=bins, binning=binning
        )
    ).lower(jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape, jnp.bool_))
    temporary = lowered.compile().memory_analysis().temp_size_in_bytes
    assert temporary < shape[0] * shape[1] * bins  # the size of such an array of bools


def test_gradient_of_no_error_is_zero():
    def error(p):
        return metrics.expected_calibration_error(
            p, np.array([[0], [1]]), inputs="probabilities", norm="l2", bins=1
        )

    np.testing.assert_array_equal(jax.grad(error)(jnp.full((2, 1), 0.5)), np.zeros((2, 1)))


def test_gradient_holds_the_bins_constant():
    p, truth = forecast("random")
    gradient = jax.grad(
        lambda s: metrics.expected_calibration_error(
            s, truth, inputs="probabilities", bins=BINS, average="micro"
        )
    )(p)
    q, y = p.ravel().astype(np.float64), truth.ravel()
    index = bins_of(q, BINS, "uniform")
    side = np.array([np.sign(q[index == b].mean() - y[index == b].mean()) for b in range(BINS)])
    np.testing.assert_allclose(np.asarray(gradient).ravel(), side[index] / q.size, rtol=1e-5)


def test_sharded_samples():
    p, truth = forecast("random")
    p, truth = np.tile(p, (4, 1)), np.tile(truth, (4, 1))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    whole = jax.device_put((p, truth), sharding)
    functions = (metrics.expected_calibration_error, metrics.brier_decomposition)
    for function, binning in zip(functions, ("quantile", "uniform"), strict=True):
        options = {"inputs": "probabilities", "bins": BINS, "binning": binning}
        got, expected = function(*whole, **options), function(p, truth, **options)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


def test_bins_are_named_where_they_are_wrong():
    p, truth = forecast("random")
    for function in (
        metrics.calibration_curve,
        metrics.expected_calibration_error,
        metrics.brier_decomposition,
    ):
        with pytest.raises(ValueError, match="bins must be 1 or more, got 0"):
            function(p, truth, inputs="probabilities", bins=0)
        with pytest.raises(TypeError, match="bins must be a Python integer"):
            function(p, truth, inputs="probabilities", bins=2.5)
        with pytest.raises(ValueError, match="binning must be one of 'uniform', 'quantile'"):
            function(p, truth, inputs="probabilities", binning="equal")
    with pytest.raises(ValueError, match="norm must be one of 'l1', 'l2', 'max'"):
        metrics.expected_calibration_error(p, truth, inputs="probabilities", norm="l3")
