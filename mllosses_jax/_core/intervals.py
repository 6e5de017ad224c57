"""Intervals of metrics and of differences between two models, and which differences are marked.

Marks are derived from the intervals, so the two cannot disagree. `simultaneous_level` widens the
intervals of several differences so that they hold together. `python -m benchmarks intervals` shows
by simulation how often the intervals are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

LEVEL = 0.95
FIGURE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)
ANY = (-math.inf, math.inf)
MIN_ROWS = 30
MIN_POSITIVES = 5
EQUAL = 1e-6  # replicates come from single precision

# How fast the quantile moves from that of the rows to that of the seeds as the seeds gain weight.
# With normal variation, this power covers 93.4 to 97.0 % with two seeds and 94.5 to 96.0 % with
# more, whatever the share of each source. A sum in quadrature (power 1) never covers too little,
# but up to 98.7 % with two seeds; Welch's degrees of freedom cover only 87.3 %. At higher levels,
# the longer tail of Student's distribution asks for a power nearer to 1: with 1.75, intervals at
# 99.36 % miss 2.6 times as often as they may with two seeds, and eight of them, each independent of
# the others, miss in 12.6 % of cases together. With the decay below, that is 5.1 % for eight, and
# 5.8 % for two.
_POWER = 1.75
_DECAY = 1.5
_FARTHEST = 2  # times the half width without a scale, if it does not rest on few seeds


@dataclass(frozen=True)
class Interval:
    """A metric or a difference, with its interval.

    Attributes:
        mean: the mean over models, on the test part itself.
        low: the lower end of the interval.
        high: the upper end.
        decided: whether the interval covers every source of variation. If training depends on the
            seed and only one was drawn, it covers the test rows alone, and decides nothing.
    """

    mean: float
    low: float
    high: float
    decided: bool

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is marked: the interval can decide and does not contain zero."""
        return self.decided and (self.low > 0 or self.high < 0)

    def mark(self, *, higher_is_better: bool) -> Literal["+", "-", ""]:
        """Returns the mark of a difference: + for better, - for worse, and "" where chance may do.

        Args:
            higher_is_better: whether higher values of the metric are better.
        """
        if not self.excludes_zero:
            return ""
        return "+" if (self.mean > 0) == higher_is_better else "-"


def interval(
    values: NDArray[Any],
    replicates: NDArray[Any],
    *,
    bounds: tuple[float, float],
    num_rows: int,
    varies: bool,
    level: float = LEVEL,
    num_strata: int = 1,
    rounding: float = EQUAL,
) -> Interval:
    """Returns the interval of the expected value at this test size, over test rows and seeds.

    On the scale of the formula, errors are as likely above as below, even near 0 and 1. Without
    it, intervals of mAP on 30 or 50 rows covered the expected value in 89 to 92 % of simulations;
    percentiles did so in 83 % of those with 20 rare labels, as resamples hold some of their
    positives twice.

    Variation between seeds that is independent in each row enters both r and s, which makes the
    intervals of models that agree in little else somewhat wide.

    Formula:
        mean ± q·√(r + s), where r is the variance of the replicates times N/(N − H) and s that of
        the values over M; q² = a² + (b² − a²)·(s/(r + s))^p with Student's quantiles a and b of
        N − H and M − 1 degrees of freedom, and p = 1 + 0.75·((1 − level)/0.05)^1.5. The ends are on
        the scale of log (x − lowest)/(highest − x), which keeps them within bounds, but at most
        2·max(1, b/a) times as far away as ± puts them, and twice if M is 1. If few rows decide,
        they are moved to include zero.

    Args:
        values: the metric or the difference of each model, (M,). M is 1 if training does not
            depend on the seed; such a model is paired with each of the M models of another loss.
        replicates: the mean over the models on resamples of the test rows, (R,); NaN where a
            resample does not define it.
        bounds: FIGURE for a metric, or DIFFERENCE for a difference of two.
        num_rows: the number of test rows, N.
        varies: whether training depends on the seed; for a difference, whether that of either loss
            does.
        level: how often the interval should hold, such as a `simultaneous_level`.
        num_strata: H, the number of strata within which rows were drawn.
        rounding: the absolute value below which a replicate counts as 0.

    Returns:
        The interval. Its ends are NaN if a value is NaN.
    """
    values, replicates = np.asarray(values, np.float64), np.asarray(replicates, np.float64)
    mean, models = float(values.mean()), len(values)
    decided = models > 1 or not varies
    replicates = replicates[np.isfinite(replicates)]
    freedom = num_rows - num_strata
    if not math.isfinite(mean) or len(replicates) < 2 or freedom < 1:
        return Interval(mean, math.nan, math.nan, decided)
    of_rows = variance_of_rows(replicates, num_rows, num_strata)
    of_seeds = _variance_of_seeds(values)
    total = of_rows + of_seeds
    half = _quantile(of_seeds / total, freedom, models, level) * math.sqrt(total) if total else 0.0
    low, high = _ends(mean, half, bounds, _farthest(freedom, models, level))
    if _few_rows_decide(replicates, level, rounding):
        low, high = min(low, 0.0), max(high, 0.0)
    return Interval(mean, low, high, decided)


