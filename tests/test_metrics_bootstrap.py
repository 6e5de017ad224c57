"""Intervals of any metric: the same figures as loops in numpy, and the promised coverage."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peers

from mllosses_jax import metrics
from mllosses_jax._core import row_samples
from mllosses_jax._core.intervals import DIFFERENCE, FIGURE, interval, simultaneous_level

KEY = jax.random.key(0)
ROWS, LABELS, RESAMPLES = 60, 3, 40
GENERATOR = np.random.default_rng(0)
Y = GENERATOR.random((ROWS, LABELS)) < [0.5, 0.3, 0.2]
NOISE = GENERATOR.normal(size=(3, *Y.shape))
GOOD, FAIR, POOR = (
    (2 * Y + size * noise).astype(np.float32) for size, noise in zip((1, 2, 4), NOISE, strict=True)
)
KNOWN = GENERATOR.random(Y.shape) < 0.8
WEIGHTS = GENERATOR.random(ROWS).astype(np.float32)
STRATA = np.arange(ROWS) % 4 * 10

BY_LABEL = functools.partial(metrics.average_precision, average=None)
found_of = functools.partial(metrics.bootstrap, key=KEY, num_resamples=RESAMPLES)


def rows_of(strata=None, key=KEY, num_resamples=RESAMPLES):
    """Returns the rows that a bootstrap with this key draws, (R, N)."""
    design = row_samples.strata_of(np.zeros(ROWS, int) if strata is None else strata)
    keys = jax.random.split(key, num_resamples)
    return np.stack([row_samples.drawn(each, design) for each in keys])


def mean_score(scores, labels):
    """A function of the user's own, on a scale of its own."""
    return jnp.mean(jnp.where(labels, scores, -scores))


def on_host(scores, labels):
    """A function that JAX cannot trace."""
    return peers.average_precision_score(np.asarray(labels), np.asarray(scores), average=None)


@pytest.mark.parametrize("strata", [None, STRATA])
def test_replicates_are_those_of_a_loop(strata):
    found = found_of(BY_LABEL, GOOD, Y, strata=strata)
    wanted = [on_host(GOOD[rows].astype(float), Y[rows]) for rows in rows_of(strata)]
    np.testing.assert_allclose(found.replicates, wanted, atol=1e-6)
    np.testing.assert_allclose(found.estimate, on_host(GOOD.astype(float), Y), atol=1e-6)
    assert found.low.shape == found.high.shape == found.standard_error.shape == (LABELS,)


def test_masks_and_weights_are_drawn_with_the_rows():
    hidden = np.where(KNOWN, GOOD, np.nan)
    unknown = np.where(KNOWN, Y, np.nan)
    found = found_of(BY_LABEL, hidden, unknown, where=KNOWN, weights=WEIGHTS)
    for label in range(LABELS):
        for replicate, rows in zip(found.replicates[:, label], rows_of(), strict=True):
            known = rows[KNOWN[rows, label]]
            y, s, w = Y[known, label], GOOD[known, label].astype(float), WEIGHTS[known]
            wanted = peers.average_precision_score(y, s, sample_weight=w)
            assert replicate == pytest.approx(wanted, abs=2e-6)
    whole_labels = found_of(BY_LABEL, hidden, Y, where=jnp.array([[True, False, True]]))
    assert np.isnan(whole_labels.low[1])


