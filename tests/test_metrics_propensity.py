"""Propensity-scored metrics, against the definition of the Extreme Classification Repository."""

import jax.numpy as jnp
import numpy as np
import pytest

from mllosses_jax import metrics, weighting


def xclib_propensity_scored(scores, truth, inverse, k, *, discounted):
    """Returns the repository's value, a ratio of means over rows, and the mean of ratios."""

    def gains_of(order):
        flags = np.take_along_axis(truth * inverse[None, :], order[:, :k], axis=1)
        per_rank = 1 / np.log2(np.arange(k) + 2) if discounted else np.ones(k) / k
        gains = flags @ per_rank
        if discounted:
            sizes = np.clip(truth.sum(1), 1, k)
            gains /= np.cumsum(per_rank)[sizes - 1]
        return gains

    reached = gains_of(np.argsort(-scores, axis=1))
    possible = gains_of(np.argsort(-(truth * inverse[None, :]), axis=1))
    filled = possible > 0
    return reached.mean() / possible.mean(), np.mean(reached[filled] / possible[filled])


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("name", ["psp_at_k", "psndcg_at_k"])
def test_propensities(name, k):
    rng = np.random.default_rng(4)
    prevalence = 0.5 / np.arange(1, 31)
    truth = rng.random((200, 30)) < prevalence[None, :]
    scores = truth + 3 * prevalence[None, :] + 0.5 * rng.standard_normal(truth.shape)
    scores = scores.astype(np.float32)  # a model that prefers frequent labels
    counts, size = np.round(1e4 * prevalence), 10_000
    c = (np.log(size) - 1) * 2.5**0.55
    inverse = 1 + c * (counts + 1.5) ** -0.55
    ours = weighting.inverse_propensity(jnp.asarray(counts), size)
    got = getattr(metrics, name)(scores, truth, k, inverse_propensity=ours)
    value, of_ratios = xclib_propensity_scored(
        scores.astype(np.float64), truth, inverse, k, discounted=name == "psndcg_at_k"
    )
    np.testing.assert_allclose(got, value, rtol=2e-6)
    assert abs(got - of_ratios) > 1e-3
    scaled = getattr(metrics, name)(scores, truth, k, inverse_propensity=7 * ours)
    np.testing.assert_allclose(scaled, value, rtol=2e-6)