def simultaneous_level(
    values: Sequence[NDArray[Any]],
    replicates: Sequence[NDArray[Any]],
    *,
    num_rows: int,
    num_strata: int = 1,
    level: float = LEVEL,
) -> float:
    """Returns the level at which to take the intervals of K differences so that they hold together.

    All of them then hold as often as `level` says, in 95 % of cases by default. Losses that are
    alike in each resample are corrected for less than losses that are not. How alike a few seeds
    are cannot be told, so the variation by seeds is taken to be independent between losses, which
    widens intervals the most.

    Formula:
        1 − 2·Φ(−f·z) with f = Q(max_k |t_k|) / mean_k Q(|t_k|), where Q is the quantile over
        resamples at the level, z that of the absolute value of a normal variable (1.96 at 95 %),
        and t_k = (replicate_k − its mean + √s_k·normal)/√(r_k + s_k), with the variances r and s of
        `interval`. With one difference, f is 1 and the level does not change.

    Args:
        values: K arrays (M,), the difference of each model; M may differ.
        replicates: K arrays (R,), the differences on the same resamples of the test rows.
        num_rows: the number of test rows.
        num_strata: the number of strata within which rows were drawn.
        level: how often all intervals should hold.

    Returns:
        The level, which is at least the one that is given. Differences that are NaN or always 0 do
        not count.

    Reference:
        P. H. Westfall and S. S. Young, "Resampling-Based Multiple Testing", Wiley 1993, for the
        distribution of the maximum; Z. Šidák, "Rectangular Confidence Regions for the Means of
        Multivariate Normal Distributions", JASA 1967, for independence as the widest case.
    """
    generator = np.random.default_rng(0)
    sizes = []
    for each, drawn in zip(values, np.asarray(replicates, np.float64), strict=True):
        defined = drawn[np.isfinite(drawn)]
        if not np.isfinite(each).all() or len(defined) < 2 or num_rows <= num_strata:
            continue
        of_rows = variance_of_rows(defined, num_rows, num_strata)
        of_seeds = _variance_of_seeds(each)
        if of_rows + of_seeds == 0:
            continue
        by_rows = (drawn - defined.mean()) * math.sqrt(num_rows / (num_rows - num_strata))
        by_seeds = math.sqrt(of_seeds) * generator.standard_normal(len(drawn))
        sizes.append(np.abs(by_rows + by_seeds) / math.sqrt(of_rows + of_seeds))
    if len(sizes) < 2:
        return level
    together = np.stack(sizes)
    together = together[:, np.isfinite(together).all(axis=0)]
    each_alone = np.quantile(together, level, axis=1).mean()
    factor = np.quantile(together.max(axis=0), level) / each_alone
    return max(level, float(1 - 2 * ndtr(factor * ndtri((1 - level) / 2))))


