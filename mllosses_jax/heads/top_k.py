"""The highest logits of a head, exactly, without the logits of all labels at once."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.types import AxisName
from mllosses_jax.heads._chunks import over_chunks
from mllosses_jax.heads._kernel import Kernel, chunk_dtype, in_loop, product, read, wide_dtype
from mllosses_jax.heads._mesh import gathered, label_range, varying, zeros_like
from mllosses_jax.heads._problem import checked_matrices
from mllosses_jax.heads._sweep import slice_labels
from mllosses_jax.heads.float8 import Float8Kernel
from mllosses_jax.heads.memory import choose_chunk_size, known_size
from mllosses_jax.heads.sparse_labels import PADDING, check_positives, ids_to_tile

__all__ = ["Predictions", "TopK", "linear_head_predictions", "linear_head_top_k"]


class TopK(NamedTuple):
    """The labels of the highest scores of each sample, in descending order.

    Attributes:
        scores: float (B, k), the logits.
        ids: int32 (B, k); -1 where fewer than k labels are left, with the score -inf.
    """

    scores: Array
    ids: Array


class Predictions(NamedTuple):
    """The labels above their thresholds, those furthest above first.

    Attributes:
        ids: int32 (B, M), padded with -1.
        counts: int32 (B,), how many labels are above their threshold; more than M were cut off.
    """

    ids: Array
    counts: Array


def linear_head_top_k(
    features: ArrayLike,
    kernel: ArrayLike | Float8Kernel,
    k: int,
    *,
    bias: ArrayLike | None = None,
    exclude: ArrayLike | None = None,
    label_axis: int = 0,
    num_labels: int | None = None,
    chunk_size: int | None = None,
    label_axis_name: AxisName = None,
) -> TopK:
    """Returns the k labels with the highest logits of each sample.

    The result is exact, and the lower id wins a tie. It equals
    `jax.lax.top_k(features @ kernel.T + bias, k)`.

    Args:
        features: float array (B, D).
        kernel: float array (L, D), or (D, L) with `label_axis=1`, or a `Float8Kernel`.
        k: how many labels, 1 to L.
        bias: float array (L,), or None.
        exclude: integer array (B, E), ids of labels that are not wanted, padded with -1.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.
        num_labels: L, if the kernel has more rows than there are labels.
        chunk_size: how many labels are computed at a time; None for `choose_chunk_size`.
        label_axis_name: mesh axis over which the labels are split inside `shard_map`. Every device
            gets the labels of all.

    Returns:
        Scores and ids, (B, k).

    Raises:
        TypeError: if an array has the wrong dtype or k is not an integer.
        ValueError: if a shape, an id or k is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.heads import linear_head_top_k
        >>> kernel = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
        >>> linear_head_top_k(jnp.array([[1.0, 0.0]]), kernel, 2)
        TopK(scores=Array([[3., 2.]], dtype=float32), ids=Array([[1, 2]], dtype=int32))
    """
    h, w, b = checked_matrices(features, kernel, bias, label_axis)
    rows = w.shape[label_axis]
    first, end = label_range(rows, num_labels, label_axis_name)
    checks.set_size(k, end)
    hidden = None
    if exclude is not None:
        hidden = check_positives(exclude, end, name="exclude", batch=h.shape[0])
    search = Search(k, label_axis, _chunk_size(chunk_size, h, rows), end, num_labels is not None)
    scores, ids, _ = _highest(search, label_axis_name, h, w, b, hidden, first)
    return TopK(scores, jnp.where(scores == -jnp.inf, PADDING, ids))


def linear_head_predictions(
    features: ArrayLike,
    kernel: ArrayLike | Float8Kernel,
    thresholds: ArrayLike,
    *,
    max_predictions: int,
    bias: ArrayLike | None = None,
    label_axis: int = 0,
    num_labels: int | None = None,
    chunk_size: int | None = None,
    label_axis_name: AxisName = None,
) -> Predictions:
    """Returns the labels whose logits exceed their thresholds.

    Args:
        features: float array (B, D).
        kernel: float array (L, D), or (D, L) with `label_axis=1`, or a `Float8Kernel`.
        thresholds: float array () or (L,), on the scale of the logits.
        max_predictions: M, the largest number of labels of a sample, 1 to L.
        bias: float array (L,), or None.
        label_axis: the axis of the kernel that runs along the labels, 0 or 1.
        num_labels: L, if the kernel has more rows than there are labels.
        chunk_size: how many labels are computed at a time; None for `choose_chunk_size`.
        label_axis_name: mesh axis over which the labels are split inside `shard_map`.

    Returns:
        The ids, (B, M), and how many labels exceed their thresholds, (B,).

    Raises:
        TypeError: if an array has the wrong dtype.
        ValueError: if a shape or max_predictions is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax.heads import linear_head_predictions
        >>> kernel = jnp.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]])
        >>> found = linear_head_predictions(jnp.array([[1.0, 0.0]]), kernel, 1.5, max_predictions=3)
        >>> print(found.ids, found.counts)
        [[ 1  2 -1]] [2]
    """
    h, w, b = checked_matrices(features, kernel, bias, label_axis)
    rows = w.shape[label_axis]
    first, end = label_range(rows, num_labels, label_axis_name)
    checks.set_size(max_predictions, end, name="max_predictions")
    cuts = checks.per_label("thresholds", thresholds, rows, _dtype_of_scores(h, w, b))
    size = _chunk_size(chunk_size, h, rows)
    search = Search(max_predictions, label_axis, size, end, num_labels is not None)
    scores, ids, counts = _highest(search, label_axis_name, h, w, b, None, first, cuts)
    return Predictions(jnp.where(scores > 0, ids, PADDING), counts)


class Search(NamedTuple):
    """The constants of the program of a search."""

    k: int
    label_axis: int
    chunk_size: int
    num_labels: int
    padded: bool


def _chunk_size(chunk_size: int | None, features: Array, rows: int) -> int:
    batch = max(known_size(features.shape[0]), 1)
    size = choose_chunk_size(batch, rows) if chunk_size is None else chunk_size
    checks.integer("chunk_size", size, least=1)
    return size


def _dtype_of_scores(features: Array, kernel: Kernel, bias: Array | None) -> jnp.dtype:
    """Returns float64 if an array is, else float32; a bias keeps all of its digits."""
    biases = () if bias is None else (bias.dtype,)
    return wide_dtype(features.dtype, chunk_dtype(kernel), *biases)


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _highest(
    search: Search,
    label_axis_name: AxisName,
    features: Array,
    kernel: Kernel,
    bias: Array | None,
    exclude: Array | None,
    first: Array | int,
    thresholds: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Returns the k highest scores (B, k), their ids, and how many scores exceed 0, (B,).

    Scores are logits, or how far these are above the thresholds.
    """
    features, exclude = varying((features, exclude), label_axis_name)

    def merge(
        start: Array | int, size: int, carry: tuple[Kernel, TopK, Array]
    ) -> tuple[Kernel, TopK, Array]:
        kernel, best, counts = carry
        kernel = in_loop(kernel)
        logits = product(features, read(kernel, start, size, search.label_axis), (1, 1))
        logits = logits.astype(dtype)
        if bias is not None:
            logits = logits + slice_labels(bias, start, size)[None].astype(dtype)
        if thresholds is not None:
            cuts = slice_labels(thresholds, start, size) if thresholds.ndim else thresholds
            logits = logits - jnp.broadcast_to(cuts, (1, size))
        there = None if exclude is None else ~ids_to_tile(exclude, first + start, size)
        if search.padded:
            exist = (first + start + jnp.arange(size) < search.num_labels)[None]
            there = exist if there is None else there & exist
        if there is not None:
            logits = jnp.where(there, logits, -jnp.inf)
        counts = counts + jnp.sum(logits > 0, axis=1, dtype=jnp.int32)
        return kernel, merged(best, logits, first + start), counts

    dtype = _dtype_of_scores(features, kernel, bias)
    nothing = nothing_found(zeros_like(features[:, 0], dtype), search.k)
    counts = nothing.ids[:, 0] - PADDING
    rows = kernel.shape[search.label_axis]
    start = (kernel, nothing, counts)
    _, best, counts = over_chunks(rows, search.chunk_size, merge, start)
    if label_axis_name is None:
        return best.scores, best.ids, counts
    best = _of_all_devices(best, label_axis_name)
    return best.scores, best.ids, all_sum(counts, label_axis_name)


def nothing_found(zeros: Array, k: int) -> TopK:
    """Returns the state of a search before the first chunk, from zeros (B,)."""
    shape = (zeros.shape[0], k)
    scores = jnp.broadcast_to((zeros - jnp.inf)[:, None], shape)
    return TopK(scores, jnp.broadcast_to(zeros.astype(jnp.int32)[:, None] + PADDING, shape))


def merged(best: TopK, scores: Array, first: Array | int) -> TopK:
    """Returns the best of those so far and of the labels of a chunk with scores (B, C)."""
    k = best.ids.shape[1]
    # Those so far come first, so the lower id wins a tie.
    highest, place = lax.top_k(jnp.concatenate([best.scores, scores], axis=1), k)
    before = jnp.take_along_axis(best.ids, jnp.minimum(place, k - 1), axis=1)
    return TopK(highest, jnp.where(place < k, before, first + place - k))


def _of_all_devices(best: TopK, label_axis_name: AxisName) -> TopK:
    """Returns the best of all devices, whose labels are in ascending order."""
    ids = gathered(best.ids, label_axis_name)
    scores, place = lax.top_k(gathered(best.scores, label_axis_name), best.ids.shape[1])
    return TopK(scores, jnp.take_along_axis(ids, place, axis=1))
