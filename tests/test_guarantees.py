"""Promised thresholds against a search over all cut-offs in exact numbers, and against MAPIE."""

import functools
import itertools
import json
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from compiling import jit, jit_fully
from guarantee_inputs import (
    CASES,
    broken,
    cut_offs,
    hoeffding_bentkus,
    missed_shares,
    rows_of,
    wrong_shares,
)
from scipy.stats import binom

from mllosses_jax import decisions
from mllosses_jax.decisions._risk_limits import confident_limit

LEVELS = ["0.5", "0.75", "0.8", "0.9", "0.95", "0.99"]


def recall_threshold(case, **options):
    scores, truth, keep = rows_of(case)
    return decisions.threshold_for_recall(*broken(scores, truth, keep), where=keep, **options)


@pytest.mark.parametrize("case", CASES)
def test_recall_on_average_equals_a_search(case):
    scores, truth, keep = rows_of(case)
    shares = {t: missed_shares(scores, truth, keep, t) for t in cut_offs(scores, keep)}
    for level in LEVELS:
        alpha = 1 - Fraction(level)
        fine = [t for t, s in shares.items() if (sum(s) + 1) / Fraction(len(s) + 1) <= alpha]
        found = recall_threshold(case, level=float(level))
        assert found.dtype == jnp.float32
        assert found == max(fine, default=-np.inf), level


@pytest.mark.parametrize("case", CASES)
def test_recall_with_a_confidence_equals_a_search(case):
    scores, truth, keep = rows_of(case)
    shares = {t: missed_shares(scores, truth, keep, t) for t in cut_offs(scores, keep)}
    for level in (0.5, 0.7, 0.8, 0.95):
        p_values = {t: hoeffding_bentkus(s, 1 - level) for t, s in shares.items()}
        for confidence in (0.5, 0.9, 0.99):
            fine = [t for t, p in p_values.items() if p <= 1 - confidence]
            found = recall_threshold(case, level=level, confidence=confidence)
            assert found == max(fine, default=-np.inf), (level, confidence)


@pytest.mark.parametrize("confidence", [None, 0.9])
@pytest.mark.parametrize("case", CASES)
def test_recall_of_each_label_equals_a_search(case, confidence):
    scores, truth, keep = rows_of(case)
    truth[:, 3] = False  # nothing can be promised for this label
    for level in LEVELS:
        found = decisions.threshold_for_recall(
            *broken(scores, truth, keep),
            level=float(level),
            confidence=confidence,
            scope="label",
            where=keep,
        )
        for label, threshold in enumerate(found):
            of_positives = scores[(truth & keep)[:, label], label]
            n, fine = of_positives.size, []
            for t in cut_offs(scores[:, [label]], keep[:, [label]]):
                missed = int((~(of_positives >= t)).sum())
                if confidence is None:
                    holds = Fraction(missed + 1, n + 1) <= 1 - Fraction(level)
                else:
                    holds = binom.cdf(missed, n, 1 - float(level)) <= 1 - confidence
                fine += [t] if holds else []
            assert threshold == max(fine, default=-np.inf), (level, label)


@pytest.mark.parametrize("case", CASES)
def test_precision_equals_tests_in_descending_order(case):
    scores, truth, keep = rows_of(case, count=120)
    shares = {t: wrong_shares(scores, truth, keep, t) for t in cut_offs(scores, keep)[:-1]}
    thresholds = set()
    for level in (0.5, 0.6, 0.7, 0.8, 0.9):
        p_values = {t: hoeffding_bentkus(s, 1 - level) for t, s in shares.items()}
        for confidence in (0.5, 0.9, 0.99):
            # A threshold of +∞ would admit scores of +∞, which have not passed either.
            expected = np.nan if np.isposinf(scores[keep]).any() else np.inf
            for t, p in p_values.items():
                if p > 1 - confidence:
                    break
                expected = t
            found = decisions.threshold_for_precision(
                *broken(scores, truth, keep), level=level, confidence=confidence, where=keep
            )
            np.testing.assert_array_equal(found, expected, err_msg=f"{level}, {confidence}")
            thresholds.add(str(found))
    assert len(thresholds) > 2


