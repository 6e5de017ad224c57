"""Which losses are compared, and how each is called."""

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from mllosses_jax.catalogue import CATALOGUE, Entry, find
from mllosses_jax.compare.errors import UsageError
from mllosses_jax.data import Dataset

BASELINE = "sigmoid_binary_cross_entropy"
DEFAULT = (
    BASELINE,
    "sigmoid_focal_loss",
    "asymmetric_loss",
    "balanced_binary_cross_entropy",
    "softmax_cross_entropy",
    "soft_f1_loss",
    "zlpr_loss",
    "lsep_loss",
    "two_way_loss",
)


def choose(text: str | None) -> tuple[str, ...]:
    """Returns the names of the losses asked for: the default, "all", or names and commas.

    Args:
        text: what stands after ``--losses``; None for the default.

    Returns:
        The names, each once, the baseline first if it is among them.

    Raises:
        UsageError: a name is unknown, or its loss cannot be trained here.
    """
    if text is None:
        return DEFAULT
    if text == "all":
        names = [entry.name for entry in CATALOGUE if _obstacle(entry) is None]
    else:
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("--losses names no loss; give names separated by commas, or all")
    for name in names:
        try:
            obstacle = _obstacle(find(name))
        except KeyError as error:
            raise UsageError(f"{error.args[0]} (`mllosses list` shows all)") from None
        if obstacle is not None:
            raise UsageError(f"{name} cannot be compared: {obstacle}")
    return tuple(sorted(names, key=lambda name: name != BASELINE))


def bind(name: str, dataset: Dataset) -> Callable[..., Any]:
    """Returns the loss with the parameters that have no default, taken from the training data.

    Alpha is each label's share of negatives, so that positives and negatives weigh the same.

    Args:
        name: a name that `choose` returned.
        dataset: its training part gives the frequencies.
    """
    entry = find(name)
    if "alpha" not in entry.required:
        return entry.loss
    known = np.ones_like(dataset.y_train) if dataset.mask_train is None else dataset.mask_train
    total = np.maximum(known.sum(0), 2)
    positives = np.clip((dataset.y_train & known).sum(0), 1, total - 1)
    return functools.partial(entry.loss, alpha=jnp.asarray(1 - positives / total, jnp.float32))


def _obstacle(entry: Entry) -> str | None:
    """Why a loss cannot be trained on logits and labels alone, or None."""
    if entry.takes != "logits":
        return f"it takes {entry.takes}, and models here give logits"
    needed = [name for name in entry.required if name != "alpha"]
    if needed:
        return f"it needs {', '.join(needed)}, which the data do not hold"
    return None
