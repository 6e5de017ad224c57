"""Weights, propensities and biases from label counts, for imbalanced and long-tailed labels.

Most functions take `label_counts` (L,), the number of positives of each label in the training data,
and return arrays for `pos_weight`, `weights`, `prior`, `propensity` or a bias initialiser. A label
without positives never gives inf or NaN; each function documents what it gives instead.

- Counts: `label_counts`, `label_counts_from_indices`, `label_priors`.
- Balance: `negative_positive_ratio`, `effective_number_weights`, `class_balanced_weights`,
  `rebalanced_weights`, `sample_balanced_weights`, `prior_bias`.
- Missing positives: `inverse_propensity`, `propensity_weights`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.weighting.balancing import (
    class_balanced_weights,
    effective_number_weights,
    negative_positive_ratio,
    prior_bias,
    rebalanced_weights,
    sample_balanced_weights,
)
from mllosses_jax.weighting.counts import (
    label_counts,
    label_counts_from_indices,
    label_priors,
)
from mllosses_jax.weighting.propensity import (
    inverse_propensity,
    propensity_weights,
)

__all__ = [
    "class_balanced_weights",
    "effective_number_weights",
    "inverse_propensity",
    "label_counts",
    "label_counts_from_indices",
    "label_priors",
    "negative_positive_ratio",
    "prior_bias",
    "propensity_weights",
    "rebalanced_weights",
    "sample_balanced_weights",
]

show_public_names(__name__)
