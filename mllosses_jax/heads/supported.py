"""Which losses a head can compute in chunks of labels, and why not the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mllosses_jax.catalogue import CATALOGUE
from mllosses_jax.heads._two_sweep import TWO_SWEEP

__all__ = ["why_unsupported"]


def why_unsupported(loss: Callable[..., Any]) -> str | None:
    """Returns why a loss cannot be computed in chunks of labels, or None if it can.

    Args:
        loss: a loss of the catalogue, or a function of your own, which is taken at its word.

    Returns:
        What the loss needs that a chunk does not have, as the rest of a sentence; or None.

    Example:
        >>> import mllosses_jax as mll
        >>> mll.heads.why_unsupported(mll.dice_loss)
        'has one value per label'
        >>> mll.heads.why_unsupported(mll.zlpr_loss) is None
        True
    """
    entry = next((entry for entry in CATALOGUE if entry.loss is loss), None)
    if entry is None or loss in TWO_SWEEP:
        return None
    if entry.takes != "logits":
        return "takes probabilities, but a linear head gives logits"
    if entry.separable:
        return None
    if entry.kind == "element":
        return "needs other logits than that of its entry"
    return f"has one value per {entry.kind}"
