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
    asymmetric_loss,
    auc_margin_loss,
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    bp_mll_loss,
    lsep_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    pairwise_auc_loss,
    pairwise_hinge_loss,
    pairwise_logistic_loss,
    sigmoid_binary_cross_entropy,
    sigmoid_focal_loss,
    smooth_ap_loss,
    smoothed_softmax_cross_entropy,
    soft_f1_loss,
    soft_fbeta_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
    two_way_label_loss,
    two_way_loss,
    two_way_sample_loss,
    warp_loss,
    zlpr_loss,
)

__all__ = [
    "asymmetric_loss",
    "auc_margin_loss",
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "bp_mll_loss",
    "catalogue",
    "data",
    "decisions",
    "labels",
    "losses",
    "lsep_loss",
    "metrics",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_auc_loss",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "sigmoid_binary_cross_entropy",
    "sigmoid_focal_loss",
    "smooth_ap_loss",
    "smoothed_softmax_cross_entropy",
    "soft_f1_loss",
    "soft_fbeta_loss",
    "softmax_cross_entropy",
    "softmax_focal_loss",
    "training",
    "two_way_label_loss",
    "two_way_loss",
    "two_way_sample_loss",
    "warp_loss",
    "weighting",
    "zlpr_loss",
]
__version__ = "0.1.0"