def test_precision_stops_at_the_first_failure():
    # Far below the first errors the precision is high again; no test there may pass.
    scores = np.linspace(1, 0, 200, dtype=np.float32)[:, None]
    labels = np.arange(200)[:, None] >= 40
    shares = [wrong_shares(scores, labels, labels | True, t) for t in scores[:, 0]]
    passes = [hoeffding_bentkus(s, 0.15) <= 0.1 for s in shares]
    stop = passes.index(False)
    found = decisions.threshold_for_precision(scores, labels, level=0.85)
    assert found == scores[stop - 1, 0]
    labels = np.arange(200)[:, None] >= 1  # the first row alone is wrong
    assert decisions.threshold_for_precision(scores[:25], labels[:25], level=0.9) == np.inf


def test_precision_of_infinite_scores_is_not_promised_by_an_infinite_threshold():
    scores = np.where(np.arange(30)[:, None] < 20, np.inf, 0).astype(np.float32)
    wrong = np.arange(30)[:, None] >= 20
    threshold = decisions.threshold_for_precision(scores, wrong, level=0.5)
    assert np.isnan(threshold)
    assert not decisions.apply_thresholds(scores, threshold).any()
    right = decisions.threshold_for_precision(scores, ~wrong, level=0.8)
    assert right == np.inf
    assert decisions.threshold_for_precision(-scores, wrong, level=0.99) == np.inf


