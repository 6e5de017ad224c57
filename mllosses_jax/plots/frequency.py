"""Average precision of labels against how frequent they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def average_precision_by_frequency(
    average_precision: ArrayLike,
    num_positives: ArrayLike,
    *,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the average precision of each label against its number of positives.

    Args:
        average_precision: float array (L,); a label whose value is NaN is left out.
        num_positives: integer array (L,), such as the positives of the training part; a label
            without any is left out, as the axis is logarithmic.
        name: the name of the dots in the legend.
        ax: the Axes to draw on.

    Returns:
        The Axes; the last of its lines has one dot for each label.

    Raises:
        ValueError: if shapes differ.
        ImportError: if matplotlib is missing.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.average_precision_by_frequency([0.5, 0.25, float("nan")], [100, 10, 1])
        >>> ax.lines[-1].get_xydata().tolist()
        [[100.0, 0.5], [10.0, 0.25]]
    """
    values, counts = of_labels(average_precision=average_precision, num_positives=num_positives)
    shown = np.isfinite(values) & (counts > 0)
    ax = axes_of(ax)
    from matplotlib.ticker import LogFormatter

    ax.plot(counts[shown], values[shown], "o", ms=4, alpha=0.75, mew=0, label=name)
    ax.set(xscale="log", xlabel="positives", ylabel="average precision", ylim=(-0.02, 1.02))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))  # no powers of ten
    ax.grid(visible=True)
    ax.set_axisbelow(True)
    if name is not None:
        ax.legend(frameon=False)
    return ax
