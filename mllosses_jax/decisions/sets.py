"""Label sets of a given size."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype
from mllosses_jax._core.ordering import ranking_keys

Array = jax.Array


@compiled()
def top_k(scores: ArrayLike, k: int) -> Array:
    """Label sets: the k labels with the highest scores.

    Formula:
        ŷ = [rank of s ≤ k]; of tied scores the lowest index comes first

    Args:
        scores: float array (..., L).
        k: size of every set, 1 to L.

    Returns:
        bool (..., L) with k true in each row; NaN scores come last.

    Raises:
        TypeError: if scores are not floating point, or k is not an integer.
        ValueError: if k is not in 1 to L.

    Reference:
        RCut of Y. Yang, "A Study of Thresholding Strategies for Text Categorization", SIGIR 2001.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import decisions
        >>> decisions.top_k(jnp.array([[0.7, 0.2, 0.5]]), 2)
        Array([[ True, False,  True]], dtype=bool)
    """
    s = checks.float_array("scores", scores)
    s = s.astype(compute_dtype(s))
    checks.set_size(k, s.shape[-1])
    _, top = lax.top_k(~ranking_keys(s, ~jnp.isnan(s)), k)
    return jnp.put_along_axis(jnp.zeros(s.shape, bool), top, True, axis=-1, inplace=False)
