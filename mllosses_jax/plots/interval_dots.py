"""A metric of several losses, as dots with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, ink, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def intervals(
    names: Sequence[str],
    means: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    reference: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws a dot with its interval for each loss, from the top to the bottom.

    Args:
        names: the names of the K losses.
        means: float array (K,), the values of a metric; a loss whose value is NaN has no dot.
        low: float array (K,), the lower ends.
        high: float array (K,), the upper ends.
        reference: a value to mark by an upright line, such as that of the baseline.
        ax: the Axes to draw on.

    Returns:
        The Axes; the last of its lines has the dots.

    Raises:
        ValueError: if shapes differ.
        ImportError: if matplotlib is missing.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.intervals(("focal", "zlpr"), [0.5, 0.6], [0.4, 0.5], [0.6, 0.7])
        >>> ax.lines[-1].get_xydata().tolist()
        [[0.5, 0.0], [0.6, 1.0]]
    """
    middle, lower, upper = of_labels(means=means, low=low, high=high)
    if len(names) != len(middle):
        raise ValueError(f"names must have {len(middle)} entries like means, got {len(names)}")
    places = np.arange(len(names))
    ax = axes_of(ax)
    if reference is not None and np.isfinite(reference):
        ax.axvline(float(reference), color=ink(), lw=0.8, ls=(0, (4, 3)))
    ax.hlines(places, lower, upper, lw=1.6, color="C0")
    ax.plot(middle, places, "o", ms=5, color="C0")
    ax.set_yticks(places, list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)  # more labels of small differences would overlap
    ax.grid(visible=True, axis="x")
    ax.set_axisbelow(True)
    return ax
