"""Linear heads over very many labels, whose logits never exist all at once.

- Sparse labels, which are ids of positives padded with -1: `positives_from_lists`,
  `positives_from_dense`, `positives_from_csr` and `positives_from_bcoo`, and back:
  `positives_to_lists`, `positives_to_dense`, `positives_to_csr`, `positives_to_bcoo`;
  `check_positives` says what is wrong.
- The loss of any separable loss of the catalogue: `linear_head_loss`, which equals
  `dense_head_loss`, and its gradients in the same call: `linear_head_value_and_grad`, as
  `HeadGradients`. Five losses of samples, such as softmax cross-entropy, take two passes.
  `memory_estimate` and `choose_chunk_size` say what it costs, as `MemoryEstimate`;
  `why_unsupported` says why a loss cannot be computed so.
- The same losses of logits that are there, without a label matrix: `sparse_label_loss`.
- A head that updates itself, in place: `init_linear_head`, `linear_head_sgd_step`, with
  `HeadState` and `HeadStep`; in 8 bits per weight: `Float8Kernel`.
- The highest logits, exactly: `linear_head_top_k`, as `TopK`, and those above thresholds:
  `linear_head_predictions`, as `Predictions`; what they are worth: `precision_at_k`,
  `recall_at_k`, `ndcg_at_k`, `psp_at_k`, `ece_at_k`.
- Fewer labels per sample: `candidate_head_loss` for sampled or shortlisted ones, and buckets of
  hashed labels: `label_buckets`, `bucket_positives`, `bucket_top_k`.
- Over a mesh of devices: `shard_linear_head`, `init_sharded_linear_head`, `pad_to_mesh`,
  `padded_rows`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.heads.candidates import candidate_head_loss
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.hashing import bucket_positives, bucket_top_k, label_buckets
from mllosses_jax.heads.loss import linear_head_loss
from mllosses_jax.heads.memory import MemoryEstimate, choose_chunk_size, memory_estimate
from mllosses_jax.heads.mesh import (
    init_sharded_linear_head,
    pad_to_mesh,
    padded_rows,
    shard_linear_head,
)
from mllosses_jax.heads.ranking import (
    ece_at_k,
    ndcg_at_k,
    precision_at_k,
    psp_at_k,
    recall_at_k,
)
from mllosses_jax.heads.reference import dense_head_loss
from mllosses_jax.heads.sparse_labels import (
    check_positives,
    positives_from_bcoo,
    positives_from_csr,
    positives_from_dense,
    positives_from_lists,
    positives_to_bcoo,
    positives_to_csr,
    positives_to_dense,
    positives_to_lists,
)
from mllosses_jax.heads.sparse_loss import sparse_label_loss
from mllosses_jax.heads.state import HeadState, init_linear_head
from mllosses_jax.heads.supported import why_unsupported
from mllosses_jax.heads.top_k import (
    Predictions,
    TopK,
    linear_head_predictions,
    linear_head_top_k,
)
from mllosses_jax.heads.update import HeadStep, linear_head_sgd_step
from mllosses_jax.heads.value_and_grad import HeadGradients, linear_head_value_and_grad

__all__ = [
    "Float8Kernel",
    "HeadGradients",
    "HeadState",
    "HeadStep",
    "MemoryEstimate",
    "Predictions",
    "TopK",
    "bucket_positives",
    "bucket_top_k",
    "candidate_head_loss",
    "check_positives",
    "choose_chunk_size",
    "dense_head_loss",
    "ece_at_k",
    "init_linear_head",
    "init_sharded_linear_head",
    "label_buckets",
    "linear_head_loss",
    "linear_head_predictions",
    "linear_head_sgd_step",
    "linear_head_top_k",
    "linear_head_value_and_grad",
    "memory_estimate",
    "ndcg_at_k",
    "pad_to_mesh",
    "padded_rows",
    "positives_from_bcoo",
    "positives_from_csr",
    "positives_from_dense",
    "positives_from_lists",
    "positives_to_bcoo",
    "positives_to_csr",
    "positives_to_dense",
    "positives_to_lists",
    "precision_at_k",
    "psp_at_k",
    "recall_at_k",
    "shard_linear_head",
    "sparse_label_loss",
    "why_unsupported",
]

show_public_names(__name__)
