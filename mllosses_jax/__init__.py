"""Multi-label learning in JAX: losses, metrics, decisions, training and data.

    >>> import jax.numpy as jnp
    >>> import mllosses_jax as mll
    >>> logits = jnp.array([[2.0, -1.0, 0.5]])
    >>> labels = jnp.array([[1, 0, 1]])
    >>> print(f"{mll.sigmoid_binary_cross_entropy(logits, labels):.4f}")
    0.3048

`mllosses_jax.losses` states the conventions that every loss keeps; `mllosses_jax.catalogue`
lists them all.
"""

from mllosses_jax import (
    catalogue,
    data,
    decisions,
    labels,
    losses,
    metrics,
    pseudo_labels,
    training,
    weighting,
)
from mllosses_jax.losses import (
    asymmetric_loss,
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    distribution_balanced_loss,
    entropy_maximization_loss,
    equalization_loss,
    expected_positive_regularized_loss,
    ldam_loss,
    logit_adjusted_binary_cross_entropy,
    lsep_loss,
    multilabel_distillation_loss,
    multilabel_soft_margin_loss,
    role_loss,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    smoothed_softmax_cross_entropy,
    soft_f1_loss,
    soft_fbeta_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
    two_way_label_loss,
    two_way_loss,
    two_way_sample_loss,
    unbiased_binary_cross_entropy,
    zlpr_loss,
)

__all__ = [
    "asymmetric_loss",
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "catalogue",
    "data",
    "decisions",
    "distribution_balanced_loss",
    "entropy_maximization_loss",
    "equalization_loss",
    "expected_positive_regularized_loss",
    "labels",
    "ldam_loss",
    "logit_adjusted_binary_cross_entropy",
    "losses",
    "lsep_loss",
    "metrics",
    "multilabel_distillation_loss",
    "multilabel_soft_margin_loss",
    "pseudo_labels",
    "role_loss",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smoothed_softmax_cross_entropy",
    "soft_f1_loss",
    "soft_fbeta_loss",
    "softmax_cross_entropy",
    "softmax_focal_loss",
    "training",
    "two_way_label_loss",
    "two_way_loss",
    "two_way_sample_loss",
    "unbiased_binary_cross_entropy",
    "weighting",
    "zlpr_loss",
]
__version__ = "0.1.0"
