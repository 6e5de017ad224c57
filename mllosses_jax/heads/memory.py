"""How much memory a head needs beside its arrays, and which implementation follows from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jax import export

from mllosses_jax._core import checks
from mllosses_jax.heads._two_sweep import TWO_SWEEP

__all__ = ["Implementation", "MemoryEstimate", "choose_chunk_size", "memory_estimate"]

Implementation = Literal["dense", "one_pass", "recompute", "checkpoint"]
IMPLEMENTATIONS = ("dense", "one_pass", "recompute", "checkpoint")

_TILE = 4 * 2**20  # bytes of the float32 logits of a chunk: a few of them fit in a cache
_MULTIPLE = 128  # of labels in a chunk, for accelerators
_ASSUMED_BATCH = 128  # samples, where their number is known only when the program runs
_ARRAYS_OF_LOGITS = 4  # logits, losses, slopes and labels, as far as they are held at once


@dataclass(frozen=True)
class MemoryEstimate:
    """What one call of a head holds beside features, kernel and gradients.

    Attributes:
        implementation: the one that is estimated.
        chunk_size: how many labels are computed at a time.
        bytes: an estimate of the bytes held at once.
        dense_bytes: the same for the dense loss and its autodiff.
        reason: why this implementation, in one sentence.
    """

    implementation: Implementation
    chunk_size: int
    bytes: int
    dense_bytes: int
    reason: str


def choose_chunk_size(batch_size: int, num_labels: int) -> int:
    """Returns how many labels to compute at a time.

    The chunks are as equal as multiples of 128 allow, and the float32 logits of one take at most
    4 MiB, so that what is computed of them stays in a cache.

    Args:
        batch_size: B. A symbolic dimension, which `jax.export` makes programs for batches of any
            size with, counts as 128 samples.
        num_labels: L.

    Returns:
        The number of labels C of a chunk, at most L.

    Raises:
        ValueError: if a size is below 1.

    Example:
        >>> from mllosses_jax.heads import choose_chunk_size
        >>> choose_chunk_size(128, 1_000_000)
        8192
    """
    batch_size = known_size(batch_size)
    checks.integer("batch_size", batch_size, least=1)
    checks.integer("num_labels", num_labels, least=1)
    largest = max(_TILE // (4 * batch_size) // _MULTIPLE, 1) * _MULTIPLE
    number = -(-num_labels // largest)
    equal = -(-num_labels // number)
    return min(-(-equal // _MULTIPLE) * _MULTIPLE, num_labels)


def known_size(batch_size: int) -> int:
    """Returns the number of samples, or a typical one for a symbolic dimension."""
    return _ASSUMED_BATCH if export.is_symbolic_dim(batch_size) else batch_size


def memory_estimate(
    batch_size: int,
    num_labels: int,
    num_features: int,
    *,
    implementation: Implementation | None = None,
    chunk_size: int | None = None,
    reduction: str = "mean",
    loss: Callable[..., Any] | None = None,
) -> MemoryEstimate:
    """Returns what `linear_head_loss` and its gradients hold beside their arrays, and why.

    Args:
        batch_size: B; a symbolic dimension counts as for `choose_chunk_size`.
        num_labels: L.
        num_features: D.
        implementation: the one to estimate; None for the one that `linear_head_loss` would take.
        chunk_size: labels of a chunk; None for `choose_chunk_size`.
        reduction: of the loss. With "none" the gradient needs a second pass.
        loss: the loss; that of a loss of samples, such as `softmax_cross_entropy`, does too.

    Returns:
        The estimate, in bytes.

    Raises:
        ValueError: if a size is below 1 or the implementation unknown.

    Example:
        >>> from mllosses_jax.heads import memory_estimate
        >>> estimate = memory_estimate(128, 1_000_000, 768)
        >>> print(estimate.implementation, estimate.bytes >> 20, estimate.dense_bytes >> 20)
        one_pass 16 1953
        >>> print(estimate.reason)
        the arrays of all entries would take 1953 MiB; one pass gives the loss and all gradients
    """
    batch_size = known_size(batch_size)
    checks.integer("num_features", num_features, least=1)
    chunk = choose_chunk_size(batch_size, num_labels) if chunk_size is None else chunk_size
    checks.integer("chunk_size", chunk, least=1)
    chunk = min(chunk, num_labels)
    dense = _ARRAYS_OF_LOGITS * 4 * batch_size * num_labels
    chosen, reason = _choice(
        implementation, chunk, num_labels, dense, _why_two_passes(reduction, loss)
    )
    held = chunk if chosen != "dense" else num_labels
    bytes_held = _ARRAYS_OF_LOGITS * 4 * batch_size * held + 4 * num_features * batch_size
    return MemoryEstimate(chosen, chunk, bytes_held, dense, reason)


def _choice(
    implementation: Implementation | None,
    chunk: int,
    num_labels: int,
    dense: int,
    why_two_passes: str | None,
) -> tuple[Implementation, str]:
    if implementation is not None:
        checks.one_of("implementation", implementation, IMPLEMENTATIONS)
        if implementation == "one_pass" and why_two_passes is not None:
            return "recompute", f"{why_two_passes}; the logits are computed again for the gradient"
        return implementation, "it was asked for"
    if chunk >= num_labels:
        return "dense", "all labels fit in one chunk"
    mebibytes = f"the arrays of all entries would take {dense >> 20} MiB"
    if why_two_passes is not None:
        return "recompute", f"{mebibytes}; {why_two_passes}"
    return "one_pass", f"{mebibytes}; one pass gives the loss and all gradients"


def _why_two_passes(reduction: str, loss: Callable[..., Any] | None) -> str | None:
    """Returns why the gradient needs a second pass over the labels, or None."""
    if loss in TWO_SWEEP:
        return (
            f"the gradient of {getattr(loss, '__name__', loss)} in a logit depends on all logits "
            "of the sample, which are known after a first pass"
        )
    if reduction == "none":
        return (
            'reduction="none" has one gradient per sample, whose factors one pass does not know yet'
        )
    return None
