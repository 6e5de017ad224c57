"""Loops over the labels in chunks of one size, and one smaller chunk for what is left over.

Padding the kernel instead would copy it, and the labels that were added would have losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax

Carry = TypeVar("Carry")


def over_chunks(
    num_labels: int,
    chunk_size: int,
    body: Callable[[Array | int, int, Carry], Carry],
    carry: Carry,
) -> Carry:
    """Returns the carry after `body(start, size, carry)` for each chunk, in ascending order."""
    number, left = divmod(num_labels, chunk_size)
    if number == 1:
        carry = body(0, chunk_size, carry)
    elif number:
        carry = lax.fori_loop(0, number, lambda i, c: body(i * chunk_size, chunk_size, c), carry)
    return body(number * chunk_size, left, carry) if left else carry


def over_chunks_again(
    num_labels: int,
    chunk_size: int,
    body: Callable[[Array | int, int, Carry], Carry],
    carry: Carry,
) -> Carry:
    """Returns what `over_chunks` does, in a form that any number of derivatives can be taken of.

    The backward pass computes each chunk once more.
    """
    step = jax.checkpoint(body, static_argnums=1)
    number, left = divmod(num_labels, chunk_size)

    def chunk(carry: Carry, index: Array) -> tuple[Carry, None]:
        return step(index * chunk_size, chunk_size, carry), None

    carry, _ = lax.scan(chunk, carry, jnp.arange(number))
    return step(number * chunk_size, left, carry) if left else carry
