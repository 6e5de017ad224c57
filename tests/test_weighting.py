"""Weights from label counts against their formulas in float64, and at their limits."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mllosses_jax as mll
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
    # An eager call refuses such counts.
    ratios = jax.jit(weighting.negative_positive_ratio)(np.array([0, 7]), jnp.array([1, 5]))
    np.testing.assert_allclose(ratios, [1, 1 / 4], rtol=1e-6)  # N below 2, and n above N


@pytest.mark.parametrize("prior", [0.01, 0.5, np.array([[0.2, 0.999]], np.float32)], ids=str)
def test_bias_predicts_the_prior(prior):
    bias = np.asarray(weighting.prior_bias(prior), np.float64)
    assert bias.shape == np.shape(prior)
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), prior, rtol=1e-5)


LABELS = np.array(
    [
        [1, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 1, 1, 1],
        [0] * 7,
        [0, 1, 0, 0, 1, 1, 0],
    ]
)
KNOWN = np.array([[True] * 7, [False] * 7, [True, False] * 3 + [True], [True] * 7, [True] * 7])


def weight_of(n, beta):
    return 1 / n if beta == 1 else (1 - beta) / (1 - beta**n)


def class_balanced(row, mode, beta):
    """Returns the weight of a sample, from the indices of its positives."""
    positives = np.flatnonzero(row)
    if len(positives) == 0:
        return 1 - beta
    counts = [float(COUNTS[c]) for c in positives]
    if mode == "average_n":
        return weight_of(sum(counts) / len(counts), beta)
    if mode == "min_n":
        return weight_of(min(counts), beta)
    return sum(weight_of(n, beta) for n in counts) / len(counts)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
@pytest.mark.parametrize("beta", [0, 0.9, 0.999, 1])
@pytest.mark.parametrize("mode", ["average_n", "average_w", "min_n"])
def test_class_balanced_weights(mode, beta, dtype):
    for where in (None, KNOWN):
        y = LABELS if where is None else LABELS * where
        weights = weighting.class_balanced_weights(
            LABELS.astype(dtype), COUNTS, beta=beta, mode=mode, where=where
        )
        reference = [[class_balanced(row, mode, beta)] for row in y]
        if beta == 0:
            reference = np.ones((5, 1))
        np.testing.assert_allclose(weights, reference, rtol=2e-4)


def test_class_balanced_weights_by_class():
    weights = weighting.class_balanced_weights(LABELS, COUNTS, beta=0.9, mode="by_class")
    np.testing.assert_allclose(weights, [weight_of(n, 0.9) for n in COUNTS], rtol=1e-5)


def test_soft_labels_weigh_the_average():
    y = np.array([[0.5, 0, 0, 0.25, 0, 0, 0]], np.float32)
    weights = weighting.class_balanced_weights(y, COUNTS, mode="average_n")
    mean = (0.5 * COUNTS[0] + 0.25 * COUNTS[3]) / 0.75
    np.testing.assert_allclose(weights, [[weight_of(mean, 0.9)]], rtol=1e-5)


@pytest.mark.parametrize("mode", ["by_class", "average_n", "average_w", "min_n"])
def test_class_balanced_weights_are_finite(mode):
    counts = np.array([0, 0, 10**9, 5, 1, 1, 1])
    for beta in (0, 0.5, 1):
        weights = weighting.class_balanced_weights(LABELS, counts, beta=beta, mode=mode)
        assert np.all(np.isfinite(weights))
    slope = jax.jit(
        jax.jacfwd(lambda b: weighting.class_balanced_weights(LABELS, counts, beta=b, mode=mode))
    )
    assert np.all(np.isfinite(slope(np.float32(0.9))))


@pytest.mark.parametrize("where", [None, KNOWN], ids=["all", "some"])
def test_rebalanced_weights(where):
    y = LABELS if where is None else LABELS * where
    weights = weighting.rebalanced_weights(LABELS, COUNTS, alpha=0.3, beta=4, mu=0.5, where=where)
    for row in range(5):
        drawn = sum(1 / COUNTS[c] for c in np.flatnonzero(y[row]))
        for c in range(7):
            smooth = 1 / (1 + np.exp(-4 * (1 / COUNTS[c] / drawn - 0.5))) if drawn else 1
            np.testing.assert_allclose(weights[row, c], 0.3 + smooth, rtol=1e-5)


def test_rebalanced_weights_are_those_of_the_authors():
    cases = json.loads((GOLDEN / "distribution_balanced.json").read_text())
    used = 0
    with jax.enable_x64(True):
        for case in cases:
            if "published" in case["params"]["config"]:
                ours = weighting.rebalanced_weights(
                    np.array(case["inputs"]["labels"], np.float64),
                    np.array(case["params"]["class_counts"]),
                    mu=case["params"]["map_param"]["gamma"],
                )
                np.testing.assert_allclose(ours, case["extra"]["weight"], rtol=1e-12)
                used += 1
    assert used == 6


def test_rebalanced_weights_have_finite_slopes():
    counts = np.array([0, 1, 2, 3, 10, 100, 10**9], np.float32)

    def total(y, n, alpha, beta, mu):
        return jnp.sum(weighting.rebalanced_weights(y, n, alpha=alpha, beta=beta, mu=mu))

    slopes = jax.jit(jax.grad(total, argnums=(0, 1, 2, 3, 4)))(
        LABELS.astype(np.float32), counts, 0.1, 10.0, 0.2
    )
    assert all(np.all(np.isfinite(slope)) for slope in slopes)


@pytest.mark.parametrize("where", [None, KNOWN], ids=["all", "some"])
@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test_sample_balanced_weights(dtype, where):
    weights = weighting.sample_balanced_weights(LABELS.astype(dtype), where=where)
    known = np.ones_like(KNOWN) if where is None else where
    for row, y, counts in zip(np.asarray(weights), LABELS, known, strict=True):
        for kind in (0, 1):
            members = [c for c in range(7) if counts[c] and y[c] == kind]
            for c in members:
                np.testing.assert_allclose(row[c], 1 / len(members), rtol=1e-6)
        assert np.all(row[~counts] == 0)
    soft = weighting.sample_balanced_weights(np.array([[0.5, 0, 0.1, 0]], np.float32))
    np.testing.assert_array_equal(soft, np.full((1, 4), 0.5))
    assert weighting.sample_balanced_weights(LABELS.reshape(5, 1, 7)).shape == (5, 1, 7)


def test_sample_balanced_cross_entropy_bounds_the_ranking_loss():
    """A pair in the wrong order has a positive below 0 or a negative above it."""
    rng = np.random.default_rng(0)
    logits = (2 * rng.normal(size=(200, 7))).astype(np.float32)
    labels = rng.random(logits.shape) < 0.3
    labels[:, 0], labels[:, 1] = True, False
    weights = weighting.sample_balanced_weights(labels)
    losses = mll.sigmoid_binary_cross_entropy(logits, labels, weights=weights, reduction="none")
    bound = np.asarray(losses).sum(1) / np.log(2)
    for x, y, most in zip(logits, labels, bound, strict=True):
        assert np.mean(x[y][:, None] <= x[~y][None, :]) <= most


@pytest.mark.parametrize(("a", "b"), [(0.55, 1.5), (0.5, 0.4), (0.6, 2.6)])
def test_inverse_propensity(a, b):
    reference = 1 + (np.log(1200) - 1) * (b + 1) ** a * (COUNTS + b) ** -a
    np.testing.assert_allclose(
        weighting.inverse_propensity(COUNTS, 1200, a=a, b=b), reference, rtol=1e-6
    )


def test_inverse_propensity_at_its_limits():
    counts = np.array([0, 1, 2])
    for total in (1, 2, jnp.array(0)):  # fewer than e samples
        few = jax.jit(weighting.inverse_propensity)(counts, jnp.asarray(total))
        np.testing.assert_array_equal(few, [1, 1, 1])  # an eager call refuses such counts
    absent = weighting.inverse_propensity(counts, 1000, b=0)
    assert np.all(np.isfinite(absent))
    assert absent[0] == absent[1]


@pytest.mark.parametrize("beta", [None, 0.9])
def test_propensity_weights(beta):
    counts = np.append(COUNTS, 0)
    inverse = 1 + (np.log(1200) - 1) * 2.5**0.55 * (counts + 1.5) ** -0.55
    reference = 2 * inverse - 1
    if beta is not None:
        reference[:-1] *= weight_of(COUNTS, beta)
        reference[-1] = 0
    weights = weighting.propensity_weights(counts, 1200, beta=beta)
    np.testing.assert_allclose(weights, reference / reference.mean(), rtol=1e-5)
    assert np.all(np.isfinite(weighting.propensity_weights(np.array([0, 0]), 10, beta=beta)))


def test_counts_and_priors():
    for dtype in (bool, np.int8, np.float32):
        y = LABELS.astype(dtype)
        counts = weighting.label_counts(y)
        assert counts.dtype == (jnp.float32 if dtype == np.float32 else jnp.int32)
        np.testing.assert_array_equal(counts, LABELS.sum(0))
        np.testing.assert_array_equal(
            weighting.label_counts(y, where=KNOWN), (LABELS * KNOWN).sum(0)
        )
        priors = weighting.label_priors(y, where=KNOWN)
        np.testing.assert_allclose(priors, (LABELS * KNOWN).sum(0) / KNOWN.sum(0), rtol=1e-6)
    np.testing.assert_array_equal(weighting.label_counts(LABELS.reshape(5, 1, 7)), LABELS.sum(0))
    soft = weighting.label_counts(
        np.array([[0.5, 0.25], [0.25, np.nan]], np.float32),
        where=np.array([[True, True], [True, False]]),
    )
    np.testing.assert_array_equal(soft, [0.75, 0.25])
    np.testing.assert_array_equal(weighting.label_priors(LABELS, where=np.zeros((1, 1), bool)), 0)
    counts = jax.jit(weighting.label_counts)(-LABELS)  # an eager call refuses negative labels
    assert counts.sum() == 0


def test_counts_of_indices():
    lists = [list(np.flatnonzero(row)) for row in LABELS]
    csr_indices = np.concatenate([np.asarray(row, np.int8) for row in lists])
    padded = np.full((5, 7), -1)
    for row, chosen in enumerate(lists):
        padded[row, : len(chosen)] = chosen
    for indices in (lists, csr_indices, padded, jnp.asarray(padded)):
        counts = weighting.label_counts_from_indices(indices, 7)
        assert counts.dtype == jnp.int32
        np.testing.assert_array_equal(counts, LABELS.sum(0))
    counted = jax.jit(lambda i: weighting.label_counts_from_indices(i, 300))
    np.testing.assert_array_equal(counted(csr_indices)[:7], LABELS.sum(0))
    np.testing.assert_array_equal(weighting.label_counts_from_indices(padded, 3), LABELS.sum(0)[:3])
    np.testing.assert_array_equal(weighting.label_counts_from_indices([[], []], 2), [0, 0])
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 2\), got 2"):
        weighting.label_counts_from_indices([[0], [2]], 2)
    with pytest.raises(TypeError, match="indices must be an array, or hold a list"):
        weighting.label_counts_from_indices([0, 1], 2)
    with pytest.raises(TypeError, match="integer array, got float32"):
        weighting.label_counts_from_indices(np.ones(3, np.float32), 2)


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
    with pytest.raises(
        ValueError, match=r"label_counts must have one entry per.*\(7,\), got \(2,\)"
    ):
        weighting.rebalanced_weights(LABELS, np.array([5, 5]))
    with pytest.raises(ValueError, match=r"mode must be one of 'by_class'.*got 'mean'"):
        weighting.class_balanced_weights(LABELS, COUNTS, mode="mean")
    with pytest.raises(TypeError, match=r"label_counts must be an array.* got a list"):
        weighting.effective_number_weights([1, 2])
