"""The profile of a loss: its value and gradient against the probability of one label, as a picture.

One entry of a small batch varies while all others stay at p = 1/2 and count. The picture shows the
loss of that entry, of its sample, of its label or of the batch, depending on the kind of the loss.
The label of the entry is rare and, in a hierarchy, the parent of a label that its sample lacks.
"""

from __future__ import annotations

import functools
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mllosses_jax._core.files import replacing
from mllosses_jax.catalogue import Entry, find
from mllosses_jax.cli.errors import UsageError
from mllosses_jax.compare.bound_loss import from_labels
from mllosses_jax.compare.heads import HEADS
from mllosses_jax.data import Dataset

PROBABILITIES = np.linspace(0.005, 0.995, 199, dtype=np.float32)
SHOWN = {"element": "entry", "sample": "sample", "label": "label", "batch": "batch"}
_OTHERS = np.array([[0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0]] * 2, bool)
_PARENT_OF = np.zeros((4, 4), bool)
_PARENT_OF[0, 2] = True
_RARE = 1e-3  # a lower frequency than any label of such a small batch can have


def curves(name: str, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns loss and gradient (199,) at `PROBABILITIES`, for a positive or negative entry."""
    entry = find(name)
    labels = _OTHERS.copy()
    labels[0, 0] = positive
    unreduced = {} if entry.kind == "batch" else {"reduction": "none"}
    loss = functools.partial(entry.loss, **_parameters(entry), **unreduced)

    def at(x: Array) -> Array:
        value: Array = loss(_filled(entry, labels.shape).at[0, 0].set(x), jnp.asarray(labels))
        return value[(0,) * value.ndim]

    p = jnp.asarray(PROBABILITIES)
    points = p if entry.takes == "probabilities" else jnp.log(p) - jnp.log1p(-p)
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(at)))(points)
    return np.asarray(value), np.asarray(gradient)


def draw(name: str, path: Path) -> None:
    """Writes the profile of a loss as a PNG file.

    Raises:
        UsageError: the file exists or is not a .png, its folder or matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "--plot needs matplotlib; install it: pip install 'mllosses-jax[cli]'"
        ) from None
    if path.suffix != ".png":
        raise UsageError(f"--plot must name a .png file, got {path}")
    if path.exists():
        raise UsageError(f"{path} exists and is not overwritten; give --plot another name")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder; create it first, or give --plot another")
    entry = find(name)
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    # Where both lines coincide, the first shows through the dashes of the second.
    for positive, color, dashes in ((True, "tab:blue", "-"), (False, "tab:red", "--")):
        for axis, values in zip(axes, curves(name, positive), strict=True):
            label = "positive" if positive else "negative"
            line = {"color": color, "ls": dashes, "lw": 2, "label": f"the label is {label}"}
            axis.plot(PROBABILITIES, values, **line)
    variable = "p" if entry.takes == "probabilities" else "the logit"
    axes[0].set_ylabel(f"loss of the {SHOWN[entry.kind]}")
    axes[1].set_ylabel(f"gradient with respect to {variable}")
    for axis in axes:
        axis.axhline(0, color="0.6", lw=0.8, zorder=0)
        axis.set_xlabel(
            "probability p of the label"
            + ("" if entry.kind == "element" else "  (all others at 1/2)")
        )
        axis.set_xlim(0, 1)
        axis.grid(alpha=0.25)
    axes[0].legend(frameon=False)
    title = f"{name}: {_defaults(entry)}" if _defaults(entry) else name
    figure.suptitle("\n".join(textwrap.wrap(title, 90)))
    with replacing(path) as file:
        figure.savefig(file, dpi=150, format=path.suffix[1:])


def _filled(entry: Entry, shape: tuple[int, ...]) -> Array:
    return jnp.full(shape, 0.5 if entry.takes == "probabilities" else 0.0)


def _parameters(entry: Entry) -> dict[str, Any]:
    """Returns the parameters that the loss requires for the small batch; extra heads give 0."""
    names = tuple(f"label {index}" for index in range(_OTHERS.shape[1]))
    batch = Dataset(name="", label_names=names, x_train=_OTHERS, y_train=_OTHERS)
    heads = {p: jnp.zeros(_OTHERS.shape[: 1 + HEADS[p]]) for p in entry.required if p in HEADS}
    of_few = {
        "affinity": jnp.asarray(_PARENT_OF | _PARENT_OF.T, jnp.float32),
        "ancestors": np.eye(len(names), dtype=bool) | _PARENT_OF,
        "edges": jnp.asarray(np.argwhere(_PARENT_OF), jnp.int32),
        "label_frequencies": jnp.asarray([_RARE, 0.5, 0.25, 0.25]),
    }
    given = from_labels(entry, batch) | heads
    return given | {p: value for p, value in of_few.items() if p in entry.required}


def _defaults(entry: Entry) -> str:
    own = entry.own_parameters.items()
    return ", ".join(f"{p} = {v}" for p, v in own if isinstance(v, int | float | str))