def test_rows_stay_in_their_strata_and_are_uniform_in_them():
    rows = rows_of(STRATA, num_resamples=400)
    np.testing.assert_array_equal(STRATA[rows], np.tile(STRATA, (400, 1)))
    counts = np.bincount(rows.ravel(), minlength=ROWS)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_interval_is_students_for_a_function_without_bounds():
    found = found_of(mean_score, GOOD, Y)
    error = np.std(found.replicates, ddof=1) * np.sqrt(ROWS / (ROWS - 1))
    half = stats.t.ppf(0.975, ROWS - 1) * error
    assert found.standard_error == pytest.approx(error)
    assert found.estimate == pytest.approx(np.where(Y, GOOD, -GOOD).mean(), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((found.estimate - half, found.estimate + half))
    assert found.excludes_zero


def test_the_intervals_are_those_of_compare():
    one = found_of(BY_LABEL, GOOD, Y, level=0.8)
    two = found_of(BY_LABEL, np.stack([GOOD, FAIR]), Y, baseline=POOR)
    options = {"num_rows": ROWS, "varies": False}
    for label in range(LABELS):
        wanted = interval(
            one.estimate[label : label + 1],
            one.replicates[:, label],
            bounds=FIGURE,
            level=0.8,
            **options,
        )
        assert (one.low[label], one.high[label]) == (wanted.low, wanted.high)
        values, replicates = two.estimate[:, label], two.replicates[:, :, label]
        level = simultaneous_level(list(values[:, None]), list(replicates), num_rows=ROWS)
        assert level > 0.95
        for model in range(2):
            wanted = interval(
                values[model : model + 1],
                replicates[model],
                bounds=DIFFERENCE,
                level=level,
                **options,
            )
            assert (two.low[model, label], two.high[model, label]) == (wanted.low, wanted.high)
            assert two.excludes_zero[model, label] == wanted.excludes_zero


def test_differences_are_taken_on_the_same_resamples():
    found = found_of(metrics.average_precision, GOOD, Y, baseline=POOR)
    good, poor = (found_of(metrics.average_precision, scores, Y) for scores in (GOOD, POOR))
    np.testing.assert_array_equal(found.replicates, good.replicates - poor.replicates)
    assert found.estimate == good.estimate - poor.estimate > 0
    assert found.excludes_zero
    assert found.standard_error < np.hypot(good.standard_error, poor.standard_error)


def test_ties_count_against_a_difference():
    same = found_of(metrics.average_precision, GOOD, Y, baseline=GOOD)
    assert (same.low, same.high, bool(same.excludes_zero)) == (0, 0, False)
    for rows, marked in ((3, False), (12, True)):
        better = np.where((np.arange(ROWS) < rows)[:, None], np.where(Y, 9, -9), POOR)
        found = found_of(
            metrics.hamming_loss, better > 0, Y, baseline=np.where(better == POOR, better > 0, ~Y)
        )
        assert found.excludes_zero == marked
        assert (found.low <= 0 <= found.high) != marked


def test_percentiles_of_the_replicates_are_those_of_scipy():
    per_row = np.asarray(np.where(Y, GOOD, -GOOD).mean(axis=1), float)
    found = metrics.bootstrap(mean_score, GOOD, Y, key=KEY, num_resamples=4000)
    peer = stats.bootstrap(
        (per_row,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    )
    low, high = np.quantile(found.replicates, [0.025, 0.975])
    tolerance = 0.1 * peer.standard_error
    assert low == pytest.approx(peer.confidence_interval.low, abs=tolerance)
    assert high == pytest.approx(peer.confidence_interval.high, abs=tolerance)
    assert found.standard_error == pytest.approx(peer.standard_error, rel=0.05)


@pytest.mark.parametrize("num_strata", [1, 25])
def test_intervals_cover_the_truth_in_95_percent_of_draws(num_strata):
    """Each label is a draw of its own. The Brier score of true, uniform probabilities is 1/6."""
    draws, rows = 2000, 50
    generator = np.random.default_rng(1)
    p = generator.random((rows, draws)).astype(np.float32)
    y = generator.random(p.shape) < p
    brier = functools.partial(metrics.brier_score, inputs="probabilities", average=None)
    strata = np.arange(rows) % num_strata
    found = metrics.bootstrap(brier, p, y, key=KEY, strata=strata, num_resamples=400)
    covered = np.mean((found.low < 1 / 6) & (found.high > 1 / 6))
    assert 0.935 < covered < 0.965
    error = np.sqrt(np.mean(found.standard_error**2))
    assert error == pytest.approx(np.std(found.estimate), rel=0.05)


def test_models_that_are_as_good_are_marked_in_5_percent_at_most():
    """Each label is a draw of its own. Two models may be marked together as rarely as one."""
    generator = np.random.default_rng(2)
    y = generator.random((50, 1000)) < 0.3
    sets = y ^ (generator.random((3, *y.shape)) < 0.2)
    f1 = functools.partial(metrics.f1, average=None)
    marks_of = functools.partial(metrics.bootstrap, baseline=sets[2], key=KEY, num_resamples=400)
    one, two = (marks_of(f1, each, y).excludes_zero for each in (sets[0], sets[:2]))
    assert 0.02 < one.mean() < 0.06
    assert 0.02 < two.any(axis=0).mean() < 0.06


def test_resamples_that_define_nothing_do_not_count():
    y = Y.copy()
    y[:, 2] = np.arange(ROWS) < 1
    y[:, 1] = False
    found = found_of(BY_LABEL, GOOD, y)
    absent = ~(rows_of() == 0).any(axis=1)
    assert 0 < absent.sum() < RESAMPLES
    np.testing.assert_array_equal(np.isnan(found.replicates[:, 2]), absent)
    assert np.isfinite([found.low[2], found.high[2]]).all()
    assert np.isnan([found.estimate[1], found.low[1], found.high[1], found.standard_error[1]]).all()
    assert not found.excludes_zero[1]
    with pytest.raises(ValueError, match='undefined="raise", but the value of 1 of 3 labels'):
        found_of(functools.partial(metrics.average_precision, undefined="raise"), GOOD, y)


def test_all_resamples_are_one_program_of_bounded_size():
    calls = []

    def counted(scores, labels, where=None):
        calls.append(scores.shape)
        return mean_score(scores, labels)

    found_of(counted, GOOD, Y)
    assert calls == [Y.shape] * 2  # once on all rows, and once to compile it
    found_of(counted, FAIR, ~Y, key=jax.random.key(1))
    assert calls == [Y.shape] * 3
    shape, count = (2000, 50), 64
    draws, design = jax.random.split(KEY, count), row_samples.strata_of(np.zeros(shape[0], int))
    program = row_samples._program(metrics.average_precision, row_samples.drawn, None)
    arrays = np.zeros(shape, np.float32), np.zeros(shape, bool)
    size = program.lower(arrays, draws, design).compile().memory_analysis().temp_size_in_bytes
    assert size < 0.5 * count * 4 * np.prod(shape)


def test_functions_that_cannot_be_compiled_are_called_for_each_resample():
    found, wanted = found_of(on_host, GOOD, Y), found_of(BY_LABEL, GOOD, Y)
    np.testing.assert_allclose(found.replicates, wanted.replicates, atol=1e-6)
    np.testing.assert_allclose(found.standard_error, wanted.standard_error, rtol=1e-4)
    bounded = found_of(on_host, GOOD, Y, bounds=(0, 1))
    np.testing.assert_allclose(bounded.low, wanted.low, rtol=1e-4)
    report = found_of(
        functools.partial(metrics.classification_report, output_dict=True), GOOD > 1, Y
    )
    f1 = found_of(metrics.f1, GOOD > 1, Y, bounds=(-np.inf, np.inf))
    assert report.low["macro avg"]["f1-score"] == pytest.approx(f1.low, abs=1e-5)


def test_results_have_the_structure_of_what_the_metric_returns():
    overall = functools.partial(metrics.overall_and_per_class, threshold=0.5)
    found = found_of(overall, GOOD, Y)
    assert found.low.CF1 < found.estimate.CF1 == overall(GOOD, Y).CF1 < found.high.CF1
    assert isinstance(found.replicates, metrics.OverallAndPerClass)


def test_only_functions_of_the_package_have_bounds_of_their_own():
    for name in ("average_precision", "f1", "precision_at_k", "expected_calibration_error"):
        assert metrics.bootstrapping.bounds_of(getattr(metrics, name)) == (0, 1)
    relative = functools.partial(metrics.expected_calibration_error, relative=True)
    for metric in (metrics.coverage_error, mean_score, relative):
        assert metrics.bootstrapping.bounds_of(metric) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"metric": 3}, TypeError, "metric must be a function of scores and labels, got int"),
        ({"metric": lambda s, y: "text"}, TypeError, "numbers or arrays of numbers, got str"),
        ({"metric": mean_score, "where": KNOWN}, TypeError, "mean_score takes no where"),
        ({"metric": mean_score, "weights": WEIGHTS}, TypeError, "mean_score takes no weights"),
        (
            {"metric": functools.partial(BY_LABEL, weights=WEIGHTS)},
            ValueError,
            "weights must be given to bootstrap",
        ),
        ({"key": 0}, TypeError, "key must be one of jax.random.key, got int"),
        ({"level": 95}, ValueError, "level must be between 0 and 1, got 95"),
        ({"num_resamples": 1}, ValueError, "num_resamples must be at least 2"),
        ({"scores": GOOD[:, :2]}, ValueError, r"expected \(60, 3\), got \(60, 2\)"),
        ({"baseline": GOOD[:, :2]}, ValueError, "baseline must have the shape of labels"),
        ({"labels": np.where(KNOWN, Y, np.nan)}, ValueError, "bootstrap: labels must be known"),
        (
            {"weights": WEIGHTS[1:]},
            ValueError,
            r"weights must have one entry per sample: .*\(59,\)",
        ),
        ({"strata": WEIGHTS}, TypeError, "strata must be integers"),
        ({"strata": STRATA[1:]}, ValueError, r"strata must have one entry per row: .*\(59,\)"),
        ({"strata": np.arange(ROWS)}, ValueError, "rows must share strata"),
        ({"bounds": (0.99, 1)}, ValueError, r"bounds must hold the metric: expected \(0.99, 1\)"),
    ],
)
def test_bad_input_is_refused(change, error, words):
    given = {"metric": metrics.average_precision, "scores": GOOD, "labels": Y, **change}
    with pytest.raises(error, match=words):
        found_of(**given) if "key" not in change else metrics.bootstrap(**given)


def test_traced_arrays_are_refused():
    with pytest.raises(TypeError, match="scores must not be traced: call bootstrap outside"):
        jax.jit(lambda scores: found_of(mean_score, scores, Y).low)(GOOD)
