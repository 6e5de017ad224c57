"""Losses that select which of the unannotated labels to treat as negatives."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import LossInputs, counted_entries, loss_inputs
from mllosses_jax._core.reduction import masked_count, reduce_elements
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._asymmetric import asymmetric_kernel
from mllosses_jax.losses._largest import largest

__all__ = ["class_aware_selective_loss"]

MODES = ("negative", "ignore", "ignore_normalize_classes", "selective")
_INF = float("inf")


def _highest(inputs: LossInputs, unannotated: Array, per_sample: int, axis_name: AxisName) -> Array:
    """Returns which unannotated entries have the highest logits of the batch, bool (..., L)."""
    samples = jnp.any(inputs.counted(), axis=-1)
    k = per_sample * masked_count(samples, axis_name)
    return largest(inputs.x, unannotated & inputs.counted(), k, axis_name)


@compiled_loss(
    gamma_neg=(0, _INF),
    gamma_pos=(0, _INF),
    gamma_unannotated=(0, _INF),
    clip=(0, 1),
    likelihood_topk=(0, _INF),
)
def class_aware_selective_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    annotated: ArrayLike | None = None,
    mode: str = "selective",
    gamma_neg: ArrayLike = 1.0,
    gamma_pos: ArrayLike = 0.0,
    gamma_unannotated: ArrayLike = 2.0,
    alpha_neg: ArrayLike = 1.0,
    alpha_pos: ArrayLike = 1.0,
    alpha_unannotated: ArrayLike = 1.0,
    clip: ArrayLike = 0.0,
    prior: ArrayLike | None = None,
    prior_threshold: ArrayLike = 0.05,
    likelihood_topk: int = 5,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Class-aware selective loss (CSL, P-ASL): unlikely unannotated labels are weak negatives.

    Formula:
        ℓ = −ω·α·u^γ·log(1 − u),  p = σ(x),  u = 1 − p for positives, else max(p − m, 0)

    Positives, annotated negatives and unannotated labels have an α and a γ of their own.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L); ignored where unannotated.
        annotated: bool array of the rank of logits, axes equal or 1: which labels are
            annotated, for instance the `where` of `labels.from_minus_one_unknown`; None means all.
        mode: what determines ω, which is 1 unless stated otherwise. "negative": ω is 1 for all.
            "ignore": it is 0 for unannotated labels. "ignore_normalize_classes": it is 0 for
            unannotated labels and 1 + 1/(1 + n) for the n annotated labels of a row. "selective":
            it is 0 for unannotated labels that are likely positive, because the prior of the label
            is above the threshold, or because they are among the likelihood_topk·B highest logits
            of unannotated entries in a batch of B samples.
        gamma_neg: γ ≥ 0 for annotated negatives, a scalar or (L,).
        gamma_pos: γ ≥ 0 for positives, a scalar or (L,).
        gamma_unannotated: γ ≥ 0 for unannotated labels, a scalar or (L,).
        alpha_neg: α for annotated negatives, a scalar or (L,).
        alpha_pos: α for positives, a scalar or (L,).
        alpha_unannotated: α for unannotated labels, a scalar or (L,).
        clip: m in [0, 1], a scalar or (L,).
        prior: the share of positives of each label, (L,), which the authors estimate as the
            mean probability that a first model predicts; None selects by likelihood alone.
        prior_threshold: the prior above which a label is likely positive, a scalar.
        likelihood_topk: the number of highest logits per sample, a Python integer ≥ 0; 0 selects by
            prior alone.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count at all.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums, counts and the highest logits are taken inside
            `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' code is "sum". Entries with
        ω = 0 have loss 0 but count in a mean. The weight u^γ is held constant in the slope with
        respect to the logits, and so is ω; see `asymmetric_loss`. Entries that tie with the last of
        the highest logits are selected too.

    Raises:
        TypeError: if likelihood_topk is not a Python integer.

    Reference:
        E. Ben-Baruch, T. Ridnik, I. Friedman, A. Ben-Cohen, N. Zamir, A. Noy and L. Zelnik-Manor,
        "Multi-label Classification with Partial Annotations using Class-aware Selective Loss",
        2022, arXiv:2110.10955.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import class_aware_selective_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 0]])
        >>> annotated = jnp.array([[True, False, False]])
        >>> losses = class_aware_selective_loss(
        ...     logits, labels, annotated=annotated, likelihood_topk=1, reduction="none"
        ... )
        >>> print(losses.round(4))
        [[0.1269 0.0227 0.    ]]
    """
    checks.one_of("mode", mode, MODES)
    if not isinstance(likelihood_topk, int):
        raise TypeError("likelihood_topk must be a Python integer, got an array or a fraction")
    inputs = loss_inputs(logits, labels, where)
    x = inputs.x
    known = counted_entries(checks.mask("annotated", annotated, x.shape), x)
    y = inputs.positives() & known

    def focal(gamma: Array | int) -> Array:
        gamma_of_positives = checks.exponent("gamma_pos", gamma_pos, x)
        clip_at = checks.exponent("clip", clip, x)
        kernel = asymmetric_kernel(hard=True, detach_focus=True)
        return kernel(x, y, gamma, gamma_of_positives, clip_at)

    losses = focal(checks.exponent("gamma_neg", gamma_neg, x))
    if annotated is not None:
        weak = focal(checks.exponent("gamma_unannotated", gamma_unannotated, x))
        losses = jnp.where(known, losses, weak)
    a_pos = checks.element_parameter("alpha_pos", alpha_pos, x)
    a_neg = checks.element_parameter("alpha_neg", alpha_neg, x)
    a_weak = checks.element_parameter("alpha_unannotated", alpha_unannotated, x)
    scale = jnp.where(y, a_pos, jnp.where(known, a_neg, a_weak))
    if mode == "ignore_normalize_classes":
        number = jnp.sum(known & inputs.counted(), axis=-1, keepdims=True)
        scale = scale * (1 + 1 / (1 + number).astype(x.dtype))
    losses = scale * losses
    if mode == "selective":
        likely = _highest(inputs, ~known, likelihood_topk, axis_name)
        if prior is not None:
            threshold = checks.scalar("prior_threshold", prior_threshold, x.dtype)
            likely |= checks.element_parameter("prior", prior, x) > threshold
        losses = jnp.where(~known & likely, 0, losses)
    elif mode != "negative":
        losses = jnp.where(known, losses, 0)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
