"""The inputs of metrics and decisions: checked, two-dimensional arrays with hard labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import compute_dtype, counted_entries, is_positive
from mllosses_jax._core.sharding import whole


class Sets(NamedTuple):
    """Predicted and true label sets, false where masked."""

    predicted: Array  # bool (N, L)
    actual: Array  # bool (N, L)
    where: Array | None  # bool (N, L)


class Scored(NamedTuple):
    """Scores in float32 or wider, and hard labels, which are false where masked."""

    scores: Array  # float (N, L)
    actual: Array  # bool (N, L)
    where: Array | None  # bool (N, L)

    def num_entries(self) -> Array:
        """Returns the number of entries that count in each row, int32 (N,)."""
        return count_entries(self.where, self.actual.shape, axis=1)

    def counted(self) -> Array:
        """Returns which entries count, bool (N, L)."""
        return counted_entries(self.where, self.actual)

    def num_positives(self) -> Array:
        """Returns the number of positives in each row, int32 (N,)."""
        return jnp.sum(self.actual, axis=1, dtype=jnp.int32)

    def has_nan(self) -> Array:
        """Returns which rows hold a NaN score that counts, bool (N,)."""
        nan = jnp.isnan(self.scores)
        return jnp.any(nan if self.where is None else nan & self.where, axis=1)

    def transposed(self) -> Scored:
        """Returns the same with labels as rows."""
        return Scored(self.scores.T, self.actual.T, None if self.where is None else self.where.T)

    def flattened(self) -> Scored:
        """Returns the same as one row."""
        where = None if self.where is None else _one_row(self.where)
        return Scored(_one_row(self.scores), _one_row(self.actual), where)


def result_dtype() -> jnp.dtype:
    """Returns the dtype of metrics of hard sets: float32, or float64 where x64 is enabled."""
    return jnp.result_type(float)


def count_entries(where: Array | None, shape: tuple[int, ...], axis: int) -> Array:
    """Returns the number of entries that count along an axis of (N, L)."""
    if where is None:
        return jnp.full(shape[1 - axis], shape[axis], jnp.int32)
    return jnp.sum(where, axis=axis, dtype=jnp.int32)


def sets(predictions: ArrayLike, labels: ArrayLike, where: ArrayLike | None) -> Sets:
    """Checks hard predictions and labels, both (N, L)."""
    p = checks.array("predictions", predictions)
    if not (p.dtype == jnp.bool_ or jnp.issubdtype(p.dtype, jnp.integer)):
        raise TypeError(
            f"predictions must be hard sets (bool or integer), got {p.dtype}; threshold scores "
            f"first: mll.decisions.apply_thresholds(scores, thresholds)"
        )
    two_axes("predictions", p)
    y, mask = _labels_and_mask(labels, where, "predictions", p)
    p = is_positive(p)
    return Sets(p if mask is None else p & mask, y, mask)


def label_sets(labels: ArrayLike, where: ArrayLike | None) -> tuple[Array, Array | None]:
    """Checks labels (N, L); returns which are positive, false where masked, and the mask."""
    y = checks.label_array("labels", labels)
    two_axes("labels", y)
    mask = checks.mask("where", where, y.shape)
    y = is_positive(y)
    return (y if mask is None else y & mask), mask


def scored(
    scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None, *, name: str = "scores"
) -> Scored:
    """Checks scores and labels, both (N, L); `name` is the caller's name for the scores."""
    s = checks.float_array(name, scores)
    two_axes(name, s)
    y, mask = _labels_and_mask(labels, where, name, s)
    return Scored(s.astype(compute_dtype(s)), y, mask)


def sample_weights(weights: ArrayLike | None, num_samples: int) -> Array | None:
    """Checks weights per sample, (N,), and returns them whole on each device."""
    if weights is None:
        return None
    w = checks.array("weights", weights)
    if w.shape != (num_samples,):
        raise ValueError(
            f"weights must have one entry per sample: expected ({num_samples},), got {w.shape}"
        )
    return whole(w.astype(result_dtype()))


def _one_row(x: Any) -> Any:
    """Returns all entries (N, L) as one row (1, N·L) on one device."""
    return (whole(x) if isinstance(x, jax.Array) else x).reshape(1, -1)


def two_axes(name: str, value: Array) -> None:
    """Raises ValueError unless an array is (N, L) with at least one sample and one label."""
    if value.ndim != 2:
        raise ValueError(
            f"{name} must have two axes, samples and labels: expected (N, L), got {value.shape}"
        )
    if 0 in value.shape:
        raise ValueError(f"{name} must hold at least one sample and one label, got {value.shape}")


def _labels_and_mask(
    labels: ArrayLike, where: ArrayLike | None, other_name: str, other: Array
) -> tuple[Array, Array | None]:
    y = checks.label_array("labels", labels)
    checks.same_shape("labels", y, other_name, other)
    return label_sets(y, where)


def fbeta_denominator(
    beta: ArrayLike, num_positives: Array, num_predicted: Array, dtype: jnp.dtype
) -> Array:
    """Returns the D in F-beta = TP / D."""
    on_positives, on_predicted = fbeta_shares(beta, dtype)
    return on_positives * num_positives.astype(dtype) + on_predicted * num_predicted.astype(dtype)


def fbeta_shares(beta: ArrayLike, dtype: jnp.dtype) -> tuple[Array, Array]:
    """Returns the a and b in F-beta = TP / (a·(TP + FN) + b·(TP + FP)), with a + b = 1."""
    if isinstance(beta, int | float) and not beta >= 0:
        raise ValueError(f"beta must be 0 or more, got {beta}")
    # Unlike the factors 1 + β² and β², shares are finite for an infinite beta.
    squared = checks.scalar("beta", beta, dtype) ** 2
    return 1 / (1 + 1 / squared), 1 / (1 + squared)
