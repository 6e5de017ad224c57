"""Labels hashed into buckets: several small heads instead of a large one.

Each of R heads sees the labels through a random map to b buckets, and is an ordinary head over b
labels with the buckets of the positives as its positives. A label's score is the mean of the scores
of its buckets. The memory is that of R·b labels, which grows with log(L).
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax.heads._chunks import over_chunks
from mllosses_jax.heads.memory import choose_chunk_size
from mllosses_jax.heads.sparse_labels import PADDING, check_positives
from mllosses_jax.heads.top_k import TopK, merged, nothing_found

__all__ = ["bucket_positives", "bucket_top_k", "label_buckets"]


def label_buckets(key: Array, num_labels: int, num_buckets: int, num_heads: int) -> Array:
    """Returns random maps of the labels to buckets, one for each head.

    Args:
        key: a JAX random key.
        num_labels: L.
        num_buckets: b, the number of labels of each head.
        num_heads: R.

    Returns:
        The bucket of each label, int32 (R, L).

    Raises:
        ValueError: if a number is below 1.

    Reference:
        T. Medini, Q. Huang, Y. Wang, V. Mohan and A. Shrivastava, "Extreme Classification in Log
        Memory using Count-Min Sketch: A Case Study of Amazon Search with 50M Products", 2019,
        arXiv:1910.13830.

    Example:
        >>> import jax
        >>> from mllosses_jax import heads
        >>> heads.label_buckets(jax.random.key(0), 1000, num_buckets=20, num_heads=3).shape
        (3, 1000)
    """
    for name, value in (
        ("num_labels", num_labels),
        ("num_buckets", num_buckets),
        ("num_heads", num_heads),
    ):
        checks.integer(name, value, least=1)
    return jax.random.randint(key, (num_heads, num_labels), 0, num_buckets, jnp.int32)


def bucket_positives(positives: ArrayLike, buckets: ArrayLike) -> Array:
    """Returns the buckets of the positive labels, which are the positives of each head.

    Args:
        positives: integer array (B, K), the ids of the positive labels, padded with -1.
        buckets: int32 (R, L), from `label_buckets`.

    Returns:
        The positives of each head, int32 (R, B, K), padded with -1.

    Raises:
        TypeError: if an array is not of integers.
        ValueError: if a shape or an id is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> heads.bucket_positives(jnp.array([[2, -1]]), jnp.array([[0, 1, 1], [1, 0, 0]]))
        Array([[[ 1, -1]],
        <BLANKLINE>
               [[ 0, -1]]], dtype=int32)
    """
    table = _table(buckets)
    ids = check_positives(positives, table.shape[1])
    return jnp.where((ids >= 0)[None], table[:, jnp.maximum(ids, 0)], PADDING)


def bucket_top_k(
    scores: ArrayLike, buckets: ArrayLike, k: int, *, chunk_size: int | None = None
) -> TopK:
    """Returns the k labels whose buckets have the highest mean score.

    Args:
        scores: float array (R, B, b), what each head gives its buckets, such as probabilities.
        buckets: int32 (R, L), from `label_buckets`.
        k: how many labels, 1 to L.
        chunk_size: how many labels are scored at a time; None for `choose_chunk_size`.

    Returns:
        Mean scores and ids of the labels, (B, k); the lower id wins a tie.

    Raises:
        TypeError: if an array has the wrong dtype or k is not an integer.
        ValueError: if a shape or k is wrong.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import heads
        >>> scores = jnp.array([[[0.1, 0.5]], [[0.25, 0.75]]])
        >>> heads.bucket_top_k(scores, jnp.array([[0, 1, 1], [1, 0, 1]]), 2)
        TopK(scores=Array([[0.625, 0.425]], dtype=float32), ids=Array([[2, 0]], dtype=int32))
    """
    p, table = checks.float_array("scores", scores), _table(buckets)
    if p.ndim != 3 or len(p) != len(table):
        raise ValueError(f"scores must have shape ({len(table)}, B, b), got {p.shape}")
    num_labels = table.shape[1]
    checks.set_size(k, num_labels)
    size = choose_chunk_size(p.shape[0] * p.shape[1], num_labels)
    size = size if chunk_size is None else chunk_size
    checks.integer("chunk_size", size, least=1)
    result: TopK = _bucket_top_k(p.astype(jnp.float32), table, k, size)
    return result


@functools.partial(jax.jit, static_argnums=(2, 3), inline=True)
def _bucket_top_k(scores: Array, buckets: Array, k: int, chunk_size: int) -> TopK:
    def merge(start: Array | int, size: int, best: TopK) -> TopK:
        chunk = lax.dynamic_slice_in_dim(buckets, start, size, axis=1)
        of_labels = jax.vmap(lambda p, bucket: p[:, bucket])(scores, chunk)
        return merged(best, jnp.mean(of_labels, axis=0), start)

    nothing = nothing_found(jnp.zeros(scores.shape[1]), k)
    result: TopK = over_chunks(buckets.shape[1], chunk_size, merge, nothing)
    return result


def _table(buckets: ArrayLike) -> Array:
    table = checks.array("buckets", buckets)
    if table.ndim != 2 or not jnp.issubdtype(table.dtype, jnp.integer):
        raise ValueError(
            f"buckets must be integers of shape (R, L), got {table.dtype} of shape {table.shape}"
        )
    return table
