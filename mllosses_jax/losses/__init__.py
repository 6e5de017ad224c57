"""Losses for multi-label learning, one module per family.

All have one signature::

    loss(logits, labels, *, <own parameters>, weights=None, where=None,
         reduction="mean", axis_name=None)

- `logits` is a float array (..., L), the label axis last; `labels` has the same shape, and is
  bool, integer (positive where above 0) or float (soft labels in [0, 1]). Nothing is broadcast.
- `where` says which entries count: bool, of the rank of the logits, each axis equal or 1. Masked
  entries contribute nothing to value and gradient, even if they hold NaN. Unknown labels are
  expressed this way and no other; `mllosses_jax.labels` converts every encoding in use.
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

What one unreduced entry is depends on the loss: an entry (..., L), a sample (...), a label (L,)
or the whole batch (); its docstring says so.
"""

from mllosses_jax.losses.asymmetric import asymmetric_loss
from mllosses_jax.losses.binary import (
    balanced_binary_cross_entropy,
    binary_cross_entropy,
    multilabel_soft_margin_loss,
    sigmoid_binary_cross_entropy,
)
from mllosses_jax.losses.curves import (
    auc_margin_loss,
    pairwise_auc_loss,
    smooth_ap_loss,
)
from mllosses_jax.losses.focal import sigmoid_focal_loss
from mllosses_jax.losses.overlap import (
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
from mllosses_jax.losses.ranking import (
    lsep_loss,
    two_way_label_loss,
    two_way_loss,
    two_way_sample_loss,
    zlpr_loss,
)
from mllosses_jax.losses.softmax import (
    smoothed_softmax_cross_entropy,
    softmax_cross_entropy,
    softmax_focal_loss,
)

__all__ = [
    "asymmetric_loss",
    "auc_margin_loss",
    "balanced_binary_cross_entropy",
    "binary_cross_entropy",
    "bp_mll_loss",
    "lsep_loss",
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
    "two_way_label_loss",
    "two_way_loss",
    "two_way_sample_loss",
    "warp_loss",
    "zlpr_loss",
]
