"""Standardised features: zero mean and unit variance on the training part."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mllosses_jax.data._dense import dense


def standardize(x_train: ArrayLike, *others: ArrayLike) -> tuple[NDArray[np.float32], ...]:
    """Shifts and scales every column by its mean and standard deviation on the training part.

    A column that is constant in the training part tells a model nothing, so it becomes zero in
    every array.

    Args:
        x_train: (N, D) features of the training part.
        *others: (M, D) features that get the same shifts and scales, such as the test part.

    Returns:
        The arrays in the order given, as float32.

    Raises:
        ValueError: an array is not a dense matrix, or its columns are not those of `x_train`.

    Example:
        >>> train, test = standardize([[0.0, 5.0], [2.0, 5.0]], [[3.0, 6.0]])
        >>> train.tolist(), test.tolist()
        ([[-1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0]])
    """
    parts = (x_train, *others)
    arrays = [dense(x, "features").astype(np.float64, copy=False) for x in parts]
    train = arrays[0]
    for x in arrays:
        if x.ndim != 2 or x.shape[1] != train.shape[-1]:
            raise ValueError(
                f"features have shape {x.shape}, which does not fit a training part {train.shape}"
            )
    mean, scale = standardization(train)
    return tuple(((x - mean) * scale).astype(np.float32) for x in arrays)


def sparse_scale(x_train: ArrayLike) -> float:
    """Returns the factor that scales sparse features to a size of about 1.

    Args:
        x_train: (N, D) features of the training part.

    Returns:
        A power of two, so that nothing is rounded, near one over the largest magnitude.

    Example:
        >>> sparse_scale([[0.0, 1.0], [0.3, 0.0]]), sparse_scale([[0.0, 1e20]])
        (1.0, 1.3552527156068805e-20)
    """
    largest = float(np.max(np.abs(np.asarray(x_train))))
    return 2.0 ** -round(math.log2(largest)) if largest > 0 else 1.0


def standardization(x_train: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the shift and scale of every column: standardised values are (x - shift) * scale.

    Args:
        x_train: (N, D) features of the training part.

    Returns:
        The means, and one over the standard deviations (0 for a column that is constant), (D,).

    Example:
        >>> standardization([[0.0, 5.0], [2.0, 5.0]])
        (array([1., 5.]), array([1., 0.]))
    """
    train = np.asarray(x_train, np.float64)
    # Rounding can leave the computed deviation of a constant column slightly above zero, which
    # would blow up noise to unit size. Its extremes are exactly equal.
    varies = train.max(0) > train.min(0)
    scale = np.where(varies, 1.0 / np.where(varies, train.std(0), 1.0), 0.0)
    return train.mean(0), scale
