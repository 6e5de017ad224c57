"""The score of a model against a hyper-parameter that was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, ink, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def search_curve(
    values: ArrayLike,
    scores: ArrayLike,
    *,
    chosen: float | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the validation score against the tried values of a hyper-parameter.

    If a value was tried several times, together with other hyper-parameters, all of its scores are
    dots and the line goes through the best ones.

    Args:
        values: float array (T,), the tried values; the axis is logarithmic if they are positive.
        scores: float array (T,), their scores; those that are not finite are left out.
        chosen: the chosen value, which an upright line marks.
        name: the name of the hyper-parameter, for the axis.
        ax: the Axes to draw on.

    Returns:
        The Axes; its first line goes through the best score of each value, in ascending order.

    Raises:
        ValueError: if shapes differ.
        ImportError: if matplotlib is missing.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.search_curve([0.1, 0.01, 0.1], [0.5, 0.4, 0.6], chosen=0.1)
        >>> ax.lines[0].get_xydata().tolist()
        [[0.01, 0.4], [0.1, 0.6]]
    """
    tried, found = of_labels(values=values, scores=scores)
    shown = np.isfinite(found)
    tried, found = tried[shown], found[shown]
    distinct = np.unique(tried)
    best = [found[tried == value].max() for value in distinct]
    ax = axes_of(ax)
    ax.plot(distinct, best, marker="o", ms=4, lw=1.4, color="C0")
    if len(tried) > len(distinct):
        ax.plot(tried, found, "o", ms=3, alpha=0.4, mew=0, color="C0")
    if chosen is not None:
        ax.axvline(float(chosen), color=ink(), lw=0.8, ls=(0, (4, 3)))
    if len(distinct) and distinct[0] > 0:
        ax.set_xscale("log")
        if distinct[-1] >= 10 * distinct[0]:  # labels between the powers of ten would overlap
            ax.xaxis.set_minor_formatter("")
    ax.set(xlabel=name or "", ylabel="validation score")
    ax.grid(visible=True)
    ax.set_axisbelow(True)
    return ax
