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

from typing import TYPE_CHECKING

from mllosses_jax._core.public import show_public_names
from mllosses_jax.losses.asymmetric import *
from mllosses_jax.losses.asymmetric_polynomial import *
from mllosses_jax.losses.binary import *
from mllosses_jax.losses.count import *
from mllosses_jax.losses.curves import *
from mllosses_jax.losses.dice import *
from mllosses_jax.losses.distillation import *
from mllosses_jax.losses.distribution_balanced import *
from mllosses_jax.losses.focal import *
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

if not TYPE_CHECKING:  # checkers follow the imports, each of which brings what its family exports
    __all__ = [
        name
        for name, value in globals().items()
        if getattr(value, "__module__", "").startswith(f"{__name__}.")
    ]
    show_public_names(__name__)
