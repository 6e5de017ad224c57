"""Estimates of unknown labels for the whole data set, as a state that is passed in and out.

The arrays have one row per training sample; a training step takes the rows of its batch. Shapes do
not change from epoch to epoch, so nothing is recompiled.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import is_positive
from mllosses_jax._core.public import show_public_names
from mllosses_jax.losses.large_loss import correct_large_losses

__all__ = [
    "PseudoLabels",
    "add_pseudo_negatives",
    "correct_large_losses",
    "initial_label_logits",
]

show_public_names(__name__)

_SURE = math.log(0.995 / 0.005)  # the size of the logit of a known label
_UNSURE = math.log(0.6 / 0.4)  # the largest size of the logit of an unknown label


class PseudoLabels(NamedTuple):
    """Pseudo-labels of a data set, for `entropy_maximization_loss`.

    Attributes:
        labels: probabilities, float32 (N, L); 0 where a label has no pseudo-label.
        where: bool (N, L): which labels are pseudo-labelled.
    """

    labels: Array
    where: Array

    @classmethod
    def none(cls, num_samples: int, num_labels: int) -> PseudoLabels:
        """Returns the state before the first selection."""
        shape = (num_samples, num_labels)
        return cls(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, bool))


@compiled(share=(0, 1))
def add_pseudo_negatives(
    pseudo: PseudoLabels, logits: ArrayLike, labels: ArrayLike, share: ArrayLike
) -> PseudoLabels:
    """Pseudo-labels the unknown labels that look most negative (asymmetric pseudo-labelling, APL).

    For each label, the least probable entries that are neither observed nor pseudo-labelled get
    their current probability as a soft pseudo-label, and keep it.

    Args:
        pseudo: the current state, whose pseudo-labels are kept.
        logits: float array (N, L), the logits of all training samples.
        labels: bool, integer or float array (N, L): observed where above 0, unknown elsewhere. No
            label is known to be negative.
        share: the share of the unknown labels to choose, a scalar, rounded down to a number of
            samples for each label. The authors spread 0.9 evenly over the epochs after the
            warm-up: 0.9 / (epochs − warm-up).

    Returns:
        The new state.

    Raises:
        TypeError: if the logits are not floating point.
        ValueError: if shapes differ or are not (N, L), or share is not in [0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.pseudo_labels import PseudoLabels, add_pseudo_negatives
        >>> logits = jnp.array([[0.0], [-2.0], [-1.0], [3.0]])
        >>> labels = jnp.array([[1], [0], [0], [0]])
        >>> pseudo = add_pseudo_negatives(PseudoLabels.none(4, 1), logits, labels, share=0.7)
        >>> print((100 * pseudo.labels.T).round(), pseudo.where.T)
        [[ 0. 12. 27.  0.]] [[False  True  True False]]
    """
    x = checks.float_array("logits", logits).astype(pseudo.labels.dtype)
    y = checks.label_array("labels", labels)
    checks.same_shape("labels", y, "logits", x)
    checks.same_shape("pseudo.labels", pseudo.labels, "logits", x)
    if x.ndim != 2:
        raise ValueError(f"logits must have two axes, samples and labels, got {x.shape}")
    fraction = checks.scalar("share", share, x.dtype)

    def of_label(x: Array, unknown: Array, taken: Array) -> Array:
        number = (fraction * jnp.sum(unknown).astype(x.dtype)).astype(jnp.int32)  # rounded down
        free = unknown & ~taken
        order = jnp.lexsort((x, ~free))  # free entries first, by ascending probability
        rank = jnp.zeros(x.shape, jnp.int32).at[order].set(jnp.arange(x.size, dtype=jnp.int32))
        return free & (rank < number)

    columns = jax.vmap(of_label, in_axes=-1, out_axes=-1)
    new = columns(x, ~is_positive(y), pseudo.where)
    return PseudoLabels(jnp.where(new, jax.nn.sigmoid(x), pseudo.labels), pseudo.where | new)


@compiled()
def initial_label_logits(key: Array, labels: ArrayLike, *, where: ArrayLike | None = None) -> Array:
    """Returns initial estimates of the label logits for `role_loss`.

    Formula:
        logit 0.995 for observed positives, logit 0.005 for observed negatives,
        uniform between logit 0.4 and logit 0.6 for unknown labels

    Args:
        key: a random key.
        labels: bool, integer or float array (..., L) of all training samples, positive where
            above 0.
        where: bool array of the rank of labels, axes equal or 1: which labels are known. Without
            it, only the positives are.

    Returns:
        Float32 logits (..., L).

    Raises:
        TypeError: if `where` is not bool.
        ValueError: if the shape of `where` does not fit.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from mllosses_jax.pseudo_labels import initial_label_logits
        >>> labels, known = jnp.array([[1, 0, 0]]), jnp.array([[True, True, False]])
        >>> logits = initial_label_logits(jax.random.key(0), labels, where=known)
        >>> print(logits.round(2)[0, :2])
        [ 5.29 -5.29]
    """
    y = is_positive(checks.label_array("labels", labels))
    mask = checks.mask("where", where, y.shape)
    known = y if mask is None else mask
    drawn = jax.random.uniform(key, y.shape, jnp.float32, -_UNSURE, _UNSURE)
    return jnp.where(known, jnp.where(y, _SURE, -_SURE), drawn)
