"""Precision, recall and F1 of one label against its threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax import metrics
from mllosses_jax.plots._axes import axes_of, ink, of_one_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def threshold_curve(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    tuned: float | None = None,
    where: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws F1, precision and recall of one label against the threshold of its scores.

    Formula:
        F1(t) = 2·TP/(2·TP + FP + FN) of [s ≥ t] for each distinct score t

    Args:
        scores: float array (N,), such as logits.
        labels: bool, integer or float array (N,); positive where > 0. NaN only where masked.
        tuned: a threshold to mark by an upright line; nothing is marked if it is not finite.
        where: bool array (N,): which entries count.
        ax: the Axes to draw on.

    Returns:
        The Axes, with a line each for F1, precision and recall, in this order, which have one point
        for each distinct score.

    Raises:
        TypeError: if scores are not floating point, or where is not bool.
        ValueError: if shapes differ.
        ImportError: if matplotlib is missing.

    Example:
        >>> import numpy as np
        >>> from mllosses_jax import plots
        >>> scores, labels = np.array([0.75, 0.5, 0.25]), np.array([1, 0, 1])
        >>> ax = plots.threshold_curve(scores, labels, tuned=0.25)
        >>> ax.lines[0].get_ydata().round(2).tolist()
        [0.8, 0.5, 0.67]
    """
    column, truth, known = of_one_label(scores, labels, where)
    (curve,) = metrics.precision_recall_curve(column, truth, where=known)
    precision, recall = curve.precision[:-1], curve.recall[:-1]
    both = precision + recall
    f1 = np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both != 0)
    ax = axes_of(ax)
    for name, values, width in (
        ("F1", f1, 1.8),
        ("precision", precision, 1),
        ("recall", recall, 1),
    ):
        ax.plot(curve.thresholds, values, drawstyle="steps-pre", lw=width, label=name)
    if tuned is not None and np.isfinite(tuned):
        ax.axvline(float(tuned), color=ink(), lw=0.8, ls=(0, (4, 3)))
    ax.set(xlabel="threshold", ylim=(-0.02, 1.02))
    ax.grid(visible=True)
    ax.set_axisbelow(True)
    ax.legend(frameon=False)
    return ax
