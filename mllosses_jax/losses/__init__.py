"""Losses for multi-label learning, one module per family.

All losses share one signature (losses of the whole batch lack `weights` and `reduction`)::

    loss(logits, labels, *, <own parameters>, weights=None, where=None,
         reduction="mean", axis_name=None)

- `logits` is a float array (..., L) with the label axis last. `labels` has the same shape and is
  bool, integer (0 and 1) or float (soft labels in [0, 1]). Nothing is broadcast. Under a
  transformation, where values cannot be inspected, integer labels above 0 are positive.
- `where` says which entries count: it is bool and has the rank of the logits, each axis equal or
  1. Masked entries contribute nothing to the value and the gradient, even if they hold NaN. This
  is the only way to express unknown labels, except in losses whose docstring says that 0 may mean
  unknown; some of these have `annotated` to say which zeros are known.
  `mllosses_jax.labels`
  converts the common encodings.
- `weights` scale the terms; the only denominator that they change is that of "weighted_mean".
- `reduction` is "none"; "sum"; "mean", over the unreduced entries that count, 0 if none does;
  "batchmean", the sum over the number of samples with an entry that counts; "weighted_mean",
  the sum over the sum of the weights that count; or "sum_and_count", the pair from which means
  over micro-batches and devices are built.
- `axis_name` names mesh axes of a `shard_map` (with `check_vma=True`): sums and counts, and the
  statistics of losses that see the whole batch, then run over all devices.
- Parameters with an integral value are constants of the compiled program; other floats and arrays
  are traced: changing them does not recompile, and they can be differentiated.
- Losses are computed, and returned, in the wider of float32 and the dtype of the logits; gradients
  have the dtype of the logits. The mean over a large float16 batch makes gradients too small for
  float16 in any framework: scale the loss, or use bfloat16.

All losses raise the same errors; a docstring lists only those that are its own.

- TypeError: the logits are not floating point, or `where` or another mask is not bool.
- ValueError: shapes differ, a parameter is out of its range, an option is unknown, or
  reduction="batchmean" is asked of a loss per label, which has no samples to average over.
- ValueError in an eager call: a label that counts lies outside [0, 1], such as -1 or NaN for
  unknown, or a weight is negative.

In XLA's CPU programs subnormal numbers are flushed to 0: a probability, logit or sum below 1.2e-38
in float32 counts as 0, so −log p is computed as if p were 0.

An unreduced entry is an element (..., L), a sample (...), a label (L,) or the whole batch (),
depending on the loss; its docstring says which. `mllosses_jax.catalogue` lists the losses by
family. `weighted_sum` makes one loss of several. `multilabel_contrastive_loss`, which is not in the
catalogue, takes embeddings (..., D) in place of logits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mllosses_jax._core.public import show_public_names
from mllosses_jax.losses.adaptive_threshold import *
from mllosses_jax.losses.asymmetric import *
from mllosses_jax.losses.asymmetric_polynomial import *
from mllosses_jax.losses.binary import *
from mllosses_jax.losses.calibration import *
from mllosses_jax.losses.confusion import *
from mllosses_jax.losses.contrastive import *
from mllosses_jax.losses.count import *
from mllosses_jax.losses.curves import *
from mllosses_jax.losses.dice import *
from mllosses_jax.losses.distillation import *
from mllosses_jax.losses.distribution_balanced import *
from mllosses_jax.losses.focal import *
from mllosses_jax.losses.generalized_robust import *
from mllosses_jax.losses.hierarchy import *
from mllosses_jax.losses.large_loss import *
from mllosses_jax.losses.longtail import *
from mllosses_jax.losses.lovasz import *
from mllosses_jax.losses.margin import *
from mllosses_jax.losses.pairwise import *
from mllosses_jax.losses.partial import *
from mllosses_jax.losses.polynomial import *
from mllosses_jax.losses.ranking import *
from mllosses_jax.losses.robust import *
from mllosses_jax.losses.selective import *
from mllosses_jax.losses.single_positive import *
from mllosses_jax.losses.soft_f1 import *
from mllosses_jax.losses.softmax import *
from mllosses_jax.losses.sparse import *
from mllosses_jax.losses.sums import *
from mllosses_jax.losses.top_k import *

if not TYPE_CHECKING:  # type checkers follow the imports above, which bring each family's names
    __all__ = [
        name
        for name, value in globals().items()
        # `__module__` is None for the hook `__dir__`, which is there when the package is reloaded.
        if (getattr(value, "__module__", None) or "").startswith(f"{__name__}.")
    ]
    show_public_names(__name__)
