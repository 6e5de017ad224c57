"""Losses that see labels as a measure, which is a distribution times a label count."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.compile import compiled_loss
from mllosses_jax._core.masking import loss_inputs
from mllosses_jax._core.numerics import (
    log_quotient,
    log_sigmoid_pair,
    pair_of_tail,
    sigmoid_pair,
    signed_tail,
    with_slope,
)
from mllosses_jax._core.reduction import masked_sum, reduce_samples
from mllosses_jax._core.softmax import inside, log_softmax_pair, softmax_pair
from mllosses_jax._core.types import AxisName, LossValue, Reduction
from mllosses_jax.losses._cross_entropy import (
    softmax_divergence,
    softmax_entropy,
    through_log_softmax,
)

__all__ = ["abs_kl_divergence", "factorized_count_loss"]

_INF = float("inf")
_LARGEST_EXPONENT = 80.0  # exponentials are constant beyond it, so their gradients are finite
_EPSILON = 1e-7
_LOWEST_COUNT = 0.01


def _bounded_exp(x: Array) -> Array:
    large = x > _LARGEST_EXPONENT
    return jnp.where(large, jnp.exp(_LARGEST_EXPONENT), jnp.exp(jnp.where(large, 0, x)))


def _log_at_least(x: Array, epsilon: Array) -> Array:
    """Returns log(max(x, ε)), to which an x below ε is not passed: ε⁻² may be infinite."""
    above = x > epsilon
    return jnp.where(above, jnp.log(jnp.where(above, x, 1)), jnp.log(epsilon))


def _with_floor(y: Array, epsilon: Array) -> tuple[Array, Array]:
    """Returns P = max(y, ε) and log P for labels y, which are bool if they are hard."""
    if y.dtype == jnp.bool_:
        return jnp.where(y, 1, epsilon), jnp.where(y, 0, jnp.log(epsilon))
    return jnp.maximum(y, epsilon), _log_at_least(y, epsilon)


def _distance(q: Array, log_q: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    """Returns (P − Q)·log(P/Q) with Q = max(q, ε).

    It ends in a select, because XLA would write each factor of a product before it is summed.
    """
    log_floor = jnp.log(epsilon)
    at_floor = (p - epsilon) * (log_p - log_floor)
    above = (p - q) * (log_p - jnp.maximum(log_q, log_floor))  # finite, as its slope in p must be
    return jnp.where(q <= epsilon, at_floor, above)  # NaN must reach the result


def _distance_slope(
    q: Array, log_q: Array, d_q: Array, d_log_q: ArrayLike, p: Array, log_p: Array, epsilon: Array
) -> Array:
    """Returns the derivative of `_distance` where those of q and log q are d_q and d_log_q."""
    log_q = jnp.clip(log_q, jnp.log(epsilon), jnp.finfo(q.dtype).max)
    return jnp.where(q <= epsilon, 0, (q - p) * d_log_q - d_q * (log_p - log_q))


def _sigmoid_slope(x: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    q, rest = sigmoid_pair(x)
    return _distance_slope(q, log_sigmoid_pair(x)[0], q * rest, rest, p, log_p, epsilon)


@with_slope(_sigmoid_slope)
def _distance_of_sigmoid(x: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    return _distance(sigmoid_pair(x)[0], log_sigmoid_pair(x)[0], p, log_p, epsilon)


@with_slope()
def _distance_of_sigmoid_from_soft(x: Array, y: Array, epsilon: Array) -> tuple[Array, Array]:
    """Returns (P − Q)·log(P/Q) and its slope for soft labels, whose logarithm costs as much again.

    With the sum these are five passes over (B, L) arrays: the tail of the probabilities, the
    quotient in the logarithm of P/Q, the value and its sum, and the slope.
    """
    tail = signed_tail(x)
    q, rest = pair_of_tail(tail)
    p, above = jnp.maximum(y, epsilon), jnp.maximum(q, epsilon)
    difference = jnp.where(tail > 0, (p - 1) + rest, p - above)
    log_ratio = log_quotient(p, above, difference)
    at_floor = q <= epsilon
    value = jnp.where(at_floor, (p - epsilon) * log_ratio, difference * log_ratio)
    return value, jnp.where(at_floor, 0, -rest * (difference + q * log_ratio))


def _exp_slope(x: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    q = _bounded_exp(x)
    d_q = jnp.where(x > _LARGEST_EXPONENT, 0, q)
    return _distance_slope(q, x, d_q, 1, p, log_p, epsilon)


@with_slope(_exp_slope, share=True)
def _distance_of_exp(x: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    return _distance(_bounded_exp(x), x, p, log_p, epsilon)


def _softmax_slope(x: Array, p: Array, log_p: Array, where: Array | None, epsilon: Array) -> Array:
    s, rest = softmax_pair(x)
    change = -_exp_slope(log_softmax_pair(x)[0], p, log_p, epsilon)
    change = change if where is None else jnp.where(where, change, 0)
    return through_log_softmax(s, rest, change)


@with_slope(_softmax_slope, share=True, over_labels=True)
def _sum_of_softmax(x: Array, p: Array, log_p: Array, where: Array | None, epsilon: Array) -> Array:
    log_s, _ = log_softmax_pair(x)
    distances = _distance(jnp.exp(log_s), log_s, p, log_p, epsilon)
    return masked_sum(distances, where, None, axis=-1)


def _identity_slope(q: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    d_log_q = 1 / jnp.maximum(q, epsilon)
    return _distance_slope(
        q, _log_at_least(q, epsilon), jnp.ones_like(q), d_log_q, p, log_p, epsilon
    )


@with_slope(_identity_slope, share=True)
def _distance_of_measure(q: Array, p: Array, log_p: Array, epsilon: Array) -> Array:
    return _distance(q, _log_at_least(q, epsilon), p, log_p, epsilon)


@compiled_loss(epsilon=(1e-30, 1))
def abs_kl_divergence(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    activation: Literal["sigmoid", "softmax", "exp"] | None = "sigmoid",
    epsilon: ArrayLike = 1e-7,
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Absolute (symmetric) Kullback-Leibler divergence of labels and predictions as measures.

    Formula:
        ℓ = Σ_c |(P_c − Q_c)·log(P_c/Q_c)| = KL(P‖Q) + KL(Q‖P)
        P = max(y, ε),  Q = max(a(x), ε)

    Neither side needs to sum to 1. A negative costs about Q·log(Q/ε), so the loss depends on ε and
    has no limit for ε → 0.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): label sets, or distributions if they are
            divided by their sum.
        activation: a: "sigmoid"; "softmax", which suits distributions; "exp", bounded by e^80; or
            None if the logits are the predicted measure itself.
        epsilon: ε in [1e-30, 1], a scalar: the floor of both sides. Where Q is below it the
            gradient is 0.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss in nats per sample, summed over labels: (...) with "none", else (). Empty and
        full sets are ordinary measures.

    Reference:
        H. Jeffreys, "An Invariant Form for the Prior Probability in Estimation Problems", 1946;
        the floors come from a loss for Keras on stats.stackexchange.com.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import abs_kl_divergence
        >>> logits, labels = jnp.array([[2.0, -1.0]]), jnp.array([[1, 0]])
        >>> print(f"{abs_kl_divergence(logits, labels):.4f}")
        3.9968
    """
    checks.one_of("activation", activation, ("sigmoid", "softmax", "exp", None))
    inputs = loss_inputs(logits, labels, where)
    floor = checks.scalar("epsilon", epsilon, inputs.x.dtype)
    x = inputs.x
    p, log_p = _with_floor(inputs.y, floor)
    if activation == "softmax":
        losses = _sum_of_softmax(inside(x, inputs.where), p, log_p, inputs.where, floor)
    elif activation == "sigmoid" and not inputs.hard:
        distances = _distance_of_sigmoid_from_soft(x, inputs.y, floor)
        losses = masked_sum(distances, inputs.where, None, axis=-1)
    else:
        distance = {
            "sigmoid": _distance_of_sigmoid,
            "exp": _distance_of_exp,
            None: _distance_of_measure,
        }[activation]
        losses = masked_sum(distance(x, p, log_p, floor), inputs.where, None, axis=-1)
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)


