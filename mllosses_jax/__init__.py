"""Multi-label learning in JAX: losses, metrics, decisions, training and data.

    >>> import jax.numpy as jnp
    >>> import mllosses_jax as mll
    >>> logits = jnp.array([[2.0, -1.0, 0.5]])
    >>> labels = jnp.array([[1, 0, 1]])
    >>> print(f"{mll.sigmoid_binary_cross_entropy(logits, labels):.4f}")
    0.3048

`mllosses_jax.losses` states the conventions that every loss keeps; `mllosses_jax.catalogue`
lists them all.
"""

from mllosses_jax import catalogue as catalogue
from mllosses_jax import data as data
from mllosses_jax import decisions as decisions
from mllosses_jax import labels as labels
from mllosses_jax import losses as losses
from mllosses_jax import metrics as metrics
from mllosses_jax import training as training
from mllosses_jax import weighting as weighting
from mllosses_jax.losses import *  # noqa: F403

__all__ = sorted(
    [
        "catalogue",
        "data",
        "decisions",
        "labels",
        "losses",
        "metrics",
        "training",
        "weighting",
        *(entry.name for entry in catalogue.CATALOGUE),
    ]
)
__version__ = "0.1.0"
