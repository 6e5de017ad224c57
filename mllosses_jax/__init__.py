"""Multi-label learning in JAX: one sample carries several labels at once.

The losses are functions of this package, pure and compiled when called:

    loss(logits, labels, *, <own parameters>, weights=None, where=None,
         reduction="mean", axis_name=None)

`logits` and `labels` have one shape (..., L), the label axis last, and nothing is broadcast.
`where` says which entries count: what it masks is exactly zero in value and gradient. Every loss is
right at any finite logit, as are its first two derivatives. `mllosses_jax.losses` states all
conventions, `mllosses_jax.catalogue` lists the losses.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> import mllosses_jax as mll
    >>> logits = jnp.array([[2.0, -1.0, 0.5], [-3.0, 0.1, 1.0]])
    >>> labels = jnp.array([[1, 0, 1], [0, 0, 1]])
    >>> known = jnp.array([[True, True, True], [True, False, True]])
    >>> loss, gradient = jax.value_and_grad(mll.sigmoid_binary_cross_entropy)(
    ...     logits, labels, where=known)
    >>> print(f"{loss:.4f}, at the unknown label {gradient[1, 1]}")
    0.2552, at the unknown label 0.0

What turns scores into decisions, and tells how good they are, takes its arrays in the same order,
what the model says first, and the same `where`:

    >>> thresholds = mll.decisions.tune_thresholds(logits, labels, scope="global", where=known)
    >>> predictions = mll.decisions.apply_thresholds(logits, thresholds)
    >>> print(mll.metrics.f1(predictions, labels, average="micro", where=known))
    1.0

Where things are:

- `losses`: the losses by family; `labels` converts encodings of labels to `labels` and `where`;
  `weighting` makes weights and priors from label counts; `pseudo_labels` keeps estimated labels.
- `metrics`: exact metrics; `metrics.streaming`: accumulators over batches and devices.
- `decisions`: thresholds, set sizes, sets of highest expected F.
- `calibration`: from logits to probabilities, per label.
- `training`: steps for any optax optimiser and any model; many seeds in one program.
- `data`: readers, an embedded data set, splits.
- `compare`: the experiment that compares losses; `cli`: the command `mllosses`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mllosses_jax import losses
from mllosses_jax.losses import (
    abs_kl_divergence,
    assume_negative_loss,
    asymmetric_loss,
    asymmetric_polynomial_loss,
    auc_margin_loss,
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    bp_mll_loss,
    class_aware_selective_loss,
    dice_loss,
    distribution_balanced_loss,
    double_soft_f1_loss,
    entmax15_loss,
    entropy_maximization_loss,
    equalization_loss,
    expected_positive_regularized_loss,
    factorized_count_loss,
    focal_tversky_loss,
    generalized_binary_cross_entropy,
    hierarchical_coherence_loss,
    hierarchy_penalty,
    hill_loss,
    hinge_loss,
    jaccard_loss,
    label_graph_penalty,
    large_loss_correction,
    large_loss_rejection,
    ldam_loss,
    logit_adjusted_binary_cross_entropy,
    lovasz_hinge_loss,
    lsep_loss,
    multilabel_distillation_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    ova_n_loss,
    pairwise_auc_loss,
    pairwise_hinge_loss,
    pairwise_logistic_loss,
    partial_binary_cross_entropy,
    poly1_binary_cross_entropy,
    poly1_focal_loss,
    positive_unlabeled_loss,
    quality_focal_loss,
    robust_asymmetric_loss,
    role_loss,
    sigmoid_binary_cross_entropy,
    sigmoid_f1_loss,
    sigmoid_focal_loss,
    single_label_asymmetric_loss,
    smooth_ap_loss,
    smoothed_softmax_cross_entropy,
    soft_f1_loss,
    soft_fbeta_loss,
    softmax_cross_entropy,
    softmax_focal_loss,
    sparsemax_loss,
    splc_loss,
    squared_hinge_loss,
    tversky_loss,
    two_way_label_loss,
    two_way_loss,
    two_way_sample_loss,
    unbiased_binary_cross_entropy,
    warp_loss,
    weak_assume_negative_loss,
    zlpr_loss,
)

if TYPE_CHECKING:
    from mllosses_jax import (
        calibration,
        catalogue,
        data,
        decisions,
        labels,
        metrics,
        pseudo_labels,
        training,
        weighting,
    )

__all__ = [
    "abs_kl_divergence",
    "assume_negative_loss",
    "asymmetric_loss",
    "asymmetric_polynomial_loss",
    "auc_margin_loss",
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "bp_mll_loss",
    "calibration",
    "catalogue",
    "class_aware_selective_loss",
    "data",
    "decisions",
    "dice_loss",
    "distribution_balanced_loss",
    "double_soft_f1_loss",
    "entmax15_loss",
    "entropy_maximization_loss",
    "equalization_loss",
    "expected_positive_regularized_loss",
    "factorized_count_loss",
    "focal_tversky_loss",
    "generalized_binary_cross_entropy",
    "hierarchical_coherence_loss",
    "hierarchy_penalty",
    "hill_loss",
    "hinge_loss",
    "jaccard_loss",
    "label_graph_penalty",
    "labels",
    "large_loss_correction",
    "large_loss_rejection",
    "ldam_loss",
    "logit_adjusted_binary_cross_entropy",
    "losses",
    "lovasz_hinge_loss",
    "lsep_loss",
    "metrics",
    "multilabel_distillation_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "ova_n_loss",
    "pairwise_auc_loss",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "partial_binary_cross_entropy",
    "poly1_binary_cross_entropy",
    "poly1_focal_loss",
    "positive_unlabeled_loss",
    "pseudo_labels",
    "quality_focal_loss",
    "robust_asymmetric_loss",
    "role_loss",
    "sigmoid_binary_cross_entropy",
    "sigmoid_f1_loss",
    "sigmoid_focal_loss",
    "single_label_asymmetric_loss",
    "smooth_ap_loss",
    "smoothed_softmax_cross_entropy",
    "soft_f1_loss",
    "soft_fbeta_loss",
    "softmax_cross_entropy",
    "softmax_focal_loss",
    "sparsemax_loss",
    "splc_loss",
    "squared_hinge_loss",
    "training",
    "tversky_loss",
    "two_way_label_loss",
    "two_way_loss",
    "two_way_sample_loss",
    "unbiased_binary_cross_entropy",
    "warp_loss",
    "weak_assume_negative_loss",
    "weighting",
    "zlpr_loss",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports a submodule when it is first used: all of them would double the import time."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