PEERS = json.loads((Path(__file__).parent / "guarantee_peers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", sorted({case["seed"] for case in PEERS["cases"]}))
def test_recall_agrees_with_mapie(seed):
    """MAPIE 1.6.0, by conformal risk control on its grid, and on a grid of all scores.

    It predicts p > λ, and every row must have a label.
    """
    for case in [case for case in PEERS["cases"] if case["seed"] == seed]:
        rng = np.random.default_rng(seed)
        count, size = case["rows"], case["labels"]
        truth = rng.random((count, size)) < 0.35
        truth[np.arange(count), rng.integers(0, size, count)] = True
        logits = rng.standard_normal((count, size)) + 2 * truth - 1
        p = (1 / (1 + np.exp(-logits))).round(case["decimals"]).astype(np.float32)
        t = float(decisions.threshold_for_recall(p, truth, level=case["level"]))
        assert (p >= t).sum() == case["predicted"], case
        assert t == pytest.approx(case["fine"], abs=1e-6)
        assert case["grid"] - 1e-6 < t <= case["grid"] + 0.01 + 1e-6


def test_weights():
    scores, truth, keep = rows_of("masked")
    rng = np.random.default_rng(1)
    times = rng.integers(0, 4, len(scores))
    repeated = [np.repeat(array, times, axis=0) for array in (scores, truth, keep)]
    for scope in ("global", "label"):
        weighted = functools.partial(
            decisions.threshold_for_recall, scores, truth, where=keep, level=0.8, scope=scope
        )
        alone = decisions.threshold_for_recall(
            *repeated[:2], where=repeated[2], level=0.8, scope=scope
        )
        np.testing.assert_array_equal(weighted(weights=times), alone)
        np.testing.assert_array_equal(
            weighted(weights=np.ones(len(scores), np.float32)), weighted()
        )
    ratios = rng.random(len(scores)).astype(np.float32)
    rows = keep.any(1)
    fine = [
        t
        for t in cut_offs(scores, keep)
        if np.dot(ratios[rows], np.float64(missed_shares(scores, truth, keep, t))) + 1
        <= 0.2 * (ratios[rows].sum(dtype=float) + 1)
    ]
    found = decisions.threshold_for_recall(scores, truth, level=0.8, weights=ratios, where=keep)
    assert found == max(fine)
    assert np.isfinite(found)


def test_the_least_number_of_rows_is_enough():
    scores = np.linspace(1, 2, 512, dtype=np.float32)[:, None]
    for level, confidence in itertools.product(LEVELS, (None, 0.5, 0.9, 0.95)):
        options = {"level": float(level), "confidence": confidence}
        n = decisions.rows_for_guarantee(**options)
        of_rows = [np.arange(512)[:, None] < count for count in (n, n - 1)]
        for scope in ("global", "label"):
            enough, lacking = (
                decisions.threshold_for_recall(
                    scores, scores > 0, scope=scope, where=where, **options
                )
                for where in of_rows
            )
            assert np.all(enough == 1), options
            assert np.all(lacking == -np.inf), options
        if confidence is not None:
            enough, lacking = (
                decisions.threshold_for_precision(scores, scores > 0, where=where, **options)
                for where in of_rows
            )
            assert enough == 1
            assert lacking == np.inf
    assert decisions.rows_for_guarantee(0.9) == 9
    assert decisions.rows_for_guarantee(0.999) == 999
    # Levels next to 0 and 1, and numbers that were computed or are numpy's.
    assert decisions.rows_for_guarantee(1e-12) == 1
    assert decisions.rows_for_guarantee(0.5, confidence=1e-12) == 1
    assert decisions.rows_for_guarantee(1 - 2**-40) == pytest.approx(2**40 - 1, rel=1e-8)
    assert decisions.rows_for_guarantee(0.30000000000000004 * 3) == 9
    assert decisions.rows_for_guarantee(np.float32(0.9)) == 9


def test_ends_of_the_levels():
    scores, truth, _ = rows_of("random")
    for confidence in (None, 0.9):
        for scope in ("global", "label"):
            options = {"confidence": confidence, "scope": scope}
            everything = decisions.threshold_for_recall(scores, truth, level=1, **options)
            assert np.all(everything == -np.inf)
            nothing = decisions.threshold_for_recall(scores, truth, level=0, **options)
            assert np.all(nothing == np.inf)
    assert decisions.threshold_for_recall(scores, truth, confidence=1) == -np.inf
    assert decisions.threshold_for_precision(scores, truth, level=1) == np.inf
    assert decisions.threshold_for_precision(scores, truth, level=0) == scores.min()
    assert decisions.threshold_for_precision(scores, truth, confidence=1) == np.inf
    assert decisions.threshold_for_recall(scores, np.zeros_like(truth)) == np.inf
    levels = np.linspace(0.5, 0.9, 4, dtype=np.float32)
    together = decisions.threshold_for_recall(scores, truth, level=levels, scope="label")
    for label, level in enumerate(levels):
        alone = decisions.threshold_for_recall(scores, truth, level=level, scope="label")
        assert together[label] == alone[label]


def _limits(n, level, confidence, *, binary):
    with jax.enable_x64(True):
        arrays = (jnp.asarray(x, jnp.float64) for x in (n, level, confidence))
        return np.asarray(
            jit_fully(confident_limit, static_argnames="binary")(*arrays, binary=binary)
        )


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.99])
def test_limits_are_exact_for_up_to_ten_million_rows(level, confidence):
    n = np.array([0, 1, 5, 30, 100, 1000, 10_000, 123_457, 1_000_000, 10_000_000])
    alpha, delta = 1 - level, 1 - confidence
    counts = _limits(n, level, confidence, binary=True)
    totals = _limits(n, level, confidence, binary=False)
    for size, count, total in zip(n.tolist(), counts, totals, strict=True):
        if count == -np.inf:
            assert binom.cdf(0, size, alpha) > delta
        else:
            assert binom.cdf(count, size, alpha) <= delta * (1 + 1e-7)
            assert binom.cdf(count + 1, size, alpha) >= delta * (1 - 1e-7)
        if total == -np.inf:
            assert (1 - alpha) ** size > delta
            continue
        # The total is the larger of what Hoeffding and what Bentkus allow.
        by_bentkus = binom.ppf(delta / np.e, size, alpha) - 1
        with mpmath.workdps(30):
            share, a = mpmath.mpf(float(total)) / size, mpmath.mpf(alpha)
            kl = (share * mpmath.log(share / a) if share else 0) + (1 - share) * mpmath.log(
                (1 - share) / (1 - a)
            )
            by_hoeffding = float(mpmath.exp(-size * kl))
        if total > by_bentkus:
            assert by_hoeffding == pytest.approx(delta, rel=1e-7)
        else:
            assert total == by_bentkus
            assert by_hoeffding >= delta * (1 - 1e-7)


