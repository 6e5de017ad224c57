"""Products with the features: the outputs of a linear model, and the gradient of its kernel."""

from __future__ import annotations

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Above this share of nonzero entries, dense products are cheaper. On two cores, the sparse and the
# dense products take 0.4 and 5 CPU milliseconds at 0.8 % (2534 x 1079, 22 labels), and 28 and 70 at
# 3.4 % (4880 x 1836, 159 labels).
SPARSE_DENSITY = 0.07
SOME_ROWS = 101  # whose medians are the common values of columns
# A copy in column order halves the time of the gradient as long as it is small.
SMALL = 1 << 27  # bytes


class Features:
    """A matrix of features (N, D), stored as a SciPy sparse matrix if that makes products cheaper.

    The sparse matrix is the difference from a row of common values: columns that were mostly zero
    are mostly one other value once they are standardised.

    The last row of a parameter array (D + 1, K) is the bias, which needs no column of ones here and
    so no copy of large dense features. JAX computes dense products, because the threads of NumPy
    wait for each other by spinning, which costs up to eight times the work if cores are shared.
    """

    def __init__(self, x: Floats) -> None:
        self.shape: tuple[int, int] = (x.shape[0], x.shape[1])
        common = np.median(x[:SOME_ROWS], axis=0)[:, None].astype(x.dtype)
        differ = x != common.T
        self.sparse = float(np.count_nonzero(differ)) <= SPARSE_DENSITY * x.size
        self._matrix: Any
        if self.sparse:
            from scipy.sparse import csr_matrix

            self._common = common
            self._matrix = csr_matrix(np.where(differ, x - common.T, 0))
        else:
            self._matrix = jnp.asarray(x)
            small = x.nbytes <= SMALL
            self._transposed = jnp.asarray(np.ascontiguousarray(x.T)) if small else None

    def with_rows(self, rows: NDArray[np.intp]) -> Features:
        """Returns features for products of which only these rows count; others may be empty.

        Sparse products then leave the other rows out.
        """
        if not self.sparse or len(rows) == self.shape[0]:
            return self
        from scipy.sparse import diags

        counts = np.zeros(self.shape[0], np.float32)
        counts[rows] = 1
        result = copy.copy(self)
        result._matrix = diags(counts).tocsr() @ self._matrix
        return result

    def outputs(self, params: Floats) -> Floats:
        """Returns the outputs (N, K) of a linear model with the parameters (D + 1, K)."""
        if not self.sparse:
            return np.asarray(_outputs(self._matrix, params))
        result: Floats = self._matrix @ params[:-1]
        result += params[-1] + np.einsum("di,dk->k", self._common, params[:-1])
        return result

    def gradient(self, slopes: Floats) -> Floats:
        """Returns the gradient (D + 1, K) of a function with the slopes (N, K) at the outputs."""
        if not self.sparse:
            return np.asarray(_gradient(self._matrix, self._transposed, slopes))
        total = slopes.sum(0, keepdims=True)
        return np.concatenate([self._matrix.T @ slopes + self._common * total, total])

    def gradient_of_squares(self, slopes: Floats) -> Floats:
        """Returns `gradient` for the squares of the features, as an array of its own."""
        if not self.sparse:
            return np.array(_gradient(self._matrix**2, None, slopes))
        squares = self._matrix.power(2) + self._matrix.multiply(2 * self._common.T)
        total = slopes.sum(0, keepdims=True)
        return np.concatenate([squares.T @ slopes + self._common**2 * total, total])


@jax.jit
def _outputs(matrix: Array, params: Array) -> Array:
    return jnp.matmul(matrix, params[:-1], precision="highest") + params[-1:]


@jax.jit
def _gradient(matrix: Array, transposed: Array | None, slopes: Array) -> Array:
    by_column = matrix.T if transposed is None else transposed
    kernel = jnp.matmul(by_column, slopes, precision="highest")
    return jnp.concatenate([kernel, jnp.sum(slopes, axis=0, keepdims=True)])
