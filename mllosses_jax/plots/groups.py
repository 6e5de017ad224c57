"""A metric of frequent, medium and rare labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jax.typing import ArrayLike

from mllosses_jax.plots._axes import axes_of, of_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def head_medium_tail(
    values: Mapping[str, ArrayLike],
    num_positives: ArrayLike,
    *,
    edges: tuple[int, int] = (20, 100),
    ax: Axes | None = None,
) -> Axes:
    """Draws bars with the mean of a metric over frequent, medium and rare labels.

    Args:
        values: under the name of each loss, a float array (L,), such as average precision; NaN is
            left out of the means.
        num_positives: integer array (L,), such as the positives of the training part.
        edges: the head has more positives than the second number, the tail fewer than the first,
            and the rest is medium.
        ax: the Axes to draw on.

    Returns:
        The Axes, with a container of bars for each loss; groups without a label are left out.

    Raises:
        ValueError: if shapes differ, or edges do not increase.
        ImportError: if matplotlib is missing.

    Reference:
        Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019
        (arXiv:1904.05160), whose groups are these.

    Example:
        >>> from mllosses_jax import plots
        >>> ax = plots.head_medium_tail({"focal": [0.9, 0.7, 0.3, 0.1]}, [500, 200, 30, 2])
        >>> [bar.get_height().round(3).item() for bar in ax.containers[0]]
        [0.8, 0.3, 0.1]
    """
    low, high = edges
    if not low <= high:
        raise ValueError(f"edges must increase, got {edges}")
    (counts,) = of_labels(num_positives=num_positives)
    parts = {
        f"head\n> {high}": counts > high,
        f"medium\n{low} to {high}": (counts >= low) & (counts <= high),
        f"tail\n< {low}": counts < low,
    }
    parts = {title: part for title, part in parts.items() if part.any()}
    places, width = np.arange(len(parts)), 0.8 / max(len(values), 1)
    ax = axes_of(ax)
    for index, (name, of_loss) in enumerate(values.items()):
        _, metric = of_labels(num_positives=counts, values=of_loss)
        usable = np.isfinite(metric)
        means = [
            metric[part & usable].mean() if (part & usable).any() else np.nan
            for part in parts.values()
        ]
        shift = width * (index - (len(values) - 1) / 2)
        ax.bar(places + shift, means, width * 0.92, label=name)
    ax.set_xticks(places, [f"{title}\n{part.sum()} labels" for title, part in parts.items()])
    ax.set(ylim=(0, 1.02))
    ax.tick_params(axis="x", length=0)
    ax.grid(visible=True, axis="y")
    ax.set_axisbelow(True)
    if len(values) > 1:
        ax.legend(frameon=False)
    return ax
