"""Losses that distrust the largest losses of assumed negatives: they may be missing positives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import AxisName
from mllosses_jax._core.reduction import Reduction, reduce_elements
from mllosses_jax._core.selection import large_losses
from mllosses_jax.losses.binary import cross_entropy

Array = jax.Array
Loss = Array | tuple[Array, Array]


@compiled(relative_rate=(0, 1))
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
) -> Loss:
    """Large loss rejection (LL-R): assumed negatives with the largest losses count nothing.

    Formula:
        ℓ = −y·log σ(x) − λ·(1 − y)·log σ(−x)
        λ = 0 for the ⌈r·n⌉ unknown labels of the largest loss in the batch, else 1

    with n the number of entries of the batch, known or not.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive, or 0 where the label is unknown.
        relative_rate: r in [0, 1], a scalar, which may be a schedule: the authors have
            r = (t − 1)·Δ at epoch t = 1, 2, ..., with a Δ of a few thousandths. Their code calls
            1 − r the clean rate; their paper has a share of the unknown labels alone.
        annotated: bool, the rank of logits with axes equal or 1: which zeros are known to be
            negative, and so never rejected; None for none. Positives never are.
        weights: scale terms: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums, counts and the largest losses are taken inside
            `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' code is "mean". Rejected
        entries have loss 0, and count in a mean; entries that equal the last of them are
        rejected with it. The selection is held constant in derivatives. Where fewer labels are
        unknown than are to be rejected, all of them are, and no other; the authors' code then
        rejects positives too.

    Raises:
        TypeError: if logits are not floating point, or a mask is not bool.
        ValueError: if shapes differ, or relative_rate is not in [0, 1].

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
    rejected = large_losses(inputs, annotated, relative_rate, axis_name)
    hard = inputs._replace(y=inputs.positives())
    return reduce_elements(
        jnp.where(rejected, 0, cross_entropy(hard)),
        weights=weights,
        where=inputs.where,
        reduction=reduction,
        axis_name=axis_name,
    )


@compiled(relative_rate=(0, 1))
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
) -> Loss:
    """Large loss correction (LL-Ct): assumed negatives with the largest losses are positives.

    Formula:
        ℓ = −y·log σ(x) − (1 − y)·log σ(−x)
        y ← 1 for the ⌈r·n⌉ unknown labels of the largest loss in the batch

    with n the number of entries of the batch, known or not.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); positive, or 0 where the label is unknown.
        relative_rate: r in [0, 1], a scalar, which may be a schedule: see `large_loss_rejection`.
            The permanent correction LL-Cp is this loss with a constant r from the second epoch
            on, after which `labels.correct_large_losses` gives the labels for the next epoch.
            The authors' code in its last version compares the name of the scheme by identity,
            which fails, and lets r grow there too.
        annotated: bool, the rank of logits with axes equal or 1: which zeros are known to be
            negative, and so never corrected; None for none.
        weights: scale terms: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool, the rank of logits with axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums, counts and the largest losses are taken inside
            `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' code is "mean". Entries
        that equal the last of the corrected ones are corrected with it. The selection is held
        constant in derivatives.

    Raises:
        TypeError: if logits are not floating point, or a mask is not bool.
        ValueError: if shapes differ, or relative_rate is not in [0, 1].

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
    corrected = large_losses(inputs, annotated, relative_rate, axis_name)
    hard = inputs._replace(y=inputs.positives() | corrected)
    return reduce_elements(
        cross_entropy(hard),
        weights=weights,
        where=inputs.where,
        reduction=reduction,
        axis_name=axis_name,
    )
