"""The generalized robust loss, for data in which a few positives are observed."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import is_positive, loss_inputs
from mllosses_jax._core.numerics import log_sigmoid_pair, power, sigmoid_pair, with_slope
from mllosses_jax._core.reduction import reduce_elements
from mllosses_jax._core.types import AxisName, Exponent, LossValue, Reduction
from mllosses_jax.losses._power_loss import power_loss

__all__ = ["generalized_robust_loss"]

_INF = float("inf")


class _Belief(NamedTuple):
    """What the model itself says of an unobserved label."""

    k: Array  # how far it is a missing positive
    rest: Array  # 1 − k
    v: Array  # how much it counts


def _belief(x: Array, w: Array, b: Array, mu: Array, sigma: Array) -> _Belief:
    p, _ = sigmoid_pair(x)
    gap = (p - mu) / sigma
    return _Belief(*sigmoid_pair(w * p + b), jnp.exp(-gap * gap / 2))


def _robust_slope(
    x: Array, y: Array, w: Array, b: Array, mu: Array, sigma: Array, q2: Exponent, q3: Exponent
) -> Array:
    k, rest, v = _belief(x, w, b, mu, sigma)
    (log_p, log_q), (p, q) = log_sigmoid_pair(x), sigmoid_pair(x)
    missing, negative = -power(p, log_p, q2) * q, power(q, log_q, q3) * p
    return jnp.where(y, -q, v * (k * missing + rest * negative))


@with_slope(_robust_slope)
def _robust(
    x: Array, y: Array, w: Array, b: Array, mu: Array, sigma: Array, q2: Exponent, q3: Exponent
) -> Array:
    k, rest, v = _belief(x, w, b, mu, sigma)
    (log_p, log_q), (p, q) = log_sigmoid_pair(x), sigmoid_pair(x)
    missing, negative = _power_loss(log_p, q, q2), _power_loss(log_q, p, q3)
    return jnp.where(y, -log_p, v * (k * missing + rest * negative))


def _power_loss(log_p: Array, rest: Array, order: Exponent) -> Array:
    """Returns (1 − p^order)/order for rest = 1 − p, which it is for a constant order of 1."""
    return rest if isinstance(order, int) and order == 1 else power_loss(log_p, order)


def _pseudo_weights(
    x: Array, positive: Array, mu: Array, sigma: Array, rho: Array, low: Array, high: Array
) -> tuple[Array, Array]:
    """Returns the weights of −log p and of −log(1 − p) for a pseudo-label."""
    p, _ = sigmoid_pair(x)
    gap = (p - mu) / sigma
    v = jnp.exp(-gap * gap / 2)
    doubt = jnp.clip(-jnp.expm1(-gap * gap / 2), low, high)
    return jnp.where(positive, rho * doubt, 0), jnp.where(positive, (1 - rho) * doubt, v)


def _pseudo_slope(x: Array, positive: Array, *parameters: Array) -> Array:
    p, q = sigmoid_pair(x)
    on, off = _pseudo_weights(x, positive, *parameters)
    return off * p - on * q


@with_slope(_pseudo_slope)
def _pseudo(x: Array, positive: Array, *parameters: Array) -> Array:
    log_p, log_q = log_sigmoid_pair(x)
    on, off = _pseudo_weights(x, positive, *parameters)
    return -on * log_p - off * log_q


@compiled_loss(
    mu=(0, 1),
    sigma=(1e-6, _INF),
    q2=(0, 1),
    q3=(0, 1),
    rho=(0, 1),
    lamb_low=(0, 1),
    lamb_high=(0, 1),
)
def generalized_robust_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    w: ArrayLike = 2.0,
    b: ArrayLike = -2.0,
    mu: ArrayLike = 0.8,
    sigma: ArrayLike = 0.5,
    q2: ArrayLike = 0.01,
    q3: ArrayLike = 1.0,
    pseudo_labels: ArrayLike | None = None,
    pseudo_where: ArrayLike | None = None,
    rho: ArrayLike = 0.9,
    lamb_low: ArrayLike = 0.2,
    lamb_high: ArrayLike = 0.8,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Generalized robust loss (GR, GPR): an unobserved label is a missing positive in part.

    Formula:
        observed positive  ℓ = −log p
        unobserved         ℓ = V·[K·(1 − p^q₂)/q₂ + (1 − K)·(1 − (1 − p)^q₃)/q₃]
        pseudo-positive    ℓ = U·[−ρ·log p − (1 − ρ)·log(1 − p)]
        pseudo-negative    ℓ = −V·log(1 − p),  p = σ(x)
        K = σ(w·p + b),  V = exp(−(p − μ)²/(2·σ²)),  U = min(max(1 − V, λ₀), λ₁)

    K says how far the model takes the label for positive, and V how much the label counts. The
    authors begin with w = 0, μ = 0.5, σ = 2 and move linearly, from epoch to epoch, to the defaults
    here; pass arrays, such as `jnp.asarray(2 * epoch / epochs)`, to do so without recompilation.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): observed where above 0, unknown elsewhere.
        w: a number, a scalar or (L,).
        b: a number, a scalar or (L,).
        mu: μ in [0, 1], a scalar or (L,).
        sigma: σ ≥ 1e-6, a scalar or (L,): the spread of V.
        q2: q₂ in [0, 1], a scalar or (L,), as q of `generalized_binary_cross_entropy`.
        q3: q₃ in [0, 1], a scalar or (L,).
        pseudo_labels: array (..., L), such as what a vision-language model says, positive where
            above 0, or None.
        pseudo_where: bool array (..., L): which of the unknown labels are pseudo-labelled; required
            with pseudo_labels. An observed positive stays one.
        rho: ρ in [0, 1], a scalar or (L,): how far pseudo-positives are believed.
        lamb_low: λ₀ in [0, 1], a scalar or (L,): the least weight of a pseudo-positive.
        lamb_high: λ₁ in [0, 1], a scalar or (L,): its largest weight.
        weights: scale factors: (L,) per label, (..., 1) per sample, (..., L) per entry.
        where: bool array of the rank of logits, axes equal or 1: which entries count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss: (..., L) with "none", else (). The slope holds K, V and U constant, as the
        authors' code does, and higher derivatives are those of this slope. The authors' code is
        "mean", except that theirs computes log(p + 1e-7); with pseudo-labels they add a thousandth
        of the regulariser of `expected_positive_regularized_loss`.

    Raises:
        ValueError: if only one of pseudo_labels and pseudo_where is given.

    Reference:
        Y. Chen, C. Li, X. Dai, J. Li, W. Sun, Y. Wang, R. Zhang, T. Zhang and B. Wang, "Boosting
        Single Positive Multi-label Classification with Generalized Robust Loss", 2024 (IJCAI),
        arXiv:2405.03501; for pseudo-labels V. Tran et al., 2025 (ICCV), arXiv:2508.20381.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import generalized_robust_loss
        >>> logits, labels = jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]])
        >>> print(generalized_robust_loss(logits, labels, reduction="none").round(4))
        [[0.6931 0.4605]]
    """
    inputs = loss_inputs(logits, labels, where, arithmetic=True)
    x, observed = inputs.x, inputs.positives()

    def parameter(name: str, value: ArrayLike) -> Array:
        return checks.element_parameter(name, value, x)

    shape = parameter("mu", mu), parameter("sigma", sigma)
    orders = checks.exponent("q2", q2, x), checks.exponent("q3", q3, x)
    losses = _robust(x, observed, parameter("w", w), parameter("b", b), *shape, *orders)
    chosen = checks.mask("pseudo_where", pseudo_where, x.shape)
    if (pseudo_labels is None) != (chosen is None):
        raise ValueError("pseudo_labels and pseudo_where must be given together")
    if pseudo_labels is not None and chosen is not None:
        given = checks.label_array("pseudo_labels", pseudo_labels)
        checks.same_shape("pseudo_labels", given, "logits", x)
        bounds = parameter("lamb_low", lamb_low), parameter("lamb_high", lamb_high)
        of_pseudo = _pseudo(x, is_positive(given), *shape, parameter("rho", rho), *bounds)
        losses = jnp.where(chosen & inputs.counted() & ~observed, of_pseudo, losses)
    return reduce_elements(losses, inputs.where, weights, reduction, axis_name)