def _poisson_slope(log_rate: Array, count: Array) -> Array:
    return _bounded_exp(log_rate) - count


@with_slope(_poisson_slope)
def _poisson(log_rate: Array, count: Array) -> Array:
    return jnp.exp(log_rate) - count * log_rate


@compiled_loss(count_weight=(0, _INF))
def factorized_count_loss(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    count_logits: ArrayLike,
    count: Literal["mse", "poisson"] = "mse",
    count_weight: ArrayLike = 1.0,
    on: Literal["factors", "product"] = "factors",
    weights: ArrayLike | None = None,
    where: ArrayLike | None = None,
    reduction: Reduction = "mean",
    axis_name: AxisName = None,
) -> LossValue:
    """Factorized count loss: a distribution says which labels, and a count says how many.

    Formula:
        ℓ = D + λ·C,  q = y/Σy,  k = Σy,  s = softmax(x)
        "mse":      n = u,    C = (n − k)²
        "poisson":  n = e^u,  C = n − k·log n
        "factors":  D = KL(q‖s)
        "product":  D = Σ_c |(P_c − Q_c)·log(P_c/Q_c)|, P = max(y, 1e-7),
                    Q = max(max(n, 0.01)·s, 1e-7)

    If each label is a Poisson variable, its loss Σ_c (exp x_c − y_c·x_c) is k times the
    cross-entropy of q and s, plus the C of "poisson" at u = LSE(x).
    `decisions.sets_from_counts` turns scores and n into label sets.

    Args:
        logits: float array (..., L).
        labels: bool, integer or float array (..., L): label sets, or soft labels.
        count_logits: u, float array (...), the output of a second head: the expected count with
            "mse", its logarithm with "poisson". It is not used for samples without a label that
            counts.
        count: "mse" or "poisson", the loss of the count.
        count_weight: λ ≥ 0, a scalar. With on="product" it may be 0, because D depends on n too,
            though without a gradient if n is below its floor.
        on: "factors" compares the distributions; "product" compares the labels with n·s, as
            measures.
        weights: scale factors of the samples, shape (...).
        where: bool array of the rank of logits, axes equal or 1: which labels take part, in the
            softmax and in the count.
        reduction: "none", "sum", "mean", "batchmean", "weighted_mean" or "sum_and_count".
        axis_name: mesh axis over which sums and counts are taken inside `shard_map`.

    Returns:
        The loss per sample: (...) with "none", else (). An empty set has D = 0 with "factors", but
        always the loss of its count. "poisson" leaves out log k!, so it may be negative.

    Reference:
        A proposal for Keras on stats.stackexchange.com; for the Poisson case see S. G. Baker, "The
        Multinomial-Poisson Transformation", 1994.

    Example:
        >>> import jax.numpy as jnp
        >>> from mllosses_jax import factorized_count_loss
        >>> logits, labels = jnp.array([[2.0, -1.0, 0.0]]), jnp.array([[1, 0, 1]])
        >>> print(f"{factorized_count_loss(logits, labels, count_logits=jnp.array([1.5])):.4f}")
        0.7267
    """
    checks.one_of("count", count, ("mse", "poisson"))
    checks.one_of("on", on, ("factors", "product"))
    inputs = loss_inputs(logits, labels, where)
    u = checks.per_sample("count_logits", count_logits, inputs.x)
    if inputs.where is not None:
        u = jnp.where(jnp.any(inputs.where, axis=-1), u, 0)
    size = inputs.label_sum()
    of_count = (u - size) ** 2 if count == "mse" else _poisson(u, size)
    x = inside(inputs.x, inputs.where)
    if on == "factors":
        scale, total = inputs.per_label(), (size != 0).astype(x.dtype)
        if inputs.hard:
            entropy = softmax_entropy(x, inputs.y, scale, total)
            divergence = entropy - jnp.log(jnp.maximum(size, 1))
        else:
            divergence = softmax_divergence(x, inputs.y, scale, total)
    else:
        n = jnp.maximum(u if count == "mse" else _bounded_exp(u), _LOWEST_COUNT)[..., None]
        log_s = log_softmax_pair(x)[0]
        epsilon = jnp.asarray(_EPSILON, x.dtype)
        p, log_p = _with_floor(inputs.y, epsilon)
        distances = _distance_of_exp(jnp.log(n) + log_s, p, log_p, epsilon)
        divergence = masked_sum(distances, inputs.where, None, axis=-1)
    losses = divergence + checks.scalar("count_weight", count_weight, x.dtype) * of_count
    return reduce_samples(losses, inputs.where, weights, reduction, axis_name)
