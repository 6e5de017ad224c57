"""Ranks of positives in long rows, against counts by pairwise comparison."""

import numpy as np
import pytest

from mllosses_jax.metrics import _long_rows

TINY, HUGE = 1e-45, 3e38  # the smallest subnormal float32, and one close to the largest


def counts(scores, actual, where):
    """Returns, for each positive, how many entries are ranked above it.

    These are the negatives and the positives that score at least as high, and the negatives that
    score higher.
    """
    s, y = scores[where], actual[where]
    positives = np.sort(s[y])[::-1, None]
    return [(s[~y] >= positives).sum(1), (s[y] >= positives).sum(1), (s[~y] > positives).sum(1)]


def rows(rng, n=3000):
    """Returns rows whose score distributions are hard for buckets of equal width."""
    normal = rng.standard_normal(n)
    values = {
        "normal": normal,
        "tied": normal.round(1),
        "equal": np.zeros(n),
        "two values": np.sign(normal),
        "signed zeros": np.where(normal > 0, 0.0, -0.0),
        "subnormal": rng.integers(-9, 9, n) * TINY,
        "one outlier": np.where(np.arange(n) == 5, 1e6, normal),
        "one bucket but for an outlier": np.where(np.arange(n) == 5, 1e25, normal),
        "infinite": np.where(normal > 1, np.inf, np.where(normal < -1, -np.inf, normal)),
        "all infinite": np.full(n, np.inf),
        "beyond float32 in width": np.sign(normal) * HUGE,
        "offset": 1e6 + normal,  # its spread is a few units in the last place
        "all magnitudes": np.sign(normal) * np.exp(rng.uniform(-80, 80, n)),
        "probabilities of a rare label": 1 / (1 + np.exp(9 - 2 * normal)),
    }
    return {name: value.astype(np.float32) for name, value in values.items()}


@pytest.mark.parametrize("buckets", [2**11, 2**14])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standing_matches_comparison(monkeypatch, buckets, dtype):
    monkeypatch.setattr(_long_rows, "_BUCKETS", buckets)
    rng = np.random.default_rng(0)
    named = rows(rng)
    scores = np.array([*named.values()], dtype)
    for prevalence in (0, 0.0004, 0.05, 0.9, 1):
        actual = rng.random(scores.shape) < prevalence
        for where in (None, rng.random(scores.shape) < 0.5, np.zeros_like(actual)):
            keep = np.ones_like(actual) if where is None else where
            hits = actual & keep
            # The rows are strided, as the columns of an (N, L) array are.
            columns = [np.asfortranarray(x) for x in (scores, hits)]
            got = _long_rows.of_long_rows(_long_rows.Block.standings, *columns, where)
            for name, standing, *row in zip(named, got, scores, hits, keep, strict=True):
                found = standing.negatives("right"), standing.tp(), standing.negatives("left")
                for value, expected in zip(found, counts(*row), strict=True):
                    np.testing.assert_array_equal(value, expected, err_msg=name)
                assert standing.num_entries == row[-1].sum()


def test_only_entries_near_to_positives_are_sorted():
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((1, 20000)).astype(np.float32)
    actual = rng.random(scores.shape) < 0.05
    (standing,) = _long_rows.of_long_rows(_long_rows.Block.standings, scores, actual, None)
    assert standing.near.size < 4000


def test_a_nan_is_no_score():
    scores = np.array([[0.5, np.nan, 0.25, 0.125], [0.5, 1, 0.25, 0.125]], np.float32)
    actual = np.array([[True, False, True, False], [False, True, False, True]])
    broken, whole = _long_rows.of_long_rows(_long_rows.Block.standings, scores, actual, None)
    assert broken.broken
    assert broken.positives.size == 2  # the counts mean nothing, but there is no error
    assert not whole.broken
    np.testing.assert_array_equal(whole.negatives("right"), [0, 2])
    known = ~np.isnan(scores)
    row, _ = _long_rows.of_long_rows(_long_rows.Block.standings, scores, actual, known)
    assert not row.broken
    np.testing.assert_array_equal([row.negatives("right"), row.tp()], [[0, 0], [1, 2]])
