"""The probability that a score stands for, from the slopes of the loss of its training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import compute_dtype

_LARGEST_LOGIT = 40.0  # beyond it, probabilities are at their limits and slopes may underflow


def inverse_link(loss: Callable[..., Array], logits: ArrayLike, **parameters: Any) -> Array:
    """The probability for which a score is optimal under the loss that the model was trained with.

    This probability, η, undoes what a loss that is not proper, such as focal or asymmetric loss,
    does to the probabilities of a model that fits its data perfectly, and also the effect of
    weights, margins and logit adjustments. It needs no data, but since no model is perfect, a
    calibrator may follow.

    The slope used in training counts: `asymmetric_loss` with detach_focus=True has another map than
    with False. Some scores do not stand for a single probability, in four cases. A negative with
    p ≤ clip costs nothing, so η = 0 there, although labels that are merely rare may land there. A
    kink, such as that of the hinge loss or at the clip without focus, gathers a range of
    probabilities. Where a loss is bounded for negatives (a clip, `hill_loss`), η has a limit below
    1, or falls again. Where both losses fall as the score rises, as in `splc_loss`, which takes
    confident negatives for positives, η = 1; where both rise, η = 0.

    Formula:
        η(x) = ℓ₀'(x) / (ℓ₀'(x) − ℓ₁'(x)), where ℓ₁ is the loss of a positive and ℓ₀ that of a
        negative: η·ℓ₁ + (1 − η)·ℓ₀ is then stationary at x

    Args:
        loss: an element loss of this package, or a function called like one.
        logits: float array (..., L); values beyond ±40 count as ±40.
        **parameters: parameters of the loss, as in training: gamma=2.0, alpha=0.25, ...

    Returns:
        Probabilities (..., L) in [0, 1]; where both slopes vanish, 1 for a positive logit and 0 for
        any other; NaN for a NaN logit.

    Raises:
        TypeError: if logits are not floating point.
        ValueError: if the loss is not an element loss.

    Reference:
        N. Charoenphakdee, J. Vongkulbhisal, N. Chairatanakul and M. Sugiyama, "On Focal Loss for
        Class-Posterior Probability Estimation: A Theoretical Perspective", 2021,
        arXiv:2011.09172, where it is Ψ; the composite losses of M. D. Reid and R. C. Williamson,
        "Composite Binary Losses", JMLR 11, 2010.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import mllosses_jax as mll
        >>> logits = jnp.array([2.0])
        >>> p = mll.calibration.inverse_link(mll.sigmoid_focal_loss, logits, gamma=2.0)
        >>> print(f"{p[0]:.3f}, not {jax.nn.sigmoid(2.0):.3f}: focal loss makes models unsure")
        0.995, not 0.881: focal loss makes models unsure
    """
    x = checks.float_array("logits", logits)
    x = jnp.clip(x.astype(compute_dtype(x)), -_LARGEST_LOGIT, _LARGEST_LOGIT)

    def slope(label: bool) -> Array:
        def total(scores: Array) -> Array:
            losses = loss(scores, jnp.full(x.shape, label), reduction="none", **parameters)
            if losses.shape != x.shape:
                raise ValueError(
                    f"loss must be an element loss: expected shape {x.shape} with "
                    f'reduction="none", got {losses.shape}'
                )
            return jnp.sum(losses)

        gradient: Array = jax.grad(total)(x)
        return gradient

    negative, positive = slope(False), slope(True)
    both = negative - positive
    eta = jnp.clip(negative / jnp.where(both == 0, 1, both), 0, 1)
    upwards = (negative < 0) & (positive < 0)
    downwards = (negative > 0) & (positive > 0)
    vanish = (negative == 0) & (positive == 0)
    eta = jnp.where(upwards | vanish & (x > 0), 1, jnp.where(downwards, 0, eta))
    return jnp.where(jnp.isnan(x), jnp.nan, eta)
