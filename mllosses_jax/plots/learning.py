"""Training loss and validation score of a model against the steps of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, ink, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_curves(
    steps: ArrayLike,
    training_loss: ArrayLike,
    score: ArrayLike | None = None,
    *,
    final_loss: ArrayLike | None = None,
    chosen: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws the training loss against the steps of training, and the validation score beside it.

    The loss has the axis on the left, the score that on the right, as their units differ.

    Args:
        steps: float or integer array (T,), the steps after which the model was judged.
        training_loss: float array (T,), the mean loss of the steps up to each of them; values that
            are not finite are left out.
        score: float array (T,), the validation score after these steps; None for no second axis.
        final_loss: float array (F,), F <= T, the same of a later training on all rows, which ended
            after the first F of these steps.
        chosen: the number of steps that was chosen, which an upright line marks.
        ax: the Axes to draw on.

    Returns:
        The Axes of the loss, whose first line is the loss, and whose second one is that of the
        later training if it is given. Those of the score come after them among the Axes of the
        figure.

    Raises:
        ValueError: if shapes differ, or final_loss is longer than steps.
        ImportError: if matplotlib is missing.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.learning_curves([25, 50], [0.6, 0.5], [0.3, 0.4], chosen=50)
        >>> ax.lines[0].get_xydata().tolist()
        [[25.0, 0.6], [50.0, 0.5]]
    """
    given = {"steps": steps, "training_loss": training_loss}
    given |= {} if score is None else {"score": score}
    after, *values = of_labels(**given)
    final = np.empty(0) if final_loss is None else np.asarray(final_loss, np.float64)
    if final.ndim != 1 or len(final) > len(after):
        raise ValueError(
            f"final_loss must have at most as many entries as steps, which has {len(after)}; "
            f"got {final.shape}"
        )
    ax = axes_of(ax)
    both = [ax] if score is None else [ax, ax.twinx()]
    names = ("training loss", "validation score")
    for place, (axes, name, of) in enumerate(zip(both, names, values, strict=False)):
        shown, color = np.isfinite(of), f"C{place}"
        axes.plot(after[shown], of[shown], marker="o", ms=3, lw=1.4, color=color)
        axes.set_ylabel(name, color=color)
    if len(final):
        shown = np.isfinite(final)
        ax.plot(after[: len(final)][shown], final[shown], lw=1, ls=(0, (2, 2)), color="C0")
    if chosen is not None:
        ax.axvline(float(chosen), color=ink(), lw=0.8, ls=(0, (4, 3)))
    ax.set_xlabel("steps")
    ax.grid(visible=True)
    ax.set_axisbelow(True)
    return ax
