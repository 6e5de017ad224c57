"""Softmax and log-sum-exp, with analytic derivatives.

All exponentials are relative to the largest entry. It is taken apart, so that its own 1 − s is the
sum of the others, which does not round to 0 when it is nearly certain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

from mllosses_jax._core.numerics import with_slope
from mllosses_jax._core.platforms import largest_of_terms, sum_of_terms
from mllosses_jax._core.reduction import all_sum
from mllosses_jax._core.types import AxisName

_LARGEST_EXPONENT = 80.0  # its exponential is finite in float32


@with_slope(jnp.ones_like, share=True)
def below_inf(x: Array) -> Array:
    """Returns x with inf replaced by the largest finite number, and the slope of the identity."""
    return jnp.minimum(x, jnp.finfo(x.dtype).max)


def log_sum_exp(
    x: Array, weights: Array, axis: int | tuple[int, ...], axis_name: AxisName = None
) -> Array:
    """Returns log(sum of weights * exp(x)) along `axis`, -inf with zero gradient if all are 0.

    Args:
        x: exponents; infinite ones share the gradient.
        weights: non-negative weights of the same shape; a bool mask selects a set.
        axis: the axes to sum over.
        axis_name: mesh axes over which `axis` continues.
    """
    if weights.dtype == jnp.bool_:
        top, below = below_top(x, weights, axis, axis_name)
        return top + log_total(jnp.exp(below), axis, axis_name)
    return _weighted_log_sum_exp(x, weights, axis, axis_name)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _weighted_log_sum_exp(
    x: Array, weights: Array, axis: int | tuple[int, ...], axis_name: AxisName
) -> tuple[Array, Array, Array]:
    """Returns ℓ = log Σ w·exp(x), its derivative w·exp(x − ℓ) in x, and exp(x − ℓ), that in w.

    With the derivatives as results, those of second order have no square of a tiny sum.
    """
    live = weights > 0
    top, below = below_top(x, live, axis, axis_name)
    terms = jnp.where(live, weights * jnp.exp(below), 0)
    total = all_sum(jnp.sum(terms, axis=axis), axis_name)
    empty = total == 0
    safe = jnp.where(empty, 1, total)
    value = jnp.where(empty, -jnp.inf, top + jnp.log(safe))
    by_x = terms * jnp.expand_dims(jnp.where(empty, 0, 1 / safe), axis)
    finite = jnp.expand_dims(jnp.minimum(value, jnp.finfo(x.dtype).max), axis)
    exponent = jnp.where(jnp.expand_dims(empty, axis), -jnp.inf, x - finite)
    return value, by_x, jnp.exp(jnp.minimum(exponent, _LARGEST_EXPONENT))


@functools.partial(_weighted_log_sum_exp.defjvp, symbolic_zeros=True)
def _weighted_log_sum_exp_jvp(axis: Any, axis_name: AxisName, primals: Any, tangents: Any) -> Any:
    value, by_x, by_weight = _weighted_log_sum_exp(*primals, axis, axis_name)
    dx, dw = tangents
    relative = jnp.zeros_like(by_x) if isinstance(dx, SymbolicZero) else dx
    change = by_x * relative
    if not isinstance(dw, SymbolicZero):
        change = change + by_weight * dw
    d_value = all_sum(jnp.sum(change, axis=axis), axis_name)
    d_values = jnp.expand_dims(d_value, axis)
    d_by_x, d_by_weight = change - by_x * d_values, by_weight * (relative - d_values)
    return (value, by_x, by_weight), (d_value, d_by_x, d_by_weight)


@jax.custom_jvp
def only(x: Array, entries: Array) -> Array:
    """Returns exponents of some entries, and -inf elsewhere.

    The derivative is that of the identity: elsewhere the exponential, and with it the derivative of
    a sum of exponentials, is 0 anyway, and the gradient need not read which entries these are.
    """
    return jnp.where(entries, x, -jnp.inf)


@only.defjvp
def _only_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    return only(*primals), tangents[0]


def below_top(
    x: Array, entries: Array, axis: int | tuple[int, ...], axis_name: AxisName = None
) -> tuple[Array, Array]:
    """Returns the largest of the entries along `axis`, never -inf, and the entries minus it.

    The difference is -inf elsewhere. The largest is a constant for derivatives. In the difference,
    infinity is taken for the largest finite number.
    """
    inside = only(x, entries)
    top = jnp.max(jax.lax.stop_gradient(inside), axis=axis, initial=-jnp.inf)
    if axis_name is not None:
        top = jax.lax.pmax(top, axis_name)
    lowest, largest = jnp.finfo(x.dtype).min, jnp.finfo(x.dtype).max
    center = jnp.clip(top, lowest, largest)
    return jnp.maximum(top, lowest), below_inf(inside) - jnp.expand_dims(center, axis)


def top_of_terms(
    terms: Callable[..., Array],
    arrays: tuple[Array, ...],
    axis: int | tuple[int, ...],
    axis_name: AxisName,
) -> Array:
    """Returns the largest of terms(*arrays) along `axis`, never -inf; see `largest_of_terms`."""
    top = largest_of_terms(terms, arrays, _not_negative(axis, arrays[0].ndim))
    if axis_name is not None:
        top = jax.lax.pmax(top, axis_name)
    return jnp.maximum(top, jnp.finfo(top.dtype).min)


def log_total(terms: Array, axis: int | tuple[int, ...], axis_name: AxisName = None) -> Array:
    """Returns the logarithm of the sum along `axis`, -inf with zero gradient where that is 0."""
    return log_or_none(all_sum(jnp.sum(terms, axis=axis), axis_name))


def log_or_none(total: Array) -> Array:
    """Returns the logarithm of a sum, -inf with zero gradient where that is 0."""
    empty = total == 0
    return jnp.where(empty, -jnp.inf, jnp.log(jnp.where(empty, 1, total)))


@jax.custom_jvp
def signed_exp(exponents: Array, negated: Array) -> Array:
    """Returns exp(z), and −exp(z) where `negated`, for two sums that `sums_by_sign` takes.

    So one array holds the terms of both, and later passes need no labels to tell them apart.
    """
    return jnp.where(negated, -1.0, 1.0) * jnp.exp(exponents)


@signed_exp.defjvp
def _signed_exp_jvp(primals: Any, tangents: Any) -> tuple[Array, Array]:
    terms = signed_exp(*primals)
    return terms, terms * tangents[0]


def sums_by_sign(terms: Array, axis: int | tuple[int, ...]) -> tuple[Array, Array]:
    """Returns the sums of the terms above 0 and of minus those below 0, along `axis`."""
    # A NaN counts in both. Negating the sums instead of the terms keeps the gradient cheap.
    above, below = sum_of_terms(
        lambda terms: (jnp.where(terms < 0, 0, terms), jnp.where(terms > 0, 0, terms)),
        (terms,),
        _not_negative(axis, terms.ndim),
    )
    return above, -below


def _not_negative(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return tuple(a % ndim for a in (axis if isinstance(axis, tuple) else (axis,)))


class SoftmaxTerms(NamedTuple):
    """The terms of a softmax relative to the largest term.

    Attributes:
        shifted: x − max(x), shape (..., L).
        scaled: exp(shifted), shape (..., L).
        outside: the sum of all scaled terms except this one, shape (..., L).
        rest: the sum of all scaled terms except the largest, shape (...).
    """

    shifted: Array
    scaled: Array
    outside: Array
    rest: Array


def softmax_terms(x: Array) -> SoftmaxTerms:
    """Returns the terms of the softmax along the last axis; entries of -inf are outside it.

    These are four passes over (B, L) arrays: the largest, the terms and their sum, and, beyond a
    plain softmax, the sum without the largest.
    """
    top = jnp.max(x, axis=-1, initial=-jnp.inf)
    # The bound changes no finite logit. It makes XLA write (B,) largest entries, not (B, L) copies.
    top = jnp.clip(top, jnp.finfo(x.dtype).min, jnp.finfo(x.dtype).max)
    shifted = x - top[..., None]
    scaled = jnp.exp(shifted)
    is_top = scaled == 1
    # What is behind the point is 0 for a 1. Unlike a select, XLA's CPU backend does not write it.
    below = sum_of_terms(lambda scaled: scaled - jnp.floor(scaled), (scaled,), (x.ndim - 1,))
    total = jnp.sum(scaled, axis=-1)
    # If several entries are the largest, nothing cancels in total - 1. If exp(0) were not quite 1
    # somewhere, no entry would be 1, and only digits would be lost. A select would make it 1, but
    # the softmax cross-entropy took 4 % longer with it.
    one = jnp.abs(total - below - 1) < 0.5
    rest = jnp.where(one, below, jnp.maximum(total - 1, 0))
    outside = jnp.where(is_top, rest[..., None], 1 + rest[..., None] - scaled)
    return SoftmaxTerms(shifted, scaled, outside, rest)


@jax.custom_jvp
def softmax_pair(x: Array) -> tuple[Array, Array]:
    """Returns (s, 1 - s) for s = softmax(x) along the last axis.

    The largest entry is treated separately: if R is the sum of the others relative to it, its
    1 - s is R / (1 + R), which does not round to 0 when the entry is nearly certain. Entries of
    -inf are outside the softmax.
    """
    _, scaled, outside, rest = softmax_terms(x)
    share = 1 / (1 + rest[..., None])
    return scaled * share, outside * share


@softmax_pair.defjvp
def _softmax_pair_jvp(primals: Any, tangents: Any) -> Any:
    s, rest = softmax_pair(*primals)
    change = s * _log_softmax_change(s, rest, tangents[0])
    return (s, rest), (change, -change)


@jax.custom_jvp
def softmax_excess(x: Array, labels: Array, scale: Array, total: Array) -> Array:
    """Returns s·total − q for s = softmax(x) along the last axis, q = labels·scale.

    It does not cancel where s and q / total are near 1.

    Args:
        x: logits (..., L).
        labels: bool or float array (..., L).
        scale: what the labels of a sample are multiplied by, shape (...).
        total: the sum of the q of a sample, shape (...).
    """
    _, scaled, _, rest = softmax_terms(x)
    total, rest = total[..., None], rest[..., None]
    q = labels.astype(x.dtype) * scale[..., None]
    share = total / (1 + rest)
    at_top = (total - q) - rest * share
    return jnp.where(scaled == 1, at_top, scaled * share - q)


@softmax_excess.defjvp
def _softmax_excess_jvp(primals: Any, tangents: Any) -> Any:
    (x, labels, scale, total), (dx, d_labels, d_scale, d_total) = primals, tangents
    s, rest = softmax_pair(x)
    change = s * _log_softmax_change(s, rest, dx)
    d_q = labels.astype(x.dtype) * d_scale[..., None]
    if labels.dtype == x.dtype:
        d_q = d_q + d_labels * scale[..., None]
    d_excess = change * total[..., None] + s * d_total[..., None] - d_q
    return softmax_excess(*primals), d_excess


@jax.custom_jvp
def log_softmax_pair(x: Array) -> tuple[Array, Array]:
    """Returns (log s, log(1 - s)) for s = softmax(x) along the last axis; see `softmax_pair`."""
    shifted, _, outside, rest = softmax_terms(x)
    log_total = jnp.log1p(rest[..., None])
    return shifted - log_total, jnp.log(outside) - log_total


@log_softmax_pair.defjvp
def _log_softmax_pair_jvp(primals: Any, tangents: Any) -> Any:
    log_s, log_rest = log_softmax_pair(*primals)
    d_log_s = _log_softmax_change(*softmax_pair(*primals), tangents[0])
    # The bound keeps odds * d_log_s finite, a quotient of numbers that vanish together.
    odds = jnp.exp(jnp.minimum(log_s - log_rest, _LARGEST_EXPONENT))
    return (log_s, log_rest), (d_log_s, -odds * d_log_s)


def _log_softmax_change(s: Array, rest: Array, dx: Array) -> Array:
    """Returns dx - sum(s dx) without cancellation at s = 1; its transpose has the same form."""
    change = s * dx
    return rest * dx - (jnp.sum(change, axis=-1, keepdims=True) - change)


def inside(x: Array, where: Array | None) -> Array:
    """Returns x for a softmax over the entries that count, with -inf for all others.

    A row in which nothing counts keeps finite values, which the reduction drops.
    """
    if where is None:
        return x
    return jnp.where(~where & jnp.any(where, axis=-1, keepdims=True), -jnp.inf, x)
