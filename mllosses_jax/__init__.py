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
    assume_negative_loss,
    asymmetric_loss,
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    class_aware_selective_loss,
    distribution_balanced_loss,
    entropy_maximization_loss,
    equalization_loss,
    expected_positive_regularized_loss,
    large_loss_correction,
    large_loss_rejection,
    ldam_loss,
    logit_adjusted_binary_cross_entropy,
    lsep_loss,
    multilabel_distillation_loss,
    multilabel_soft_margin_loss,
    partial_binary_cross_entropy,
    positive_unlabeled_loss,
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
    weak_assume_negative_loss,
    zlpr_loss,
)

__all__ = [
    "assume_negative_loss",
    "asymmetric_loss",
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "catalogue",
    "class_aware_selective_loss",
    "data",
    "decisions",
    "distribution_balanced_loss",
    "entropy_maximization_loss",
    "equalization_loss",
    "expected_positive_regularized_loss",
    "labels",
    "large_loss_correction",
    "large_loss_rejection",
    "ldam_loss",
    "logit_adjusted_binary_cross_entropy",
    "losses",
    "lsep_loss",
    "metrics",
    "multilabel_distillation_loss",
    "multilabel_soft_margin_loss",
    "partial_binary_cross_entropy",
    "positive_unlabeled_loss",
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
    "weak_assume_negative_loss",
    "weighting",
    "zlpr_loss",
]
__version__ = "0.1.0"
