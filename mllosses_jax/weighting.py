"""Weights and biases from label counts, for imbalanced and long-tailed labels.

All take `label_counts` (L,), the number of positives of each label in the training data, and
return arrays (L,) for `pos_weight`, `weights` or a bias initialiser. A label without positives
never gives inf or NaN; what it gives instead is documented.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled
from mllosses_jax._core.masking import compute_dtype

Array = jax.Array
_INF = float("inf")


def _counts(label_counts: ArrayLike) -> Array:
    counts = checks.array("label_counts", label_counts)
    if counts.ndim != 1:
        raise ValueError(f"label_counts must have shape (L,), got {counts.shape}")
    return counts.astype(compute_dtype(counts))


@compiled(beta=(0, 1))
def effective_number_weights(label_counts: ArrayLike, beta: ArrayLike = 0.999) -> Array:
    """Class-balanced weights from the effective number of samples.

    Formula:
        w_c ∝ (1 − β) / (1 − β^{n_c}),  Σ_c w_c = L

    Args:
        label_counts: n, array (L,): positives of each label.
        beta: β in [0, 1]: 0 gives equal weights, 1 gives inverse counts.

    Returns:
        Weights (L,) with mean 1. A label without positives counts as if it had one.

    Raises:
        ValueError: if label_counts is not (L,), or beta not in [0, 1].

    Reference:
        Y. Cui, M. Jia, T.-Y. Lin, Y. Song and S. Belongie, "Class-Balanced Loss Based on
        Effective Number of Samples", 2019, arXiv:1901.05555.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> weights = weighting.effective_number_weights(jnp.array([30, 10]), 1.0)
        >>> print([f"{weight:.3f}" for weight in weights])
        ['0.500', '1.500']
    """
    counts = jnp.maximum(_counts(label_counts), 1)
    b = checks.scalar("beta", beta, counts.dtype)
    inside = jnp.where((b > 0) & (b < 1), b, 0.5)
    # expm1 keeps 1 - beta ** n accurate for beta close to 1
    effective = -jnp.expm1(counts * jnp.log1p(inside - 1)) / (1 - inside)
    effective = jnp.where(b == 1, counts, jnp.where(b == 0, 1, effective))
    weights = 1 / effective
    return weights * (counts.shape[0] / jnp.sum(weights))


@compiled(num_samples=(2, _INF))
def negative_positive_ratio(label_counts: ArrayLike, num_samples: ArrayLike) -> Array:
    """Ratio of negatives to positives of each label, the usual `pos_weight`.

    Formula:
        w_c = (N − n_c) / n_c

    Args:
        label_counts: n, array (L,): positives of each label.
        num_samples: N ≥ 2, a scalar, or (L,) where each label was known for another number of
            samples.

    Returns:
        Ratios (L,). Counts are clamped to [1, N − 1]: an absent label gets N − 1, a universal
        one 1/(N − 1).

    Raises:
        ValueError: if label_counts is not (L,), or num_samples below 2.

    Reference:
        PyTorch, `torch.nn.BCEWithLogitsLoss` (`pos_weight`).

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> print(weighting.negative_positive_ratio(jnp.array([50, 10]), 100))
        [1. 9.]
    """
    counts = _counts(label_counts)
    total = checks.per_label("num_samples", num_samples, counts.shape[0], counts.dtype)
    total = jnp.maximum(total, 2)  # where its value was not known
    counts = jnp.clip(counts, 1, total - 1)
    return (total - counts) / counts


@compiled()
def prior_bias(prior: ArrayLike) -> Array:
    """Bias of the output layer with which an untrained model predicts the prior.

    Formula:
        b_c = log(π_c / (1 − π_c))

    Args:
        prior: π, float array of any shape: share of positives, such as counts / N, or 0.01
            for all labels as in RetinaNet.

    Returns:
        Biases of the same shape, finite: priors are clamped to [1e-6, 1 − 1e-6].

    Raises:
        TypeError: if prior is not floating point, as counts are not.

    Reference:
        T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object
        Detection", 2017, arXiv:1708.02002, section 4.1.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import weighting
        >>> print(f"{weighting.prior_bias(0.01):.4f}")
        -4.5951
    """
    p = checks.array("prior", prior)
    if not jnp.issubdtype(p.dtype, jnp.floating):
        raise TypeError(f"prior must be shares of positives, floats in [0, 1], got {p.dtype}")
    p = p.astype(compute_dtype(p))
    p = jnp.clip(p, 1e-6, 1 - 1e-6)
    return jnp.log(p) - jnp.log1p(-p)
