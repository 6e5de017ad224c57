"""Accurate primitives with analytic derivatives, and the one value-and-slope mechanism.

Everything is built from `exp(-|x|)`, which neither overflows nor cancels, so values and slopes
are accurate in both tails. Derivatives are written with the same primitives, so they hold at any
order, even at x = 0, where automatic differentiation of `|x|` and `exp_unit` would be wrong.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from mllosses_jax._core.polynomials import near_best, polynomial

P = ParamSpec("P")
R = TypeVar("R")

TINY = 1e-18  # squares of smaller numbers underflow in float32
_ARRAY = object()  # stands for an array among arguments


def _traced_once(function: Callable[P, R]) -> Callable[P, R]:
    """Returns a function that JAX traces only once for each shape; a loss calls it many times."""
    return cast(Callable[P, R], jax.jit(function, inline=True))


def _primitive(rule: Callable[..., Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator that gives a function a rule for derivatives, and traces it once."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        differentiable = jax.custom_jvp(function)
        differentiable.defjvp(rule)
        return _traced_once(differentiable)

    return decorate


def unwritten(x: Array) -> Array:
    """Returns x by a cheap operation: XLA writes a costly result with several users to memory.

    XLA does not see the −0 behind the barrier, but the compiler of its loops does and drops it.
    """
    nothing: Array = jax.lax.optimization_barrier(jnp.full((), -0.0, x.dtype))
    return x + nothing


def exp_unit(x: Array) -> Array:
    """Returns exp(x) for x <= 0, with a bound that changes no value but makes XLA recompute it."""
    return jnp.minimum(jnp.exp(x), 1)  # with `unwritten`, a large head's last chunk was written


def _sigmoid_pair_jvp(primals: Any, tangents: Any) -> Any:
    # The slope is computed anew, because keeping it in memory for the backward pass costs more.
    p, q = sigmoid_pair(recomputed(primals[0]))
    change = p * q * tangents[0]
    return sigmoid_pair(*primals), (change, -change)


@_primitive(_sigmoid_pair_jvp)
def sigmoid_pair(x: Array) -> tuple[Array, Array]:
    """Returns (sigmoid(x), sigmoid(-x)), each to full relative accuracy."""
    e = exp_unit(-jnp.abs(x))
    larger = unwritten(1 / (1 + e))
    smaller = e * larger
    return jnp.where(x >= 0, larger, smaller), jnp.where(x >= 0, smaller, larger)


def _signed_tail_jvp(primals: Any, tangents: Any) -> Any:
    tail = signed_tail(*primals)
    return tail, (tail * tail - jnp.abs(tail)) * tangents[0]


@_primitive(_signed_tail_jvp)
def signed_tail(x: Array) -> Array:
    """Returns σ(−x) for x ≥ 0 and −σ(x) for x < 0, which `pair_of_tail` maps to both.

    So one array holds both to full relative accuracy. The last operation is a costly one, so XLA
    writes the result if it has several users. It is never 0, as its sign is needed.
    """
    largest = math.floor(-math.log(jnp.finfo(x.dtype).tiny))  # beyond it, the tail would be 0
    return jnp.where(x >= 0, 1.0, -1.0) / (1 + jnp.exp(jnp.minimum(jnp.abs(x), largest)))


def tail_of_pair(p: Array, q: Array) -> Array:
    """Returns the signed tail of probabilities p and q = 1 − p, each of full relative accuracy."""
    tiny = jnp.finfo(p.dtype).tiny
    return jnp.where(p >= q, jnp.maximum(q, tiny), -jnp.maximum(p, tiny))


def pair_of_tail(tail: Array) -> tuple[Array, Array]:
    """Returns (p, 1 − p), each to full relative accuracy, and (0, 0) for 0."""
    return (tail > 0).astype(tail.dtype) - tail, (tail < 0).astype(tail.dtype) + tail


def _artanh_terms(largest: float, terms: int) -> tuple[float, ...]:
    """Returns a polynomial in z = s² for (artanh(s) − s)/s³ = 1/3 + z/5 + …, |s| <= largest."""
    return near_best(lambda z: sum(z**k / (2 * k + 3) for k in range(50)), 0, largest**2, terms)


# The relative error of artanh(s) is below 2e-8 in float32, for float64 it is the series itself.
_UP_TO_A_THIRD = _artanh_terms(1 / 3, terms=4)
_UP_TO_0_172 = _artanh_terms(0.172, terms=3)
_UP_TO_0_46 = _artanh_terms(0.46, terms=6)
_SERIES = tuple(1 / (2 * k + 3) for k in range(24))


def _artanh_rest(s: Array, coefficients: tuple[float, ...]) -> Array:
    """Returns artanh(s) − s."""
    z = s * s
    return s * z * polynomial(z, coefficients)


@_traced_once
def log1p_unit(u: Array) -> Array:
    """Returns log(1 + u) for u in [-1/2, 1], in float32 several times faster than XLA's log1p.

    As log(1 + u) = 2 artanh(s) with s = u / (2 + u) and |s| <= 1/3, the result is within 3 ulp.
    XLA's log1p evaluates two branches everywhere and keeps the loop around it from being vectorised
    on CPU.
    """
    if u.dtype != jnp.float32:
        return jnp.log1p(u)
    s = u * (1 / (2 + u))
    return 2 * (s + _artanh_rest(s, _UP_TO_A_THIRD))


def _log_share_jvp(primals: Any, tangents: Any) -> Any:
    return log_share(*primals), tangents[0] / primals[0]


@_primitive(_log_share_jvp)
def log_share(u: Array, rest: Array) -> Array:
    """Returns log(u) for u in [0, 1] and rest = 1 − u, accurate for u near 1 too.

    In float32 this is several times faster than XLA's log next to other operations.
    """
    if u.dtype != jnp.float32:
        near = rest < 0.5
        log_near = log1p_unit(-jnp.minimum(rest, 0.5))
        return jnp.where(near, log_near, jnp.log(jnp.where(near, jnp.ones_like(u), u)))
    # The logarithm of 1 is -0, because a loss is minus it.
    return jnp.where(u > 0, positive_log_share(u, rest), u - jnp.inf)


def positive_log_share(u: Array, rest: Array) -> Array:
    """Returns what `log_share` does, for u > 0 and without a rule for derivatives."""
    if u.dtype != jnp.float32:
        return log_share(u, rest)
    m, exponent = _scaled(u)
    # With s = (m − 1)/(m + 1), log m = 2 artanh(s), where |s| < 0.172.
    s = jnp.where(exponent == 0, -rest, m - 1) * (1 / (1 + m))
    return 2 * (s + _artanh_rest(s, _UP_TO_0_172)) - exponent * math.log(2)


@jax.custom_jvp
def _reciprocal(x: Array) -> Array:
    """Returns 1/x. Its derivative is 0 along a tangent of 0, though 1/x² may be infinite."""
    return 1 / x


@_reciprocal.defjvp
def _reciprocal_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    result = _reciprocal(*primals)
    return result, -(tangents[0] * result) * result


def _log_quotient_jvp(primals: Any, tangents: Any) -> Any:
    (p, q, _), (dp, dq, _) = primals, tangents
    return log_quotient(*primals), dp * _reciprocal(p) - dq * _reciprocal(q)


@_primitive(_log_quotient_jvp)
def log_quotient(p: Array, q: Array, difference: Array) -> Array:
    """Returns log(p/q) for p, q > 0 and their difference p − q, accurate for p near q too."""
    if p.dtype != jnp.float32:
        near = jnp.abs(difference) < q / 2
        return jnp.where(near, jnp.log1p(jnp.where(near, difference / q, 0)), jnp.log(p / q))
    # log(p/q) = 2 artanh((p − q)/(p + q)), with the same of m for p and q that are far apart: one
    # quotient serves both.
    (m_p, e_p), (m_q, e_q) = _scaled(p), _scaled(q)
    near = jnp.abs(difference) * 3 < p + q
    s = unwritten(jnp.where(near, difference, m_p - m_q) / jnp.where(near, p + q, m_p + m_q))
    exponent = jnp.where(near, 0, e_p - e_q)
    return 2 * (s + _artanh_rest(s, _UP_TO_A_THIRD)) - exponent * math.log(2)


def _scaled(u: Array) -> tuple[Array, Array]:
    """Returns m in [√½, √2) and a whole number e such that u = m/2^e, for u > 0 in float32."""
    bits = jax.lax.bitcast_convert_type(u, jnp.int32)
    exponent = (bits - _BITS_OF_ROOT_HALF) >> 23
    m = jax.lax.bitcast_convert_type(bits - (exponent << 23), jnp.float32)
    return m, (-exponent).astype(jnp.float32)


_BITS_OF_ROOT_HALF = int(np.float32(0.5**0.5).view(np.int32))


def _log_sigmoid_pair_jvp(primals: Any, tangents: Any) -> Any:
    p, q = sigmoid_pair(*primals)
    return log_sigmoid_pair(*primals), (q * tangents[0], -p * tangents[0])


@_primitive(_log_sigmoid_pair_jvp)
def log_sigmoid_pair(x: Array) -> tuple[Array, Array]:
    """Returns (log sigmoid(x), log sigmoid(-x)), each to full relative accuracy."""
    log1p_e = log1p_unit(exp_unit(-jnp.abs(x)))
    return jnp.minimum(x, 0) - log1p_e, jnp.minimum(-x, 0) - log1p_e


def log_share_tail(u: Array, rest: Array) -> Array:
    """Returns −log u − r − r²/2 = Σ_{k≥3} r^k/k for u in (0, 1] and rest = r = 1 − u."""
    half = rest * rest / 2
    near = rest < 0.63
    # With s = r/(1 + u), −log u = 2·artanh(s) and r = 2s/(1 + s): all terms are positive.
    if u.dtype != jnp.float32:
        s = jnp.where(near, rest / (1 + u), 0)
        far = -log_share(u, rest) - rest - half
        return jnp.where(near, s * half + 2 * _artanh_rest(s, _SERIES), far)
    # Far from 1, −log u = e·log 2 − log m. One quotient and one polynomial serve both.
    m, exponent = _scaled(u)
    s = jnp.where(near, rest, 1 - m) * (1 / (1 + jnp.where(near, u, m)))  # at most 0.46
    far = (exponent * math.log(2) + 2 * s) - rest - half
    return jnp.where(near, s * half, far) + 2 * _artanh_rest(s, _UP_TO_0_46)


def _log_sigmoid_tail_jvp(primals: Any, tangents: Any) -> Any:
    _, q = sigmoid_pair(*primals)
    return log_sigmoid_tail(*primals), -q * q * q * tangents[0]


@_primitive(_log_sigmoid_tail_jvp)
def log_sigmoid_tail(x: Array) -> Array:
    """Returns −log p − q − q²/2 for p = σ(x) and q = 1 − p."""
    p, q = sigmoid_pair(x)
    # Where p underflows, it is exp(x).
    return jnp.where(p > jnp.finfo(p.dtype).tiny, log_share_tail(p, q), -x - q - q * q / 2)


def softplus(x: Array) -> Array:
    """Returns log(1 + exp(x))."""
    return -log_sigmoid_pair(x)[1]


def _large(dtype: jnp.dtype) -> float:
    """Returns a number far above all practical logits, small enough to be multiplied."""
    return float(jnp.finfo(dtype).max) * 1e-8


def power(base: Array, log_base: Array, exponent: ArrayLike) -> Array:
    """Returns base ** exponent for base in [0, 1], with finite derivatives.

    A constant integer exponent becomes a chain of multiplications; any other exponent goes through
    the logarithm, which the caller knows more accurately than the base.

    Args:
        base: the base, which is used for integer exponents.
        log_base: the logarithm of the base, -inf where the base is zero.
        exponent: a Python integer, or an array that broadcasts against the base.
    """
    if isinstance(exponent, int):
        return jnp.ones_like(base) if exponent == 0 else jax.lax.integer_pow(base, exponent)
    # As 0 * -inf is NaN, a very low number replaces -inf; it gives 0 ** 0 = 1 and 0 ** g = 0.
    return jnp.exp(exponent * jnp.maximum(log_base, -_large(log_base.dtype)))


def finite_product(weight: Array, value: Array) -> Array:
    """Returns weight * value for value >= 0, which is 0 if the weight is 0 and the value infinite.

    The derivative in such a weight is large, but its product in a chain rule stays finite.
    """
    return weight * jnp.where(weight == 0, bounded(value), value)


def bounded(value: Array) -> Array:
    """Returns a value, bounded so that its product with 0 is 0."""
    return jnp.minimum(value, _large(value.dtype))


@jax.custom_jvp
def tempered(x: Array, temperature: Array) -> Array:
    """Returns x / temperature, with a derivative in the temperature that is never infinite.

    The functions applied to a huge quotient are flat, and 0 * inf would make their derivative NaN.
    """
    return x / temperature


@tempered.defjvp
def _tempered_jvp(primals: Any, tangents: Any) -> Any:
    (x, temperature), (dx, d_temperature) = primals, tangents
    result = tempered(x, temperature)
    large = _large(result.dtype)
    change = jnp.clip(tempered(result, temperature), -large, large)
    change = jnp.where(x == -jnp.inf, 0, change)  # an entry that is left out has no derivative
    return result, dx / temperature - change * d_temperature


def recomputed(x: Array) -> Array:
    """Returns x for a second pass: XLA computes again from it instead of keeping intermediates.

    XLA does not see that the number behind the barrier is 0. A barrier around x itself would write
    to memory what conversion and masking made of the logits.
    """
    zero: Array = jax.lax.optimization_barrier(jnp.zeros((), x.dtype))
    return x + zero


def with_slope(
    slope: Callable[..., Array] | None = None, *, share: bool = False, over_labels: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Array]]:
    """Returns a decorator that gives a function its derivative in the first argument.

    `value(x, *parameters)` and `slope(x, *parameters)` are plain functions of arrays;
    Python numbers, bools and None among the parameters are constants. The slope may be any
    function: if a focusing weight is held constant, it is not the derivative of the value.
    Higher derivatives are those of the slope, so they exist at every order. Tangents of the other
    parameters flow through the value; those that are not needed cost nothing.

    Args:
        slope: the derivative with respect to the first argument. Without it, the function returns
            value and slope, which have most of their work in common.
        share: whether XLA may keep in memory what value and slope have in common. Computing it
            twice is usually cheaper.
        over_labels: whether the function sums over the last axis of its first argument.
    """

    def decorate(both: Callable[..., Any]) -> Callable[..., Array]:
        def value(*arguments: Any) -> Array:
            result: Array = both(*arguments)[0] if slope is None else both(*arguments)
            return result

        @functools.lru_cache(typed=True)
        def program(*pattern: Any) -> Callable[..., Array]:
            """Returns the function of the arrays that stand as `_ARRAY` among its arguments.

            It is jitted, and made once for each choice of constants, so that it and its derivatives
            are traced once for arrays of the same shapes. XLA inlines it.
            """

            def merged(traced: Any) -> list[Any]:
                rest = iter(traced)
                return [next(rest) if a is _ARRAY else a for a in pattern]

            @jax.custom_jvp
            def function(*traced: Array) -> Array:
                return value(*merged(traced))

            def rule(primals: Any, tangents: Any) -> Any:
                moving = not isinstance(tangents[0], SymbolicZero)
                if slope is None and moving:
                    result, by_x = both(*merged(primals))
                else:
                    result = function(*primals)
                tangent = jnp.zeros_like(result)
                if moving:
                    if slope is not None:
                        x = primals[0] if share else recomputed(primals[0])
                        by_x = slope(*merged([x, *primals[1:]]))
                    tangent = by_x * tangents[0]
                    tangent = jnp.sum(tangent, axis=-1) if over_labels else tangent
                live = [
                    index
                    for index, t in enumerate(tangents)
                    if index > 0 and not isinstance(t, SymbolicZero)
                ]
                if live:

                    def of_live(*parameters: Array) -> Array:
                        traced = list(primals)
                        for index, parameter in zip(live, parameters, strict=True):
                            traced[index] = parameter
                        return value(*merged(traced))

                    at, towards = [primals[i] for i in live], [tangents[i] for i in live]
                    tangent = tangent + jax.jvp(of_live, at, towards)[1]
                return result, tangent

            function.defjvp(rule, symbolic_zeros=True)
            return jax.jit(function)

        def call(*arguments: Any) -> Array:
            arrays = [a for a in arguments if isinstance(a, jax.Array)]
            pattern = (_ARRAY if isinstance(a, jax.Array) else a for a in arguments)
            return program(*pattern)(*arrays)

        return call

    return decorate
