"""Multi-label learning in JAX: one sample carries several labels at once.

The losses are pure functions in this package, compiled when they are called:

    loss(logits, labels, *, <own parameters>, weights=None, where=None,
         reduction="mean", axis_name=None)

`logits` and `labels` have the same shape (..., L), with the label axis last, and nothing is
broadcast. `where` says which entries count: masked entries contribute exactly zero to value and
gradient. Losses and their first two derivatives are accurate at extreme logits.
`mllosses_jax.losses` states all conventions, and `mllosses_jax.catalogue` lists the losses.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> import mllosses_jax as mll
    >>> logits = jnp.array([[2.0, -1.0, 0.5], [-3.0, 0.1, 1.0]])
    >>> labels = jnp.array([[1, 0, 1], [0, 0, 1]])
    >>> known = jnp.array([[True, True, True], [True, False, True]])
    >>> loss, gradient = jax.value_and_grad(mll.sigmoid_binary_cross_entropy)(
    ...     logits, labels, where=known)
    >>> print(f"{loss:.4f}, at the unknown label {gradient[1, 1]}")
    0.2552, at the unknown label 0.0

Functions that turn scores into decisions or judge them also take the model's output first, and
`where`:

    >>> thresholds = mll.decisions.tune_thresholds(logits, labels, scope="global", where=known)
    >>> predictions = mll.decisions.apply_thresholds(logits, thresholds)
    >>> print(mll.metrics.f1(predictions, labels, average="micro", where=known))
    1.0

Where things are:

- `losses`: the losses by family; `labels` converts label encodings to `labels` and `where`;
  `weighting` makes weights and priors from label counts; `pseudo_labels` keeps estimated labels.
- `metrics`: exact metrics; `metrics.streaming`: accumulators over batches and devices.
- `decisions`: thresholds, sets of a given size, sets with the highest expected F.
- `calibration`: from logits to probabilities, per label.
- `heads`: linear layers over very many labels, whose logits never exist all at once.
- `plots`: pictures of scores, decisions and comparisons, as matplotlib Axes.
- `training`: steps for any optax optimiser and any model; many seeds in one program.
- `data`: readers, an embedded data set, splits.
- `compare`: the experiment that compares losses; `cli`: the command `mllosses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mllosses_jax import losses as losses
from mllosses_jax._core.public import show_public_names
from mllosses_jax.losses import *

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mllosses_jax import calibration as calibration
    from mllosses_jax import catalogue as catalogue
    from mllosses_jax import data as data
    from mllosses_jax import decisions as decisions
    from mllosses_jax import heads as heads
    from mllosses_jax import labels as labels
    from mllosses_jax import metrics as metrics
    from mllosses_jax import plots as plots
    from mllosses_jax import pseudo_labels as pseudo_labels
    from mllosses_jax import training as training
    from mllosses_jax import weighting as weighting
else:  # submodules are imported on first use: importing all would double the import time
    _SUBMODULES = (
        "calibration",
        "catalogue",
        "data",
        "decisions",
        "heads",
        "labels",
        "losses",
        "metrics",
        "plots",
        "pseudo_labels",
        "training",
        "weighting",
    )
    __all__ = sorted([*_SUBMODULES, *losses.__all__])
    show_public_names(__name__, lazy=_SUBMODULES)
