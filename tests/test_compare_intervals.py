"""Intervals and marks: how they are computed, what they refuse, and the quick simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from mllosses_jax._core import intervals
from mllosses_jax._core.intervals import (
    DIFFERENCE,
    FIGURE,
    interval,
    simultaneous_level,
    too_small,
)
from mllosses_jax.compare import resampling


def judged(values, replicates, *, bounds=DIFFERENCE, num_rows=200, varies=None, level=0.95):
    values = np.asarray(values)
    given = {"bounds": bounds, "num_rows": num_rows, "level": level}
    given["varies"] = len(values) > 1 if varies is None else varies
    return interval(values, np.asarray(replicates), **given)


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


@pytest.mark.parametrize("level", [0.95, 0.9936])
def test_the_level_moves_the_quantile(level):
    rows = judged([0.01], spread(0.01, 0.004), num_rows=31, level=level)
    low, _ = stats.t.interval(level, 30, 0.01, 0.004 * math.sqrt(31 / 30))
    assert rows.low == pytest.approx(low, abs=1e-5)
    values = 1e-3 * np.random.default_rng(0).standard_normal(5)
    seeds = judged(values, np.full(300, values.mean()), level=level)
    low, _ = stats.t.interval(level, 4, values.mean(), stats.sem(values))
    assert seeds.low == pytest.approx(low, rel=2e-3)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("differences", [2, 3, 8, 20])
def test_independent_intervals_miss_together_in_6_percent_at_most(seeds, differences):
    """Variation is normal; the variance of the seeds' mean has a share of the whole."""
    level, draws = 0.95 ** (1 / differences), 2000
    # The smallest variances, which decide, are the closest together.
    places = (np.arange(draws) + 0.5) / draws
    weights = 3 * places**2 / draws
    quantiles = stats.chi2.ppf(places**3, seeds - 1) / (seeds - 1)
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1):
        total = 1 - share + share * quantiles
        halves = [
            intervals._quantile(share * q / whole, 10**6, seeds, level) * math.sqrt(whole)
            for q, whole in zip(quantiles, total, strict=True)
        ]
        missed = np.sum(weights * 2 * stats.norm.sf(halves))
        assert 1 - (1 - missed) ** differences < 0.06


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


@pytest.mark.parametrize("mean", [0.008, 0.992])
def test_the_far_end_is_at_most_twice_as_far_as_that_of_a_plain_interval(mean):
    """The calibration error of constant scores was 0.008 with an interval up to 0.865."""
    replicates = spread(mean, 0.03)
    plain = stats.t.ppf(0.975, 199) * math.sqrt(200 / 199) * replicates.std(ddof=1)
    found = judged([mean], replicates, bounds=FIGURE)
    far = max(found.high - mean, mean - found.low)
    assert far == pytest.approx(2 * plain, rel=1e-3)
    assert 0 <= found.low < mean < found.high <= 1


def test_two_seeds_that_are_alike_by_chance_do_not_make_the_interval_too_short():
    """The log-odds of a figure are normal over seeds, and rows add nothing."""
    generator = np.random.default_rng(0)
    figures = 1 / (1 + np.exp(-3 - 2.5 * generator.standard_normal((500, 2))))
    expected = np.mean(1 / (1 + np.exp(-3 - 2.5 * generator.standard_normal(100_000))))
    found = [judged(each, np.full(50, each.mean()), bounds=FIGURE) for each in figures]
    held = np.mean([each.low <= expected <= each.high for each in found])
    assert held > 0.92  # 0.87 if no end were more than twice as far away as ± puts it


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


# Several differences at once.


def resampled_errors(losses, rows, num_resamples, seed, per_row):
    """Returns how far resampled means over rows are from their mean, in plain NumPy, (K, R)."""
    generator = np.random.default_rng(seed)
    drawn = generator.integers(rows, size=(num_resamples, rows))
    means = np.stack([per_row[k][drawn].mean(axis=1) for k in range(losses)])
    return means - per_row.mean(axis=1, keepdims=True)


