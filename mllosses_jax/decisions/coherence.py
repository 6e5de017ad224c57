"""Scores that obey a hierarchy of labels."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.hierarchy import Hierarchy, check_labels_of, highest_below

__all__ = ["coherent_scores"]


@compiled()
def coherent_scores(scores: ArrayLike, hierarchy: Hierarchy) -> Array:
    """Makes scores obey a hierarchy: no label scores lower than its descendants.

    Formula:
        s'_a = max_{b∈D(a)} s_b,  D(a): a and its descendants

    With one threshold for all labels, the predicted sets then hold the ancestors of each label in
    them. These are the scores that `hierarchical_coherence_loss` trains.

    Args:
        scores: float array (..., L), logits or probabilities.
        hierarchy: the hierarchy, made from parent edges by `labels.hierarchy`.

    Returns:
        Scores (..., L) of the same dtype. Time and memory are O(L + E) per sample.

    Raises:
        ValueError: if the hierarchy has another number of labels.

    Reference:
        E. Giunchiglia and T. Lukasiewicz, "Coherent Hierarchical Multi-Label Classification
        Networks", 2020, arXiv:2010.10151 (the max constraint module).

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import decisions, labels
        >>> animals = labels.hierarchy(np.array([[0, 1], [0, 2], [2, 3]]), num_labels=4)
        >>> print(decisions.coherent_scores(np.array([0.1, 0.2, 0.1, 0.7]), animals))
        [0.7 0.2 0.7 0.7]
    """
    s = checks.float_array("scores", scores)
    check_labels_of(hierarchy, s.shape[-1])
    return jnp.moveaxis(highest_below(jnp.moveaxis(s, -1, 0), hierarchy), 0, -1)
