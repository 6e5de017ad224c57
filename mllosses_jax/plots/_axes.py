"""What all plots share: the Axes that they draw on, and their arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jax.typing import ArrayLike
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


def axes_of(ax: Axes | None) -> Axes:
    """Returns the given Axes, or those of a new figure.

    Raises:
        ImportError: if matplotlib is missing.
    """
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            "plots need matplotlib; install it: pip install 'mllosses-jax[cli]'"
        ) from None
    new: Axes = plt.subplots(layout="constrained")[1]
    return new


def ink() -> str:
    """Returns the colour of text, for lines that are no data."""
    import matplotlib as mpl

    color: str = mpl.rcParams["text.color"]
    return color


def of_one_label(
    scores: ArrayLike, labels: ArrayLike, where: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Returns arrays (N,) as columns (N, 1), which metrics take.

    Raises:
        ValueError: if an array has another shape.
    """
    given = {"scores": scores, "labels": labels, "where": where}
    found = {name: np.asarray(value) for name, value in given.items() if value is not None}
    for name, value in found.items():
        if value.ndim != 1 or len(value) != len(found["scores"]):
            raise ValueError(
                f"{name} must have shape (N,), one entry per sample of one label, like scores; "
                f"got {value.shape} with scores {found['scores'].shape}"
            )
    columns = {name: value[:, None] for name, value in found.items()}
    return columns["scores"], columns["labels"], columns.get("where")


def of_labels(**arrays: ArrayLike) -> list[Floats]:
    """Returns arrays with one number per label as float64.

    Raises:
        ValueError: if an array is not (L,).
    """
    found = {name: np.asarray(value, np.float64) for name, value in arrays.items()}
    first, length = next((name, value.size) for name, value in found.items())
    for name, value in found.items():
        if value.shape != (length,):
            raise ValueError(
                f"{name} must have shape ({length},), one number per label as in {first}; "
                f"got {value.shape}"
            )
    return list(found.values())


def unit_square(ax: Axes) -> None:
    """Limits both axes to [0, 1], with a margin for lines on the border."""
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.grid(visible=True)
    ax.set_axisbelow(True)
