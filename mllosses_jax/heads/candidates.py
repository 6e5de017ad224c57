"""The loss of a few candidate labels per sample, sampled or from a shortlist.

It costs a product with the positives and the candidates of each sample, however many labels there
are. Candidates that a user, a nearest-neighbor search or a clustering proposes are taken as they
are; those drawn at random stand for the labels that were not drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax.heads._entries import Entries, bound_entries
from mllosses_jax.heads._kernel import wide_dtype
from mllosses_jax.heads._problem import checked_matrices
from mllosses_jax.heads._two_sweep import TWO_SWEEP
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.sparse_labels import check_positives, distinct
from mllosses_jax.losses import (
    sigmoid_binary_cross_entropy,
)

__all__ = ["candidate_head_loss"]


def candidate_head_loss(
    features: ArrayLike,
    kernel: ArrayLike,
    positives: ArrayLike,
    candidates: ArrayLike,
    *,
    expected_counts: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    loss: Callable[..., Any] = sigmoid_binary_cross_entropy,
    loss_kwargs: Mapping[str, Any] | None = None,
    calibration: ArrayLike = 0.0,
    sample_weights: ArrayLike | None = None,
    reduction: Literal["none", "sum", "mean", "batchmean"] = "mean",
) -> Array:
    """The loss of a linear layer over its positives and a few candidates instead of all labels.

    Formula:
        ℓ = β·Σ_{p∈P} ℓ₊(x_p) + Σ_{s∈S, s∉P} ℓ₋(x_s)/n_s
        β = 1 − t + t·|S|/(L − 1)

    Args:
        features: h, float array (B, D).
        kernel: W, float array (L, D).
        positives: integer array (B, K), the ids of the positive labels P, padded with -1.
        candidates: integer array (S,), the same for all samples, or (B, S), the ids of labels that
            are negatives unless they are positive, padded with -1.
        expected_counts: n, float array of the shape of the candidates: how often each is expected
            among the candidates, which is S·q for S draws with replacement from probabilities q.
            The loss is then an unbiased estimate of that of all labels. None for a shortlist: each
            candidate counts once, and the other labels do not.
        bias: float array (L,), or None.
        loss: a separable loss, as for `linear_head_loss`; or `softmax_cross_entropy`,
            another loss that `linear_head_loss` takes in two sweeps, in which the logit of a
            candidate is lowered by log n (for sums inside a logarithm, the estimate is
            consistent, not unbiased).
        loss_kwargs: parameters of the loss; arrays are () or (L,).
        calibration: t in [0, 1], a scalar: the factor β of the positives, with which binary
            cross-entropy over uniformly drawn negatives becomes gBCE: 0 for none, 1 for
            probabilities that are calibrated.
        sample_weights: scale factors (B,).
        reduction: "none" for (B,), "sum", "batchmean" for the mean over samples, or "mean", which
            for separable losses divides by L as well.

    Returns:
        The loss in nats: (B,) per sample with "none", else ().

    Raises:
        TypeError: if an array has the wrong dtype or a keyword does not fit the loss.
        ValueError: if a shape, an id or an option is wrong, or the loss is not one of these.

    Reference:
        β: A. Petrov and C. Macdonald, "gSASRec: Reducing Overconfidence in Sequential
        Recommendation Trained with Negative Sampling", 2023, arXiv:2308.07192.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> features, kernel = jnp.ones((1, 1)), jnp.array([[0.0], [1.0], [-1.0], [-2.0]])
        >>> one_of_three = jnp.array([2])  # drawn from the three negatives
        >>> loss = heads.candidate_head_loss(
        ...     features, kernel, jnp.array([[1]]), one_of_three,
        ...     expected_counts=jnp.array([1 / 3]), reduction="sum")
        >>> print(f"{loss:.4f}")
        1.2530
    """
    checks.one_of("reduction", reduction, ("none", "sum", "mean", "batchmean"))
    h, w, b = _checked_matrices(features, kernel, bias)
    batch, num_labels = len(h), w.shape[0]
    y = check_positives(positives, num_labels, batch=batch)
    shared = jnp.ndim(candidates) == 1
    s = jnp.asarray(candidates)[None] if shared else candidates
    s = check_positives(s, num_labels, name="candidates", batch=1 if shared else batch)
    s = jnp.broadcast_to(s, (batch, s.shape[1]))
    dtype = wide_dtype(h.dtype, w.dtype)

    negative = (s >= 0) & ~jnp.any(s[:, :, None] == y[:, None, :], axis=2)
    if expected_counts is None:
        negative &= distinct(s)
        stands_for = jnp.ones(s.shape, dtype)
    else:
        counts = checks.array("expected_counts", expected_counts).astype(dtype)
        if counts.shape != jnp.shape(candidates):
            raise ValueError(
                f"expected_counts must have the shape of candidates, {jnp.shape(candidates)}, got "
                f"{counts.shape}"
            )
        counts = jnp.broadcast_to(counts, s.shape)
        stands_for = 1 / jnp.where(negative, counts, 1)
    ids = jnp.concatenate([y, s], axis=1)
    counted = jnp.concatenate([distinct(y), negative], axis=1)
    labels = jnp.arange(ids.shape[1])[None] < y.shape[1]
    labels = jnp.broadcast_to(labels, ids.shape)
    rows = jnp.where(counted, ids, 0)
    logits = jnp.einsum("bd,bkd->bk", h.astype(dtype), w[rows].astype(dtype))
    if b is not None:
        logits = logits + b[rows].astype(dtype)
    logits = jnp.where(counted, logits, 0)

    t = checks.scalar("calibration", calibration, dtype)
    beta = 1 - t + t * (s.shape[1] / max(num_labels - 1, 1))
    factors = jnp.concatenate([jnp.broadcast_to(beta, y.shape), stands_for], axis=1)
    entries_per_sample = num_labels
    if loss in TWO_SWEEP:  # a candidate that stands for n labels counts as n equal ones
        entries_per_sample = 1
        logits = logits + jnp.where(labels, 0, jnp.log(factors))
        losses: Array = loss(logits, labels, where=counted, reduction="none", **(loss_kwargs or {}))
    else:
        entries, parameters = bound_entries(loss, loss_kwargs, num_labels)
        if not isinstance(entries, Entries) or entries.needs_all_labels:
            raise ValueError(f"{loss.__name__} needs all labels of a sample; candidates are a few")

        def of_sample(logits: Array, labels: Array, rows: Array) -> Array:
            chosen = parameters._replace(
                per_label={name: p[rows] for name, p in parameters.per_label.items()}
            )
            return entries(logits[None], labels[None], chosen, {})[0]

        losses = factors * jax.vmap(of_sample)(logits, labels, rows)
        losses = jnp.sum(jnp.where(counted, losses, 0), axis=1)
    if sample_weights is not None:
        losses = losses * checks.per_sample(
            "sample_weights", sample_weights, h[:, :1].astype(dtype)
        )
    if reduction == "none":
        return losses
    if reduction == "sum":
        return jnp.sum(losses)
    return jnp.mean(losses) / (entries_per_sample if reduction == "mean" else 1)


def _checked_matrices(
    features: ArrayLike, kernel: ArrayLike | Float8Kernel, bias: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    h, w, b = checked_matrices(features, kernel, bias, 0)
    if isinstance(w, Float8Kernel):
        raise TypeError("kernel must be an array, got a Float8Kernel; its to_array() gives one")
    return h, w, b