def rows_of_losses(losses, rows, correlation, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.standard_normal(rows)
    own = generator.standard_normal((losses, rows))
    scale = 0.01 * np.arange(1, losses + 1)[:, None]  # losses vary by different amounts
    return scale * (math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.95])
def test_the_simultaneous_level_is_that_of_a_bootstrap_of_the_maximum(correlation):
    """The oracle resamples rows itself and takes the quantile of the largest studentised error."""
    losses, rows = 8, 200
    per_row = rows_of_losses(losses, rows, correlation)
    errors = resampled_errors(losses, rows, 20000, 1, per_row)
    largest = np.abs(errors / errors.std(axis=1, keepdims=True)).max(axis=0)
    quantile = np.quantile(largest, 0.95)
    weights = resampling.draw(4000, rows)
    replicates = [resampling.row_means(each[None], weights)[0] for each in per_row]
    level = simultaneous_level(per_row.mean(axis=1)[:, None], replicates, num_rows=rows)
    assert stats.norm.ppf((1 + level) / 2) == pytest.approx(quantile, rel=0.03)
    assert level < 0.95 ** (1 / losses) + 0.002  # Šidák's, with some noise


def test_seeds_are_taken_to_be_independent():
    """Each of K means over seeds then has Šidák's level, whatever the rows have in common."""
    values = 0.01 * np.random.default_rng(1).standard_normal((6, 4))
    rows = 1e-5 * spread(0, 1, 4000)
    level = simultaneous_level(values, [rows] * 6, num_rows=200)
    assert level == pytest.approx(0.95 ** (1 / 6), abs=1e-3)
    alike = simultaneous_level(values[:, :1], [rows] * 6, num_rows=200)
    assert alike == pytest.approx(0.95, abs=1e-9)


def test_one_difference_is_not_corrected():
    alone = [0.01 * np.arange(3)], [spread(0.01, 0.004)]
    assert simultaneous_level(*alone, num_rows=200) == 0.95
    # What diverged or is always equal to the baseline is no comparison.
    for values, replicates in (
        (np.full(3, np.nan), np.full(401, np.nan)),
        (np.zeros(3), np.zeros(401)),
        (np.ones(3), np.full(401, np.nan)),
    ):
        both = [*alone[0], values], [*alone[1], replicates]
        assert simultaneous_level(*both, num_rows=200) == 0.95


def test_resamples_that_define_nothing_do_not_change_the_level():
    per_row = rows_of_losses(3, 100, 0.3)
    replicates = resampled_errors(3, 100, 500, 2, per_row)
    values = per_row.mean(axis=1)[:, None]
    whole = simultaneous_level(values, replicates, num_rows=100)
    gaps = np.concatenate([replicates, np.full((3, 40), np.nan)], axis=1)
    assert simultaneous_level(values, gaps, num_rows=100) == pytest.approx(whole, abs=1e-12)


def test_more_rows_must_differ_at_a_higher_level():
    """A sign test of k rows has p = 2·2⁻ᵏ, which is below 0.0064 from nine rows on."""
    for rows, marked in ((6, False), (9, True)):
        per_row = np.zeros(200)
        per_row[:rows] = 1
        replicates = row_replicates(per_row)
        assert judged([per_row.mean()], replicates).excludes_zero
        assert judged([per_row.mean()], replicates, level=0.9936).excludes_zero is marked


def test_small_test_parts_are_due_a_note():
    assert too_small(30, np.asarray([5, 9])) == ()
    assert too_small(29, np.asarray([5, 9])) == ("rows",)
    assert too_small(30, np.asarray([5, 4])) == ("positives",)
    assert too_small(5, np.asarray([0])) == ("rows", "positives")


