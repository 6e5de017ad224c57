"""Every loss of the catalogue as a user would write it for speed, in a few lines of `jax.numpy`.

They are written from the formulas of the catalogue, with the primitives that JAX offers, and give
the loss at the defaults of `mllosses_jax`, with reduction "mean". They take float32 logits, and
are right for moderate logits only; entries behind the mask must be finite, and each sample and
label must have an entry that counts. Each function has the name and the own parameters of the
loss, except that losses over pairs need to know `most_positives`, the largest number of positives
in a row or a column, and `hierarchical_coherence_loss` takes the pairs of ancestor and descendant.

- `binary`, `focal`: losses of elements; `partial`: of unknown labels; `longtail`: of rare labels.
- `softmax`, `sets`: losses of a sample over distributions and over label sets.
- `pairs`: sums over pairs and sorts; `overlap`: soft counts of a label; `structure`: graphs.
- `terms`: what the others share.
"""

from collections.abc import Callable
from typing import Any

from jax import Array

from benchmarks.straight import (
    binary,
    focal,
    longtail,
    overlap,
    pairs,
    partial,
    sets,
    softmax,
    structure,
)

FAMILIES = (binary, focal, longtail, overlap, pairs, partial, sets, softmax, structure)

LOSSES: dict[str, Callable[..., Array]] = {
    name: value
    for family in FAMILIES
    for name, value in vars(family).items()
    if callable(value) and getattr(value, "__module__", "") == family.__name__ and name[0] != "_"
}


def find(name: str) -> Callable[..., Any]:
    """Returns the straight version of a loss."""
    return LOSSES[name]
