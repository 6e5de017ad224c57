"""Propensities: the probability that a relevant label was annotated, and weights from it."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.reduction import safe_divide
from mllosses_jax.weighting._label_counts import checked_counts, per_effective_number

_INF = float("inf")


@compiled(num_samples=(1, _INF), a=(0, _INF), b=(0, _INF))
def inverse_propensity(
    label_counts: ArrayLike, num_samples: ArrayLike, *, a: ArrayLike = 0.55, b: ArrayLike = 1.5
) -> Array:
    """Inverse propensities: one over the probability that a relevant label was annotated.

    Formula:
        1/ρ_c = 1 + C·(n_c + B)^−A,  C = (log N − 1)·(B + 1)^A

    Args:
        label_counts: n, array (L,): positives of each label in the training data.
        num_samples: N ≥ 1, a scalar or (L,): number of samples in the training data.
        a: A ≥ 0: 0.5 for Wikipedia, 0.6 for Amazon, 0.55 elsewhere.
        b: B ≥ 0: 0.4 for Wikipedia, 2.6 for Amazon, 1.5 elsewhere.

    Returns:
        Inverse propensities (L,), at least 1: for fewer than e samples C is negative and taken to
        be 0 instead. With B = 0, a label without positives counts as if it had one.

    Raises:
        ValueError: if label_counts is not (L,), or a parameter is out of its range.

    Reference:
        H. Jain, Y. Prabhu and M. Varma, "Extreme Multi-label Loss Functions for Recommendation,
        Tagging, Ranking & Other Missing Label Applications", 2016.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> inverse = weighting.inverse_propensity(jnp.array([1000, 2]), 1200)
        >>> print([f"{value:.3f}" for value in inverse])
        ['1.225', '6.061']
    """
    counts = checked_counts(label_counts)
    total = checks.per_label("num_samples", num_samples, counts.shape[0], counts.dtype)
    a, b = (checks.scalar(name, value, counts.dtype) for name, value in (("a", a), ("b", b)))
    excess = jnp.maximum(jnp.log(jnp.maximum(total, 1)) - 1, 0)
    rarity = (b + 1) / jnp.where(counts + b > 0, counts + b, 1)
    return 1 + excess * rarity**a


@compiled(num_samples=(1, _INF), a=(0, _INF), b=(0, _INF), beta=(0, 1))
def propensity_weights(
    label_counts: ArrayLike,
    num_samples: ArrayLike,
    *,
    a: ArrayLike = 0.55,
    b: ArrayLike = 1.5,
    beta: ArrayLike | None = None,
) -> Array:
    """Weights of the positives for missing labels: PW or, with `beta`, PW-cb.

    Formula:
        w_c ∝ 2/ρ_c − 1, or w_c ∝ (2/ρ_c − 1)·(1 − β) / (1 − β^{n_c});  Σ_c w_c = L

    Args:
        label_counts: n, array (L,): positives of each label in the training data.
        num_samples: N ≥ 1, a scalar or (L,): number of samples in the training data.
        a: A of `inverse_propensity`, which gives 1/ρ.
        b: B of `inverse_propensity`.
        beta: β in [0, 1] of the effective number of samples, 0.9 in the paper; None leaves it out.

    Returns:
        Weights (L,) with mean 1, for `pos_weight`. With `beta`, a label without positives gets 0.

    Raises:
        ValueError: if label_counts is not (L,), or a parameter is out of its range.

    Reference:
        M. Qaraei, E. Schultheis, P. Gupta and R. Babbar, "Convex Surrogates for Unbiased Loss
        Functions in Extreme Classification With Missing Labels", 2021.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> weights = weighting.propensity_weights(jnp.array([1000, 2]), 1200)
        >>> print([f"{weight:.3f}" for weight in weights])
        ['0.231', '1.769']
    """
    counts = checked_counts(label_counts)
    weights = 2 * inverse_propensity(counts, num_samples, a=a, b=b) - 1
    if beta is not None:
        balance = per_effective_number(
            jnp.maximum(counts, 1), checks.scalar("beta", beta, counts.dtype)
        )
        weights = jnp.where(counts > 0, weights * balance, 0)
    return safe_divide(weights * counts.shape[0], jnp.sum(weights))
