"""The distribution-balanced loss for long-tailed labels that occur together."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.frequencies import proper_counts, rebalanced
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import finite_product, with_slope
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._focal import faded_entropy, faded_entropy_slope

__all__ = ["distribution_balanced_loss"]

_INF = float("inf")
_TINY = float(np.finfo(np.float32).tiny)


_faded_entropy = with_slope(faded_entropy_slope)(faded_entropy)


def _soft_slope(z: Array, y: Array, scale: Array, gamma: Exponent) -> Array:
    return y * faded_entropy_slope(z, gamma) - (1 - y) * faded_entropy_slope(-scale * z, gamma)


@with_slope(_soft_slope)
def _soft_faded_entropy(z: Array, y: Array, scale: Array, gamma: Exponent) -> Array:
    """Returns y·f(z) + (1 − y)·f(−λ·z)/λ."""
    positive, negative = _faded_entropy(z, gamma), _faded_entropy(-scale * z, gamma)
    return finite_product(y, positive) + finite_product((1 - y) / scale, negative)


@compiled_loss(
    label_counts=(0, _INF),
    num_samples=(2, _INF),
    alpha=(0, _INF),
    beta=(0, _INF),
    kappa=(0, _INF),
    neg_scale=(_TINY, _INF),
    gamma=(0, _INF),
    balance=(0, _INF),
)
def distribution_balanced_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    label_counts: ArrayLike,
    num_samples: ArrayLike,
    alpha: ArrayLike = 0.1,
    beta: ArrayLike = 10.0,
    mu: ArrayLike = 0.2,
    kappa: ArrayLike = 0.05,
    neg_scale: ArrayLike = 2.0,
    gamma: ArrayLike = 2.0,
    balance: ArrayLike = 2.0,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Distribution-balanced loss (DB): rebalanced, negative-tolerant, focal cross-entropy.

    Rare labels weigh more, but less so in a sample that class-balanced sampling already draws often
    for its other rare labels. Negatives, which a rare label has so many of, push less once they are
    predicted correctly.

    Formula:
        ℓ_c = η·r̂_c·[y_c·f(z_c) + (1 − y_c)·f(−λ·z_c)/λ],  f(z) = −(1 − σ(z))^γ·log σ(z)
        z_c = x_c − (κ/λ)·log(N/n_c − 1)
        r̂_c = α + σ(β·(r_c − μ)),  r_c = (1/n_c) / Σ_j y_j/n_j

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L), hard or soft. They determine the weights r̂,
            which are constant in the logits. Soft labels mix the two terms; the authors' code
            mixes logits and weights, which is the same for hard labels.
        label_counts: n, a scalar or (L,): the number of positives of each label in the training
            data.
        num_samples: N ≥ 2, a scalar or (L,).
        alpha: α ≥ 0, a scalar or (L,): the smallest weight.
        beta: β ≥ 0, a scalar or (L,). With α = 0.5 and β = 0 all weights are 1.
        mu: μ, a scalar or (L,): 0.2 for COCO-LT, 0.3 for VOC-LT.
        kappa: κ ≥ 0, a scalar or (L,): 0 leaves the logits unchanged.
        neg_scale: λ > 0, a scalar or (L,): 2 for COCO-LT, 5 for VOC-LT, 1 to treat negatives like
            positives. Derivatives in λ are finite if the logits divided by λ² are finite.
        gamma: γ ≥ 0, a scalar or (L,): 0 gives cross-entropy.
        balance: η ≥ 0, a scalar or (L,): a constant factor. The authors' code has 1 without focus.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats: (..., L) with "none", else (); the authors' training is "mean". In a
        sample without a positive label, r is unbounded and r̂ = α + 1. Counts are clamped to
        [1, N − 1].

        The division of κ by λ is not in the paper. It was a slip in the code, which the authors
        acknowledge, but all published results and values of κ include it. The version for text by
        Huang et al. (2021, arXiv:2109.04712) does not divide: it is kappa=0.05·λ, mu=0.9,
        balance=0.5. The authors do not use the defaults of their class, α = 10 and β = 0.2, in any
        experiment.

    Reference:
        T. Wu, Q. Huang, Z. Liu, Y. Wang and D. Lin, "Distribution-Balanced Loss for Multi-Label
        Classification in Long-Tailed Datasets", 2020, arXiv:2007.09654.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import distribution_balanced_loss
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> counts = jnp.array([50, 10])
        >>> losses = distribution_balanced_loss(
        ...     logits, labels, label_counts=counts, num_samples=100, reduction="none"
        ... )
        >>> print([f"{loss:.4f}" for loss in losses[0]])
        ['0.0040', '0.0015']
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x, y = inputs.x, inputs.y

    def parameter(name: str, value: ArrayLike) -> Array:
        return checks.element_parameter(name, value, x)

    counts, total = proper_counts(
        parameter("label_counts", label_counts), parameter("num_samples", num_samples)
    )
    scale = parameter("neg_scale", neg_scale)
    exponent = checks.exponent("gamma", gamma, x)
    z = x + parameter("kappa", kappa) / scale * jnp.log(counts / (total - counts))
    if inputs.hard:
        losses = _faded_entropy(jnp.where(y, z, -scale * z), exponent) / jnp.where(y, 1, scale)
    else:
        losses = _soft_faded_entropy(z, y, scale, exponent)
    rebalancing = rebalanced(
        inputs.soft_y,
        counts,
        parameter("alpha", alpha),
        parameter("beta", beta),
        parameter("mu", mu),
    )
    losses = parameter("balance", balance) * rebalancing * losses
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
