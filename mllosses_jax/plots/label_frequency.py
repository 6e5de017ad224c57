"""How many positives each label has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def label_frequencies(
    num_positives: ArrayLike, *, name: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draws the number of positives of each label, from the most frequent label to the rarest.

    A long tail is a line that falls far on the logarithmic axis.

    Args:
        num_positives: integer array (L,), such as the positives of the training part; labels
            without any have no dot, as the axis is logarithmic.
        name: the name of the line in the legend.
        ax: the Axes to draw on.

    Returns:
        The Axes; the last of its lines has a dot for each label that has a positive.

    Raises:
        ValueError: if num_positives does not have shape (L,).
        ImportError: if matplotlib is missing.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.label_frequencies([3, 40, 0, 500])
        >>> ax.lines[-1].get_xydata().tolist()
        [[1.0, 500.0], [2.0, 40.0], [3.0, 3.0]]
    """
    (counts,) = of_labels(num_positives=num_positives)
    falling = -np.sort(-counts)
    shown = falling > 0
    ax = axes_of(ax)
    ax.plot(
        np.arange(1, len(counts) + 1)[shown], falling[shown], marker="o", ms=3, lw=1, label=name
    )
    ax.set(yscale="log", xlabel="labels, the most frequent first", ylabel="positives")
    ax.yaxis.set_major_formatter("{x:g}")
    lowest, highest = ax.get_ylim()
    # Between powers of ten there are numbers only if there may be no such power on the axis.
    ax.yaxis.set_minor_formatter("{x:g}" if highest < 10 * lowest else "")
    ax.grid(visible=True)
    ax.set_axisbelow(True)
    if name is not None:
        ax.legend(frameon=False)
    return ax
