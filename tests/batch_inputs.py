"""Parameters that come with the batch of a contract case, computed from its labels and `where`.

They are therefore cut, split, sharded and masked with the batch. If `where` is None, all entries
count.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def _counts_positives(labels: jax.Array, where: jax.Array | None) -> tuple[Any, jax.Array]:
    """Returns a valid mask and the number of known positives of each sample (..., 1).

    Inputs computed from these and from the labels are cut, split and masked with the batch. The
    numbers used in them are exact in every dtype.
    """
    labels = jnp.asarray(labels).astype(jnp.float32)
    fits = where is not None and np.ndim(where) == labels.ndim
    fits = fits and all(n in (1, m) for n, m in zip(where.shape, labels.shape, strict=True))
    mask = jnp.asarray(where).astype(bool) if fits else jnp.ones_like(labels, dtype=bool)
    positives = jnp.where(mask, labels > 0, False)
    return mask, jnp.sum(positives, axis=-1, keepdims=True).astype(jnp.float32)


def _second_logits(labels: jax.Array, where: jax.Array | None) -> jax.Array:
    """Returns the logits of another model, with NaN where masked."""
    mask, count = _counts_positives(labels, where)
    positive = jnp.asarray(labels).astype(jnp.float32) > 0
    return jnp.where(mask, jnp.where(positive, 1.25, -0.5) + count / 4, jnp.nan)


def pseudo_labels(labels: jax.Array, where: jax.Array | None) -> dict[str, jax.Array]:
    """Returns pseudo-labels for samples with an even number of positives, NaN elsewhere."""
    mask, count = _counts_positives(labels, where)
    chosen = jnp.broadcast_to(count % 2 == 0, jnp.shape(labels))
    pseudo = jnp.where(chosen & mask, 0.125 + count / 16, jnp.nan)
    return {"pseudo_labels": pseudo, "pseudo_where": chosen}


def _divisors(labels, where=None):
    """Returns a hierarchy of any number of labels: 0 is the root, and divisors are ancestors.

    The suite deletes all labels except 0, 2 and 4, which leaves the hierarchy of three labels.
    """
    del where
    numbers = np.arange(labels.shape[-1])
    above = numbers % np.maximum(numbers, 1)[:, None] == 0
    above[1:, :1] = False
    return {"ancestors": above}


def _edges(labels, where=None):
    above = _divisors(labels, where)["ancestors"] & ~np.eye(labels.shape[-1], dtype=bool)
    return {"edges": np.argwhere(above).astype(np.int32)}


def _affinity(labels, where=None):
    above = _divisors(labels, where)["ancestors"]
    return {"affinity": (0.25 + above).astype(np.float32)}


def _count_logits(labels: jax.Array, where: jax.Array | None) -> dict[str, jax.Array]:
    """Returns counts that differ from the true ones, NaN for samples without a known label."""
    mask, count = _counts_positives(labels, where)
    missed = jnp.asarray(0.75) * count[..., 0] + jnp.asarray(0.25)
    known = jnp.any(mask, axis=-1) | (where is None)
    return {"count_logits": jnp.where(known, missed, jnp.nan)}


def _threshold_logits(labels: jax.Array, where: jax.Array | None) -> dict[str, jax.Array]:
    """Returns thresholds that are not the same for all samples, NaN where no label is known."""
    return {"threshold_logits": _count_logits(labels, where)["count_logits"] - jnp.asarray(0.5)}


INPUTS = {
    "adaptive_threshold_loss": _threshold_logits,
    "none_class_ranking_loss": _threshold_logits,
    "role_loss": lambda y, where: {"estimated_logits": _second_logits(y, where)},
    "multilabel_distillation_loss": lambda y, where: {"teacher_logits": _second_logits(y, where)},
    "class_aware_selective_loss": lambda y, where: {"annotated": y.astype(bool)},
    "factorized_count_loss": _count_logits,
    "hierarchical_coherence_loss": _divisors,
    "hierarchy_penalty": _edges,
    "label_graph_penalty": _affinity,
}
