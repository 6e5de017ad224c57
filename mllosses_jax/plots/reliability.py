"""The reliability diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.metrics import calibration_curve
from mllosses_jax.plots._axes import axes_of, ink, unit_square

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reliability_diagram(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    bins: int = 10,
    where: ArrayLike | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the fraction of positives against the predicted probability, over all labels.

    Calibrated probabilities lie on the diagonal. Draw twice on the same Axes to compare
    probabilities before and after calibration.

    Args:
        probabilities: float array (N, L), in [0, 1].
        labels: bool, integer or float array (N, L); positive where > 0. NaN only where masked.
        bins: the number of bins of equal width; empty ones are left out.
        where: bool, (N, L) with axes equal or 1: which entries count.
        name: the name of the line in the legend.
        ax: the Axes to draw on.

    Returns:
        The Axes; the last of its lines has one point for each bin that is not empty.

    Raises:
        TypeError: if probabilities are not floating point, or where is not bool.
        ValueError: if shapes differ, or probabilities lie outside [0, 1].
        ImportError: if matplotlib is missing.

    Reference:
        `metrics.calibration_curve(average="micro")` gives the points.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import plots
        >>> p, labels = np.array([[0.25], [0.25], [0.75]]), np.array([[0], [1], [1]])
        >>> ax = plots.reliability_diagram(p, labels, bins=2)
        >>> ax.lines[-1].get_xydata().tolist()
        [[0.25, 0.5], [0.75, 1.0]]
    """
    curve = calibration_curve(
        probabilities, labels, inputs="probabilities", bins=bins, average="micro", where=where
    )
    filled = np.asarray(curve.counts) > 0
    ax = axes_of(ax)
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color=ink(), lw=0.8, ls=(0, (4, 3)))
    points = (np.asarray(curve.mean_predicted), np.asarray(curve.fraction_of_positives))
    ax.plot(*(part[filled] for part in points), marker="o", ms=4, lw=1.4, label=name)
    ax.set(xlabel="predicted probability", ylabel="fraction of positives")
    unit_square(ax)
    if name is not None:
        ax.legend(frameon=False, loc="upper left")
    return ax
