"""Intervals and marks: how they are computed, what they refuse, and the quick simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from mllosses_jax.compare import intervals, resampling
from mllosses_jax.compare.intervals import DIFFERENCE, FIGURE, interval, too_small


def judged(values, replicates, *, bounds=DIFFERENCE, num_rows=200, varies=None):
    values = np.asarray(values)
    varies = len(values) > 1 if varies is None else varies
    return interval(values, np.asarray(replicates), bounds=bounds, num_rows=num_rows, varies=varies)


def spread(center, deviation, count=401):
    """Returns replicates of a given standard deviation."""
    normal = np.random.default_rng(0).standard_normal(count)
    return center + deviation * (normal - normal.mean()) / normal.std(ddof=1)


def row_replicates(per_row, num_resamples=2000):
    """Returns replicates of the mean over rows."""
    weights = resampling.draw(num_resamples, len(per_row))
    return resampling.row_means(np.asarray(per_row, float)[None, :], weights)[0]


@pytest.mark.parametrize("num_rows", [31, 1000])
def test_rows_alone_give_the_textbook_interval(num_rows):
    found = judged([0.01], spread(0.01, 0.004), num_rows=num_rows)
    half = stats.t.ppf(0.975, num_rows - 1) * 0.004 * math.sqrt(num_rows / (num_rows - 1))
    assert found.mean == 0.01
    assert found.high - found.low == pytest.approx(2 * half, rel=1e-3)
    assert found.low == pytest.approx(0.01 - half, abs=1e-5)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_seeds_alone_give_students_interval(seeds):
    values = 1e-3 * np.random.default_rng(seeds).standard_normal(seeds)
    found = judged(values, np.full(300, values.mean()))
    low, high = stats.t.interval(0.95, seeds - 1, values.mean(), stats.sem(values))
    assert found.low == pytest.approx(low, rel=2e-3)
    assert found.high == pytest.approx(high, rel=2e-3)


def test_quantiles_are_those_of_students_distribution():
    for freedom in (*range(1, 40), 100, 1000, 10**6):
        assert intervals._student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=3e-3)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0, 5.0, 20.0])
def test_both_sources_together_cover_95_percent(seeds, ratio):
    """Variation is normal; the variance of the seeds' mean is `ratio` times that of the rows."""
    variance, draws = 1e-6, 4000
    quantiles = stats.chi2.ppf((np.arange(draws) + 0.5) / draws, seeds - 1) / (seeds - 1)
    signs = np.where(np.arange(seeds) % 2, -1, 1) - np.where(np.arange(seeds) % 2, -1, 1).mean()
    signs = signs / signs.std(ddof=1)
    rows = spread(0.0, math.sqrt(variance))
    halves = [
        judged(signs * math.sqrt(q * ratio * seeds * variance), rows, num_rows=10**6).high
        for q in quantiles[::20]
    ]
    covered = 2 * stats.norm.cdf(halves, scale=math.sqrt(variance * (1 + ratio))) - 1
    assert 0.93 < covered.mean() < 0.972


def test_a_figure_stays_within_its_bounds():
    low = judged([0.01], spread(0.01, 0.008), bounds=FIGURE)
    high = judged([0.99], spread(0.99, 0.008), bounds=FIGURE)
    assert 0 < low.low < 0.01 < low.high < 0.06
    assert 0.94 < high.low < 0.99 < high.high < 1
    assert low.high - 0.01 > 0.01 - low.low
    wide = judged([0.2, 0.9], spread(0.55, 0.1), bounds=FIGURE)
    assert 0 <= wide.low < 0.01
    assert 0.99 < wide.high <= 1
    sure = judged([1.0], np.ones(100), bounds=FIGURE)
    assert (sure.low, sure.mean, sure.high) == (1, 1, 1)


def test_figures_that_mirror_each_other_have_mirrored_intervals():
    one = judged([0.7, 0.75], spread(0.725, 0.02), bounds=FIGURE)
    other = judged([0.3, 0.25], 1 - spread(0.725, 0.02), bounds=FIGURE)
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)
    assert one.high == pytest.approx(1 - other.low, abs=1e-12)


@pytest.mark.parametrize(("rows", "marked"), [(1, 0), (2, 0), (3, 0), (4, 0), (6, 1), (9, 1)])
def test_few_rows_of_one_sign_decide_nothing(rows, marked):
    """As in a sign test, whose p is 2·2⁻ᵏ: 0.125 for four rows, 0.031 for six."""
    for sign in (-1, 1):
        per_row = np.zeros(200)
        per_row[:rows] = sign
        found = judged([per_row.mean()], row_replicates(per_row))
        assert found.excludes_zero == bool(marked)
        assert (found.low > 0 or found.high < 0) == bool(marked)
        assert found.low <= found.mean <= found.high


def test_rows_of_both_signs_cancel():
    per_row = np.zeros(1000)
    per_row[:60], per_row[60:100] = 1, -1
    assert not judged([per_row.mean()], row_replicates(per_row), num_rows=1000).excludes_zero
    per_row[60:80] = 1
    assert judged([per_row.mean()], row_replicates(per_row), num_rows=1000).excludes_zero


def test_equal_losses_have_no_difference():
    found = judged(np.zeros(3), np.zeros(200))
    assert (found.mean, found.low, found.high) == (0, 0, 0)
    assert not found.excludes_zero


def test_a_source_that_was_drawn_once_marks_nothing():
    values, replicates = [0.1], spread(0.1, 0.01)
    assert judged(values, replicates, varies=False).excludes_zero
    once = judged(values, replicates, varies=True)
    assert not once.decided
    assert once.low > 0
    assert not once.excludes_zero


def test_seeds_of_one_sign_do_not_suffice():
    rows = np.full(300, 0.01)
    assert not judged([0.005, 0.015], rows).excludes_zero
    assert not judged([0.005, 0.01, 0.015], rows).excludes_zero
    assert judged([0.009, 0.01, 0.011], rows).excludes_zero


def test_what_is_not_a_number_has_no_interval():
    for values in ([math.nan], [0.1, math.nan]):
        found = judged(values, spread(0.1, 0.01))
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert not found.excludes_zero
    nowhere = judged([0.1], np.full(10, math.nan))
    assert math.isnan(nowhere.low)
    assert not nowhere.excludes_zero


def test_resamples_that_define_nothing_are_left_out():
    replicates = spread(0.5, 0.05)
    with_gaps = np.concatenate([replicates, np.full(50, math.nan)])
    assert judged([0.5], with_gaps, bounds=FIGURE) == judged([0.5], replicates, bounds=FIGURE)


def test_small_test_parts_are_due_a_note():
    assert too_small(30, np.asarray([5, 9])) == ()
    assert too_small(29, np.asarray([5, 9])) == ("rows",)
    assert too_small(30, np.asarray([5, 4])) == ("positives",)
    assert too_small(5, np.asarray([0])) == ("rows", "positives")


def test_the_simulation_runs():
    simulation = pytest.importorskip("benchmarks.intervals")
    rows = simulation.run(quick=True)
    cells = {row["cell"] for row in rows}
    assert {"null", "1 rows differ", "3 rows differ"} <= cells
    shares = [value for row in rows for key, value in row.items() if key.split()[-1] == "marked"]
    assert len(shares) > 100
    assert all(0 <= share <= 1 for share in shares)
    assert np.mean(shares) < 0.2
