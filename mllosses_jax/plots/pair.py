"""Two losses against each other, label by label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, ink, of_labels, unit_square

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def two_losses(
    first: ArrayLike,
    second: ArrayLike,
    *,
    names: tuple[str, str] = ("first", "second"),
    ax: Axes | None = None,
) -> Axes:
    """Draws a metric of each label under one loss against the same metric under another loss.

    Labels above the diagonal are better under the second loss.

    Args:
        first: float array (L,), such as average precision, in [0, 1].
        second: float array (L,); a label that is NaN in either array is left out.
        names: the names of the two losses.
        ax: the Axes to draw on.

    Returns:
        The Axes; the last of its lines has one dot for each label.

    Raises:
        ValueError: if shapes differ.
        ImportError: if matplotlib is missing.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.two_losses([0.5, 0.25], [0.75, 0.5], names=("cross-entropy", "focal"))
        >>> ax.lines[-1].get_xydata().tolist()
        [[0.5, 0.75], [0.25, 0.5]]
    """
    across, up = of_labels(first=first, second=second)
    shown = np.isfinite(across) & np.isfinite(up)
    ax = axes_of(ax)
    ax.plot([0, 1], [0, 1], color=ink(), lw=0.8, ls=(0, (4, 3)))
    ax.plot(across[shown], up[shown], "o", ms=4, alpha=0.75, mew=0, color="C0")
    ax.set(xlabel=names[0], ylabel=names[1])
    unit_square(ax)
    return ax