@pytest.mark.parametrize("seeds", [1, 2])
def test_any_of_eight_equal_losses_is_rarely_marked(seeds):
    """With plain intervals, it would be so in 1 − 0.95⁸ = 34 % of cases."""
    losses, rows, draws = 8, 100, 300
    generator = np.random.default_rng(0)
    weights = resampling.draw(200, rows)
    marked = np.zeros((draws, 2), bool)
    for each in range(draws):
        per_row = 0.1 * generator.standard_normal((losses, rows))
        replicates = resampling.row_means(per_row, weights)
        of_seeds = 0.03 * generator.standard_normal((losses, seeds)) if seeds > 1 else 0
        values = per_row.mean(axis=1, keepdims=True) + of_seeds
        drawn = replicates + np.mean(of_seeds, axis=-1, keepdims=True) if seeds > 1 else replicates
        level = simultaneous_level(values, drawn, num_rows=rows)
        for place, kind in enumerate((level, 0.95)):
            found = (
                judged(value, replicate, num_rows=rows, level=kind)
                for value, replicate in zip(values, drawn, strict=True)
            )
            marked[each, place] = any(one.excludes_zero for one in found)
    together, plain = marked.mean(axis=0)
    assert together < 0.09  # 0.05, and three standard errors of 300 draws
    assert plain > 0.2


def test_the_simulation_runs():
    simulation = pytest.importorskip("benchmarks.intervals")
    rows = simulation.run(quick=True)
    cells = {row["cell"] for row in rows}
    assert {"null", "1 rows differ", "3 rows differ"} <= cells
    shares = [value for row in rows for key, value in row.items() if key.split()[-1] == "marked"]
    assert len(shares) > 100
    assert all(0 <= share <= 1 for share in shares)
    assert np.mean(shares) < 0.2
    families = [row for row in rows if row["cell"].startswith("8 ")]
    assert {row["cell"] for row in families} == {"8 unlike", "8 alike"}
    for metric in ("mAP", "P@1", "micro-F1"):
        assert all(row[f"{metric} any"] <= row[f"{metric} plain"] <= 1 for row in families)
    assert " 42 cells lie within 0 to 6 %." in simulation.report(rows)


def test_the_report_of_the_simulation_names_the_cells_that_miss_a_bar():
    simulation = pytest.importorskip("benchmarks.intervals")
    place = {"labels": "rare", "rows": 50, "seed noise": 0.1, "seeds": 2, "draws": 900}
    covered = {"mAP covered": 0.93, "P@1 covered": 0.9, "micro-F1 covered": 0.971}
    marked = {"mAP any": 0.06, "P@1 any": 0.0, "micro-F1 any": 0.1}
    rows = [
        {"cell": "null", **place, **covered},
        {"cell": "null, too small", **place, **dict.fromkeys(covered, 0.5)},
        {"cell": "8 alike", **place, **marked},
        {"cell": "in all: most", **covered, **marked},
    ]
    summary, p_at_1, micro, families, mark = simulation.report(rows).splitlines()
    assert summary.startswith("90.0 to 97.1 % of the intervals")
    assert "1 of 3 cells lie within 93 to 97 %" in summary
    assert p_at_1.startswith(
        "MISSED: P@1, null, 50 rows, rare labels, 2 seeds, seed noise 0.1: 90.0 %"
    )
    assert "3.5 standard errors of 900 draws" in p_at_1  # 0.03 / √(0.93 · 0.07 / 900)
    assert "micro-F1, null" in micro
    assert "97.1 %" in micro
    assert "2 of 3 cells lie within 0 to 6 %" in families
    assert "micro-F1, 8 alike" in mark
    assert "5.1 standard errors" in mark  # 0.04 / √(0.06 · 0.94 / 900)


def test_only_clear_differences_are_marked_in_the_simulation():
    models = pytest.importorskip("benchmarks.simulated_models")
    generator = np.random.default_rng(0)
    for seeds in (1, 2):
        values = 0.02 * generator.standard_normal((seeds, 60))
        replicates = values.mean(axis=0)[:, None] + 0.01 * generator.standard_normal((60, 50))
        clear = models.is_clear(values, replicates)
        marked = [
            judged(value, replicate).excludes_zero
            for value, replicate in zip(values.T, replicates, strict=True)
        ]
        assert 0 < np.count_nonzero(clear) < 60
        assert not np.any(marked & ~clear)