def test_a_million_rows_are_counted_exactly():
    n = 2**20
    rng = np.random.default_rng(0)
    scores = rng.permutation(n).astype(np.float32).reshape(n, 1)
    truth = np.ones((n, 1), bool)
    for level in (0.9, 0.75):
        found = decisions.threshold_for_recall(scores, truth, level=level)
        assert found == int((1 - Fraction(str(level))) * (n + 1)) - 1
    third = np.broadcast_to(scores, (n, 3)) * np.array([1, 0, 0], np.float32) + np.array(
        [0, n, n], np.float32
    )
    found = decisions.threshold_for_recall(third, truth | np.zeros((n, 3), bool), level=0.75)
    assert abs(found - 3 * (0.25 * (n + 1) - 1)) <= 1


@pytest.mark.parametrize("kind", ["recall", "label", "confident", "precision"])
def test_under_transformations(kind):
    scores, truth, keep = rows_of("masked")
    function = {
        "recall": functools.partial(decisions.threshold_for_recall, level=0.8),
        "label": functools.partial(decisions.threshold_for_recall, level=0.8, scope="label"),
        "confident": functools.partial(decisions.threshold_for_recall, level=0.6, confidence=0.9),
        "precision": functools.partial(decisions.threshold_for_precision, level=0.4),
    }[kind]

    def of_three(scores, labels, where):
        return function(scores, labels, where=where)

    alone = function(scores, truth, where=keep)
    assert np.isfinite(alone).all()
    mapped = jit(jax.vmap(of_three))(*(jnp.stack([a, a[::-1]]) for a in (scores, truth, keep)))
    np.testing.assert_array_equal(mapped, [alone, alone])
    rows = jax.export.symbolic_shape("n, 4")
    form = [jax.ShapeDtypeStruct(rows, dtype) for dtype in (np.float32, bool, bool)]
    exported = jax.export.export(jax.jit(of_three), platforms=["cpu", "cuda", "tpu"])(*form)
    np.testing.assert_array_equal(exported.call(scores, truth, keep), alone)


def test_float64_and_half_precision():
    scores, truth, _ = rows_of("random")
    half = jnp.asarray(scores, jnp.bfloat16)
    for function in (decisions.threshold_for_recall, decisions.threshold_for_precision):
        found = function(half, truth, level=0.5)
        assert found == function(half.astype(jnp.float32), truth, level=0.5)
        with jax.enable_x64(True):
            close = 1.0 + 1e-12 * np.float64(scores)  # all equal in float32
            wide = function(close, truth, level=0.5)
            assert wide.dtype == jnp.float64
            order = np.argsort(np.argsort(scores, axis=None)).reshape(scores.shape)
            same = function(order.astype(np.float32), truth, level=0.5)
            np.testing.assert_array_equal(close >= np.asarray(wide), order >= np.asarray(same))


def test_bad_input_is_named():
    scores, truth, _ = rows_of("random")
    recall, precision = decisions.threshold_for_recall, decisions.threshold_for_precision
    for function in (recall, precision):
        with pytest.raises(ValueError, match=r"level must lie in \[0, 1\], got 90"):
            function(scores, truth, level=90)
        with pytest.raises(ValueError, match=r"confidence must lie in \[0, 1\], got 1.5"):
            function(scores, truth, confidence=1.5)
        with pytest.raises(ValueError, match="level must be a scalar"):
            function(scores, truth, level=np.full(4, 0.5, np.float32))
        with pytest.raises(ValueError, match="labels must have the shape of scores"):
            function(scores, truth[:, :3])
    with pytest.raises(ValueError, match="scope must be one of 'label', 'global', got 'row'"):
        recall(scores, truth, scope="row")
    with pytest.raises(ValueError, match="weights must be None with a confidence"):
        recall(scores, truth, confidence=0.9, weights=np.ones(len(scores)))
    with pytest.raises(ValueError, match="weights must not be negative"):
        recall(scores, truth, weights=np.full(len(scores), -1.0))
    with pytest.raises(ValueError, match="weights must have one entry per sample"):
        recall(scores, truth, weights=np.ones(3))
    with pytest.raises(ValueError, match=r"level must be between 0 and 1, got 1"):
        decisions.rows_for_guarantee(1)
    with pytest.raises(ValueError, match=r"confidence must be between 0 and 1, got 95"):
        decisions.rows_for_guarantee(0.9, confidence=95)
