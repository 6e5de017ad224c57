"""Losses for multi-label learning, one module per family.

All have one signature::

    loss(logits, labels, *, <own parameters>, weights=None, where=None,
         reduction="mean", axis_name=None)

- `logits` is a float array (..., L), the label axis last; `labels` has the same shape, and is
  bool, integer (0 and 1) or float (soft labels in [0, 1]). Nothing is broadcast. An eager call
  raises ValueError where a label that counts is none of these, such as -1 or NaN for unknown.
  Under a transformation, where there are no values to look at, integers are positive where above 0.
- `where` says which entries count: bool, of the rank of the logits, each axis equal or 1. Masked
  entries contribute nothing to value and gradient, even if they hold NaN. Unknown labels are
  expressed this way and no other, but in the losses that are made for them, of single-positive
  and partial labels, which take 0 for unknown, some with `annotated` to say which zeros are
  known; `mllosses_jax.labels` converts every encoding in use.
- `weights` scale terms and change no denominator but that of "weighted_mean".
- `reduction` is "none"; "sum"; "mean", over the unreduced entries that count, 0 if none does;
  "batchmean", the sum over the number of samples with an entry that counts; "weighted_mean",
  the sum over the sum of the weights that count; or "sum_and_count", the pair from which means
  over micro-batches and devices are built.
- `axis_name` names mesh axes of a `shard_map` (with `check_vma=True`): sums and counts, and the
  statistics of losses that see the whole batch, then run over all devices.
- Integral numbers among the parameters are constants of the compiled program; other floats and
  arrays are traced: changing them does not recompile, and they can be differentiated.
- Computation is in the wider of float32 and the dtype of the logits, which is the dtype of the
  loss; gradients have the dtype of the logits. The mean over a large float16 batch makes
  gradients too small for float16 in any framework: scale the loss, or use bfloat16.

CPUs flush subnormal numbers to 0, in XLA's programs: a probability, logit or sum whose float32 is
subnormal, below 1.2e-38, counts as 0, so that −log p of such a p is not 87.5 but what 0 gives.

What one unreduced entry is depends on the loss: an entry (..., L), a sample (...), a label (L,)
or the whole batch (); its docstring says so. `mllosses_jax.catalogue` lists them by family.
"""

from __future__ import annotations

from mllosses_jax.losses.asymmetric import (
    asymmetric_loss,
)
from mllosses_jax.losses.asymmetric_polynomial import (
    asymmetric_polynomial_loss,
    robust_asymmetric_loss,
)
from mllosses_jax.losses.binary import (
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    multilabel_soft_margin_loss,
    ova_n_loss,
    sigmoid_binary_cross_entropy,
)
from mllosses_jax.losses.count import (
    abs_kl_divergence,
    factorized_count_loss,
)
from mllosses_jax.losses.curves import (
    auc_margin_loss,
    pairwise_auc_loss,
    smooth_ap_loss,
)
from mllosses_jax.losses.distillation import (
    multilabel_distillation_loss,
)
from mllosses_jax.losses.distribution_balanced import (
    distribution_balanced_loss,
)
from mllosses_jax.losses.focal import (
    quality_focal_loss,
    sigmoid_focal_loss,
)
from mllosses_jax.losses.hierarchy import (
    hierarchical_coherence_loss,
    hierarchy_penalty,
    label_graph_penalty,
)
from mllosses_jax.losses.large_loss import (
    large_loss_correction,
    large_loss_rejection,
)
from mllosses_jax.losses.longtail import (
    equalization_loss,
    ldam_loss,
    logit_adjusted_binary_cross_entropy,
    unbiased_binary_cross_entropy,
)
from mllosses_jax.losses.lovasz import (
    lovasz_hinge_loss,
)
from mllosses_jax.losses.margin import (
    hinge_loss,
    squared_hinge_loss,
)
from mllosses_jax.losses.overlap import (
    double_soft_f1_loss,
    sigmoid_f1_loss,
    soft_f1_loss,
    soft_fbeta_loss,
)
from mllosses_jax.losses.pairwise import (
    bp_mll_loss,
    multilabel_margin_loss,
    pairwise_hinge_loss,
    pairwise_logistic_loss,
    warp_loss,
)
from mllosses_jax.losses.partial import (
    assume_negative_loss,
    partial_binary_cross_entropy,
    positive_unlabeled_loss,
    weak_assume_negative_loss,
)
from mllosses_jax.losses.polynomial import (
    poly1_binary_cross_entropy,
    poly1_focal_loss,
)
from mllosses_jax.losses.ranking import (
    lsep_loss,
    two_way_label_loss,
    two_way_loss,
    two_way_sample_loss,
    zlpr_loss,
)
from mllosses_jax.losses.region import (
    dice_loss,
    focal_tversky_loss,
    jaccard_loss,
    tversky_loss,
)
from mllosses_jax.losses.robust import (
    generalized_binary_cross_entropy,
    hill_loss,
    splc_loss,
)
from mllosses_jax.losses.selective import (
    class_aware_selective_loss,
)
from mllosses_jax.losses.single_positive import (
    entropy_maximization_loss,
    expected_positive_regularized_loss,
    role_loss,
)
from mllosses_jax.losses.softmax import (
    single_label_asymmetric_loss,
    smoothed_softmax_cross_entropy,
    softmax_cross_entropy,
    softmax_focal_loss,
)
from mllosses_jax.losses.sparse import (
    entmax15_loss,
    sparsemax_loss,
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
    "class_aware_selective_loss",
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
    "large_loss_correction",
    "large_loss_rejection",
    "ldam_loss",
    "logit_adjusted_binary_cross_entropy",
    "lovasz_hinge_loss",
    "lsep_loss",
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
    "tversky_loss",
    "two_way_label_loss",
    "two_way_loss",
    "two_way_sample_loss",
    "unbiased_binary_cross_entropy",
    "warp_loss",
    "weak_assume_negative_loss",
    "zlpr_loss",
]
