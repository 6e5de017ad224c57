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
    training,
    weighting,
)
from mllosses_jax.losses import (
    abs_kl_divergence,
    asymmetric_loss,
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    entmax15_loss,
    factorized_count_loss,
    lsep_loss,
    multilabel_soft_margin_loss,
    ova_n_loss,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    single_label_asymmetric_loss,
    smoothed_softmax_cross_entropy,
    soft_f1_loss,
    soft_fbeta_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
    sparsemax_loss,
    two_way_label_loss,
    two_way_loss,
    two_way_sample_loss,
    zlpr_loss,
)

__all__ = [
    "abs_kl_divergence",
    "asymmetric_loss",
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "catalogue",
    "data",
    "decisions",
    "entmax15_loss",
    "factorized_count_loss",
    "labels",
    "losses",
    "lsep_loss",
    "metrics",
    "multilabel_soft_margin_loss",
    "ova_n_loss",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "single_label_asymmetric_loss",
    "smoothed_softmax_cross_entropy",
    "soft_f1_loss",
    "soft_fbeta_loss",
    "softmax_cross_entropy",
    "softmax_focal_loss",
    "sparsemax_loss",
    "training",
    "two_way_label_loss",
    "two_way_loss",
    "two_way_sample_loss",
    "weighting",
    "zlpr_loss",
]
__version__ = "0.1.0"
