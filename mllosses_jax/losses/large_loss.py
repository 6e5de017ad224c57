"""Losses that distrust assumed negatives with the largest losses: they may be missing positives."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled, compiled_loss
from mllosses_jax._core.masking import LossInputs, is_positive, loss_inputs
from mllosses_jax._core.reduction import masked_count, reduce_elements
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import cross_entropy
from mllosses_jax.losses._largest import largest

__all__ = ["large_loss_correction", "large_loss_rejection"]


def _large_losses(
    inputs: LossInputs, annotated: ArrayLike | None, relative_rate: ArrayLike, axis_name: AxisName
) -> Array:
    """Returns which unknown labels have the largest losses as negatives, bool (..., L).

    Args:
        inputs: the checked inputs of the loss; negatives are unknown unless they are annotated.
        annotated: bool array of the rank of the logits, or None.
        relative_rate: the number of labels to select as a share of all entries that count,
            rounded up.
        axis_name: mesh axes over which the batch continues.
    """
    unknown, known = inputs.negatives(), checks.mask("annotated", annotated, inputs.x.shape)
    unknown = unknown if known is None else unknown & ~known
    rate = checks.scalar("relative_rate", relative_rate, inputs.x.dtype)
    size = masked_count(inputs.counted(), axis_name).astype(rate.dtype)
    # Rounding the rate to a float must not raise the count to the next integer.
    k = jnp.ceil(size * rate * (1 - 2 * jnp.finfo(rate.dtype).eps)).astype(jnp.int32)
    # The losses of negatives are in the order of their logits.
    return largest(inputs.x, unknown, k, axis_name)


@compiled_loss(relative_rate=(0, 1))
def large_loss_rejection(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    relative_rate: ArrayLike,
    annotated: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Large loss rejection (LL-R): assumed negatives with the largest losses contribute nothing.

    Formula:
        ℓ = −y·log σ(x) − λ·(1 − y)·log σ(−x)
        λ = 0 for the ⌈r·n⌉ unknown labels of the largest loss in the batch, else 1

    Here n is the number of entries of the batch, known or not.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive, or 0 where the label is unknown.
        relative_rate: r in [0, 1], a scalar, which may follow a schedule: the authors use
            r = (t − 1)·Δ at epoch t = 1, 2, ..., with a Δ of a few thousandths. Their code calls
            1 − r the clean rate; in their paper r is a share of the unknown labels alone.
        annotated: bool array of the rank of logits, axes equal or 1: which zeros are known to be
            negative and never rejected; None means none. Positives are never rejected.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums, counts and the largest losses are taken inside
            `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' code is "mean". Rejected
        entries have loss 0 but count in a mean; entries that tie with the last one are rejected
        too. The selection is held constant in derivatives. If fewer labels are unknown than should
        be rejected, only the unknown ones are rejected; the authors' code then rejects positives
        too.

    Reference:
        Y. Kim, J. M. Kim, Z. Akata and J. Lee, "Large Loss Matters in Weakly Supervised
        Multi-Label Classification", 2022, arXiv:2206.03740.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import large_loss_rejection
        >>> logits, labels = jnp.array([[2.0, 1.0, -1.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{large_loss_rejection(logits, labels, relative_rate=0.1):.4f}")
        0.1467
    """
    inputs = loss_inputs(logits, labels, where)
    rejected = _large_losses(inputs, annotated, relative_rate, axis_name)
    hard = inputs._replace(y=inputs.positives())
    losses = jnp.where(rejected, 0, cross_entropy(hard))
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)


@compiled_loss(relative_rate=(0, 1))
def large_loss_correction(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    relative_rate: ArrayLike,
    annotated: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Large loss correction (LL-Ct): assumed negatives with the largest losses become positives.

    Formula:
        ℓ = −y·log σ(x) − (1 − y)·log σ(−x)
        y ← 1 for the ⌈r·n⌉ unknown labels of the largest loss in the batch

    Here n is the number of entries of the batch, known or not.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive, or 0 where the label is unknown.
        relative_rate: r in [0, 1], a scalar, which may follow a schedule: see
            `large_loss_rejection`. The permanent correction LL-Cp is this loss with a constant r
            from the second epoch on; `pseudo_labels.correct_large_losses` gives the labels for the
            next epoch. The last version of the authors' code lets r grow there too, because it
            compares the name of the scheme by identity, which fails.
        annotated: bool array of the rank of logits, axes equal or 1: which zeros are known to be
            negative and never corrected; None means none.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums, counts and the largest losses are taken inside
            `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' code is "mean". Entries
        that tie with the last corrected one are corrected too. The selection is held constant in
        derivatives.

    Reference:
        Y. Kim, J. M. Kim, Z. Akata and J. Lee, "Large Loss Matters in Weakly Supervised
        Multi-Label Classification", 2022, arXiv:2206.03740.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import large_loss_correction
        >>> logits, labels = jnp.array([[2.0, 1.0, -1.0]]), jnp.array([[1, 0, 0]])
        >>> print(f"{large_loss_correction(logits, labels, relative_rate=0.1):.4f}")
        0.2512
    """
    inputs = loss_inputs(logits, labels, where)
    corrected = _large_losses(inputs, annotated, relative_rate, axis_name)
    hard = inputs._replace(y=inputs.positives() | corrected)
    return reduce_elements(cross_entropy(hard), inputs.where, weights, reduction, axis_name)


@compiled(relative_rate=(0, 1))
def correct_large_losses(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    relative_rate: ArrayLike,
    annotated: ArrayLike | None = None,
    where: ArrayLike | None = None,
    axis_name: AxisName = None,
) -> Array:
    """Turns the unknown labels that contradict a model most into positives (LL-Cp).

    They are the labels that `large_loss_correction` treats as positives with the same arguments.
    (The authors' code corrects the last of them in the loss, but not in the labels.) The next epoch
    starts with the labels that are returned.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); 0 where the label is unknown.
        relative_rate: a scalar in [0, 1]: the number of labels to correct as a share of all entries
            of the batch, rounded up.
        annotated: bool array of the rank of logits, axes equal or 1: which zeros are known to be
            negative; None means none.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        axis_name: mesh axis over which the batch continues inside `shard_map`.

    Returns:
        Bool labels (..., L); all positives stay positive.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.pseudo_labels import correct_large_losses
        >>> x, y = jnp.array([[2.0, 1.0, -1.0]]), jnp.array([[1, 0, 0]])
        >>> print(correct_large_losses(x, y, relative_rate=0.1))
        [[ True  True False]]
    """
    inputs = loss_inputs(logits, labels, where)
    chosen = _large_losses(inputs, annotated, relative_rate, axis_name)
    return is_positive(checks.label_array("labels", labels)) | chosen
