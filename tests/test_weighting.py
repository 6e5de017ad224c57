"""Weights from label counts against their formulas in float64, and at their limits."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import weighting

COUNTS = np.array([1000, 400, 150, 60, 20, 5, 2])
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("beta", [0.3, 0.9, 0.999, 0.9999])
def test_effective_numbers(beta):
    weights = (1 - beta) / (1 - beta**COUNTS)
    reference = weights * len(COUNTS) / weights.sum()
    np.testing.assert_allclose(
        weighting.effective_number_weights(COUNTS, beta), reference, rtol=2e-4
    )
    with jax.enable_x64(True):
        ours = weighting.effective_number_weights(COUNTS.astype(np.float64), beta)
        np.testing.assert_allclose(ours, reference, rtol=1e-11)
        single = np.float32(beta)  # the same float32 beta, in float32 and in float64
        exact = weighting.effective_number_weights(COUNTS.astype(np.float64), np.float64(single))
    ours = weighting.effective_number_weights(COUNTS, single)
    np.testing.assert_allclose(ours, exact, rtol=2e-6)


def test_effective_numbers_are_those_of_the_authors():
    cases = json.loads((GOLDEN / "class_balanced_focal.json").read_text())
    with jax.enable_x64(True):
        for case in cases:
            counts = np.array(case["params"]["class_counts"])
            ours = weighting.effective_number_weights(counts, case["params"]["beta"])
            np.testing.assert_allclose(ours, case["extra"]["class_weights"], rtol=1e-10)


def test_limits_of_beta():
    zero = weighting.effective_number_weights(COUNTS, 0.0)
    np.testing.assert_allclose(zero, np.ones(len(COUNTS)), rtol=1e-6)
    inverse = len(COUNTS) / COUNTS / (1 / COUNTS).sum()
    np.testing.assert_allclose(weighting.effective_number_weights(COUNTS, 1), inverse, rtol=1e-6)
    for near, limit in ((1e-7, zero), (np.nextafter(np.float32(1), np.float32(0)), inverse)):
        weights = jax.jit(weighting.effective_number_weights)(COUNTS, near)
        np.testing.assert_allclose(weights, limit, rtol=2e-3)


@pytest.mark.parametrize("beta", [0, 0.5, 0.999, 1])
def test_effective_numbers_are_finite(beta):
    counts = np.array([0, 1, 2, 10**9])
    weights = weighting.effective_number_weights(counts, beta)
    assert np.all(np.isfinite(weights))
    assert np.all(weights > 0)
    assert weights[0] == weights[1]
    np.testing.assert_allclose(np.mean(weights), 1, rtol=1e-6)
    slope = jax.jit(jax.jacfwd(lambda b: weighting.effective_number_weights(counts, b)))
    assert np.all(np.isfinite(slope(np.float32(beta))))


def test_ratios():
    ratios = weighting.negative_positive_ratio(COUNTS, 1200)
    np.testing.assert_allclose(ratios, (1200 - COUNTS) / COUNTS, rtol=1e-6)
    known = COUNTS + np.arange(1, 8)
    ratios = weighting.negative_positive_ratio(COUNTS, known)
    np.testing.assert_allclose(ratios, (known - COUNTS) / COUNTS, rtol=1e-6)


def test_ratios_of_absent_and_universal_labels():
    ratios = weighting.negative_positive_ratio(np.array([0, 1, 99, 100]), 100)
    np.testing.assert_allclose(ratios, [99, 99, 1 / 99, 1 / 99], rtol=1e-6)
    ratios = weighting.negative_positive_ratio(np.array([0, 7]), jnp.array([1, 5]))
    np.testing.assert_allclose(ratios, [1, 1 / 4], rtol=1e-6)  # N below 2, and n above N


@pytest.mark.parametrize("prior", [0.01, 0.5, np.array([[0.2, 0.999]], np.float32)], ids=str)
def test_bias_predicts_the_prior(prior):
    bias = np.asarray(weighting.prior_bias(prior), np.float64)
    assert bias.shape == np.shape(prior)
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), prior, rtol=1e-5)


def test_bias_is_finite():
    bias = weighting.prior_bias(np.array([0, 1, 1e-30], np.float32))
    assert np.all(np.isfinite(bias))
    np.testing.assert_allclose(bias, [np.log(1e-6), -np.log(1e-6), np.log(1e-6)], rtol=5e-3)


def test_double_precision():
    with jax.enable_x64(True):
        ratios = weighting.negative_positive_ratio(COUNTS.astype(np.float64), 1200)
        np.testing.assert_allclose(ratios, (1200 - COUNTS) / COUNTS, rtol=1e-15)
        bias = weighting.prior_bias(np.array([0.3]))
        np.testing.assert_allclose(bias, np.log(0.3 / 0.7), rtol=1e-15)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"label_counts must have shape \(L,\), got \(1, 7\)"):
        weighting.effective_number_weights(COUNTS[None, :])
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\], got 1.5"):
        weighting.effective_number_weights(COUNTS, 1.5)
    with pytest.raises(ValueError, match=r"num_samples must lie in \[2, inf\], got 1"):
        weighting.negative_positive_ratio(COUNTS, 1)
    with pytest.raises(TypeError, match=r"prior must be shares of positives.*got int"):
        weighting.prior_bias(COUNTS)
    with pytest.raises(ValueError, match=r"num_samples must be a scalar.*got \(2,\)"):
        weighting.negative_positive_ratio(COUNTS, np.array([5, 5]))
    with pytest.raises(TypeError, match=r"label_counts must be an array.* got a list"):
        weighting.effective_number_weights([1, 2])
