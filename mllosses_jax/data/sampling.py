"""Probabilities with which rows are drawn, so that rare labels are seen as often as common ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax._core.values import check_labels
from mllosses_jax.data._dense import dense


def balanced_sampling_weights(
    y: ArrayLike, *, mask: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Probabilities of rows with which every label is drawn equally often: class-aware sampling.

    They are those of drawing one of the labels that have a positive, each with the same
    probability, and then one of its positive rows. Rows without a positive, if there are any, are
    drawn as those of one label more. A row with several labels is drawn for each of them, so labels
    that come together with others are still seen more often than the others.

    Drawing moves label frequencies. Probabilities of a model that was trained so are those of the
    drawn rows: calibrate it on rows that were not drawn, or tune thresholds there.

    Args:
        y: (N, L) labels, 0 or 1, or soft labels, which count as positive where > 0.
        mask: (N, L), True where the label is known; unknown labels are no positives, and a row
            without a known label is never drawn.

    Returns:
        Probabilities (N,) that sum to 1, for the `p` of `numpy.random.Generator.choice` and of
        `jax.random.choice`, or the `weights` of PyTorch's `WeightedRandomSampler`.

    Raises:
        ValueError: the labels are not (N, L) or a sparse matrix, the mask has another shape, a
            known label is not in [0, 1] (such as -1 or NaN), or no label is known.

    Reference:
        L. Shen, Z. Lin and Q. Huang, "Relay Backpropagation for Effective Learning of Deep
        Convolutional Neural Networks", 2016 (ECCV), arXiv:1512.05830.

    Example:
        >>> balanced_sampling_weights([[1, 0], [1, 0], [1, 0], [1, 1]]).tolist()
        [0.125, 0.125, 0.125, 0.625]
    """
    labels = dense(y, "y")
    if labels.ndim != 2:
        raise ValueError(f"y must be (N, L), not {labels.shape}")
    known = np.ones(labels.shape, bool)
    if mask is not None:
        known = dense(mask, "mask").astype(bool)
        if known.shape != labels.shape:
            raise ValueError(f"mask {known.shape} must have the shape of y {labels.shape}")
    check_labels("balanced_sampling_weights", labels, known)
    positive = (labels > 0) & known
    without = known.any(1) & ~positive.any(1)
    groups = np.column_stack([positive, without])
    groups = groups[:, groups.any(0)]
    if not groups.size:
        raise ValueError("y has no known label, so there is no row to draw")
    probabilities: NDArray[np.float64] = (groups / groups.sum(0)).mean(1)
    return probabilities
