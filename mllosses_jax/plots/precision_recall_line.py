"""The precision-recall curve of one label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax.typing import ArrayLike

from mllosses_jax import metrics
from mllosses_jax.plots._axes import axes_of, of_one_label, unit_square

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def precision_recall(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    where: ArrayLike | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws precision against recall of one label, at every cut-off.

    The line is a staircase, whose area is the average precision.

    Args:
        scores: float array (N,), on any monotone scale, such as logits.
        labels: bool, integer or float array (N,); positive where > 0. NaN only where masked.
        where: bool array (N,): which entries count.
        name: the name of the line in the legend.
        ax: the Axes to draw on.

    Returns:
        The Axes; the last of its lines has one point for each cut-off, and the end (0, 1).

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.
        ImportError: if matplotlib is missing.

    Reference:
        `metrics.precision_recall_curve` gives the points.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import plots
        >>> ax = plots.precision_recall(np.array([0.75, 0.5, 0.25]), np.array([1, 0, 1]))
        >>> ax.lines[-1].get_xdata().tolist()
        [1.0, 0.5, 0.5, 0.0]
    """
    column, truth, known = of_one_label(scores, labels, where)
    (curve,) = metrics.precision_recall_curve(column, truth, where=known)
    ax = axes_of(ax)
    ax.plot(curve.recall, curve.precision, drawstyle="steps-post", lw=1.4, label=name)
    ax.set(xlabel="recall", ylabel="precision")
    unit_square(ax)
    if name is not None:
        ax.legend(frameon=False)
    return ax