def variance_of_rows(replicates: NDArray[np.float64], num_rows: int, num_strata: int = 1) -> float:
    """Returns the variance of a metric that is due to the rows, from finite replicates (R,)."""
    return float(replicates.var(ddof=1)) * num_rows / (num_rows - num_strata)


def _variance_of_seeds(values: NDArray[Any]) -> float:
    """Returns the variance of a mean over models that is due to their seeds."""
    models = len(values)
    return float(np.var(values, ddof=1, dtype=np.float64)) / models if models > 1 else 0.0


def too_small(num_rows: int, positives: NDArray[Any]) -> tuple[Literal["rows", "positives"], ...]:
    """Returns what a test part has too little of for its intervals to be more than rough.

    Args:
        num_rows: the number of test rows; fewer than 30 are too few.
        positives: the number of test positives of each label, (L,); fewer than 5 are too few.
    """
    missed: list[Literal["rows", "positives"]] = []
    if num_rows < MIN_ROWS:
        missed.append("rows")
    if np.any(np.asarray(positives) < MIN_POSITIVES):
        missed.append("positives")
    return tuple(missed)


def _quantile(share: float, freedom: int, models: int, level: float) -> float:
    """Returns the quantile for a variance of which `share` is due to seeds, the rest to rows."""
    of_rows = _student(freedom, level) ** 2
    if models == 1:
        return math.sqrt(of_rows)
    power = 1 + (_POWER - 1) * ((1 - level) / (1 - LEVEL)) ** _DECAY
    return math.sqrt(of_rows + (_student(models - 1, level) ** 2 - of_rows) * share**power)


def _student(freedom: int, level: float) -> float:
    """Returns what the absolute value of Student's t is below with probability `level`."""
    return float(stdtrit(freedom, (1 + level) / 2))


def _farthest(freedom: int, models: int, level: float) -> float:
    """Returns how many half widths an end may be away.

    The width may be too small by as much as Student's quantile of few seeds exceeds that of the
    rows: two seeds can be alike by chance. With a constant of 2, intervals of two seeds with a
    standard deviation of 0.3 covered a mean of 0.8 in 91 % of cases instead of 93.5 %.
    """
    if models == 1:
        return _FARTHEST
    return _FARTHEST * max(1.0, _student(models - 1, level) / _student(freedom, level))


def _ends(
    mean: float, half: float, bounds: tuple[float, float], farthest: float
) -> tuple[float, float]:
    lowest, highest = bounds
    if half == 0 or not lowest < mean < highest or math.isinf(highest - lowest):
        return max(lowest, mean - half), min(highest, mean + half)
    below, above = mean - lowest, highest - mean
    place, step = math.log(below / above), half * (highest - lowest) / (below * above)
    center, reach = (lowest + highest) / 2, (highest - lowest) / 2
    low, high = (center + reach * math.tanh(x / 2) for x in (place - step, place + step))
    # Next to a bound the scale stretches without end, which says nothing about the figure.
    most = farthest * half
    return max(min(low, mean), mean - most), min(max(high, mean), mean + most)


def _few_rows_decide(replicates: NDArray[np.float64], level: float, rounding: float) -> bool:
    """Returns whether too many resamples hold none of the rows in which two losses differ.

    Without any of k such rows a replicate is 0, which happens with probability exp(−k). A sign
    test of k rows that all favour one loss has p = 2·2^(−k), which is twice that probability to
    the power of log 2. At 95 %, four rows are not enough and six are; with five, the resamples
    decide.
    """
    share = float(np.mean(np.abs(replicates) <= rounding))
    return bool(share ** math.log(2) > (1 - level) / 2)
