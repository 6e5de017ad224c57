"""The basis of overlap losses: counts in which probabilities replace decisions, and averages.

Such a loss passes a formula of soft counts to `overlap_loss`, or to `confusion_loss` if it needs
false positives and false negatives apart. The formulas are written as the share of what is wrong,
because one minus the share of what is right would cancel.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.masking import LossInputs
from mllosses_jax._core.numerics import TINY, pair_of_tail, recomputed
from mllosses_jax._core.platforms import sum_of_terms
from mllosses_jax._core.reduction import all_sum, reduce_labels, reduce_samples
from mllosses_jax._core.types import AxisName, LossValue, Reduction

Average = Literal["macro", "samples", "micro"]
AVERAGES = ("macro", "samples", "micro")


class SoftCounts(NamedTuple):
    """Soft counts per label (L,), per sample (...) or over all entries (), as `average` says."""

    tp: Array  # Σ p·y
    wrong: Array  # α·FP + β·FN with FP = Σ p·(1 − y) and FN = Σ (1 − p)·y
    tn: Array  # Σ (1 − p)·(1 − y), or 0 if the formula does not use it


class Confusion(NamedTuple):
    """The four soft counts of a confusion matrix, shaped as `SoftCounts` are."""

    tp: Array  # Σ p·y
    fp: Array  # Σ p·(1 − y)
    fn: Array  # Σ (1 − p)·y
    tn: Array  # Σ (1 − p)·(1 − y)


def share(part: Array, rest: Array) -> Array:
    """Returns part / (part + rest) for numbers ≥ 0, and 0 for 0/0.

    The derivative does not cancel: where the rest is 0, the share does not depend on the part.
    """
    return _shares(part, rest)[0]


@jax.custom_jvp
def _shares(part: Array, rest: Array) -> tuple[Array, Array, Array]:
    """Returns the shares of two numbers in their sum, and the bounded reciprocal of the sum.

    The second share serves derivatives only, so it is the product of numbers known by then.
    """
    total = part + rest
    reciprocal = 1 / jnp.maximum(total, TINY)
    return part / jnp.where(total == 0, 1, total), rest * reciprocal, reciprocal


@_shares.defjvp
def _shares_jvp(primals: Any, tangents: Any) -> Any:
    (d_part, d_rest), shares = tangents, _shares(*primals)
    of_part, of_rest, reciprocal = shares
    # Changes may be as large as the total, whose square would be infinite.
    d_part, d_rest = d_part * reciprocal, d_rest * reciprocal
    change = of_rest * d_part - of_part * d_rest
    return shares, (change, -change, -reciprocal * (d_part + d_rest))


def overlap_loss(
    formula: Callable[[SoftCounts], Array],
    tail: Array,
    inputs: LossInputs,
    *,
    alpha: ArrayLike = 1,
    beta: ArrayLike = 1,
    of_both: bool = False,
    average: Average,
    weights: ArrayLike | None,
    reduction: Reduction,
    axis_name: AxisName,
) -> LossValue:
    """Returns the reduced loss of soft counts, which run over what `average` says.

    Only the counts that the formula uses are computed. With the gradient these are two passes over
    (B, L) arrays and one more for each count: the signed tail of the probabilities is written once,
    and read for the counts and for the gradient. The wrong shares of positives and negatives are
    one count, since all formulas add them up.

    Args:
        formula: the unreduced loss as an elementwise function of the counts.
        tail: the signed tail (..., L) of the probabilities p, as `signed_tail` returns it.
        inputs: the checked labels and mask.
        alpha: the weight α of false positives in the count `wrong`.
        beta: the weight β of false negatives there.
        of_both: whether the formula uses TN too. Then the gradient for soft labels is written by
            hand, which spares a tenth of the time; with fewer counts it would only take longer to
            compile.
        average: what the counts run over: "macro", the batch (all leading axes), for each label;
            "samples", the labels of each sample; "micro", all entries.
        weights: as in the public losses.
        reduction: as in the public losses.
        axis_name: mesh axes over which the batch continues.
    """
    shares = [jnp.asarray(parameter, tail.dtype) for parameter in (alpha, beta)]

    def losses(counted: Array, y: Array, axis: tuple[int, ...], devices: AxisName) -> Array:
        arrays = (counted, y, *shares)
        if not of_both:
            # With hard labels, more rows gain nothing for two sums.
            tp, wrong = _sums(_positive_and_wrong, arrays, axis, devices, light=not inputs.hard)
            return formula(SoftCounts(tp, wrong, jnp.zeros_like(tp)))
        counts = _counts if inputs.hard else _counts_of_soft
        return formula(SoftCounts(*counts(axis, devices, *arrays)))

    return _reduced(losses, tail, inputs, average, weights, reduction, axis_name)


def confusion_loss(
    formula: Callable[[Confusion], Array],
    tail: Array,
    inputs: LossInputs,
    *,
    average: Average,
    weights: ArrayLike | None,
    reduction: Reduction,
    axis_name: AxisName,
) -> LossValue:
    """Returns the reduced loss of all four soft counts, which are summed together.

    The arguments are those of `overlap_loss`.
    """
    return counts_loss(
        lambda total: formula(Confusion(*total(_confusion))),
        tail,
        inputs,
        average,
        weights,
        reduction,
        axis_name,
    )


Total = Callable[..., Any]  # from terms of (tail, labels, *parameters) to their sums


def counts_loss(
    losses: Callable[[Total], Array],
    tail: Array,
    inputs: LossInputs,
    average: Average,
    weights: ArrayLike | None,
    reduction: Reduction,
    axis_name: AxisName,
) -> LossValue:
    """Returns the reduced losses of sums that run over what `average` says.

    `losses` makes the unreduced loss from a function that returns sums of terms of the tail and the
    labels; the tail is 0 where an entry does not count. The other arguments are those of
    `overlap_loss`.
    """

    def of_arrays(counted: Array, y: Array, axis: tuple[int, ...], devices: AxisName) -> Array:
        def total(terms: Callable[..., Any], *parameters: Array) -> Any:
            return _sums(terms, (counted, y, *parameters), axis, devices)

        return losses(total)

    return _reduced(of_arrays, tail, inputs, average, weights, reduction, axis_name)


def _reduced(
    losses: Callable[[Array, Array, tuple[int, ...], AxisName], Array],
    tail: Array,
    inputs: LossInputs,
    average: Average,
    weights: ArrayLike | None,
    reduction: Reduction,
    axis_name: AxisName,
) -> LossValue:
    """Returns reduced losses of the tail, 0 where an entry does not count, and the labels."""
    checks.one_of("average", average, AVERAGES)
    y, where = inputs.y, inputs.where
    batch = tuple(range(y.ndim - 1))
    axis = {"macro": batch, "samples": (y.ndim - 1,), "micro": (*batch, y.ndim - 1)}[average]
    devices = None if average == "samples" else axis_name
    counted = tail if where is None else jnp.where(where, tail, 0)

    reduce = reduce_samples if average == "samples" else reduce_labels
    return reduce(losses(counted, y, axis, devices), where, weights, reduction, axis_name)


def _sums(
    terms: Callable[..., Any],
    arrays: tuple[Array, ...],
    axis: tuple[int, ...],
    devices: AxisName,
    *,
    light: bool = True,
) -> Any:
    sums = sum_of_terms(terms, arrays, axis, light=light)
    return jax.tree.map(lambda total: all_sum(total, devices), sums)


def _counts(
    axis: tuple[int, ...], devices: AxisName, tail: Array, y: Array, alpha: Array, beta: Array
) -> tuple[Array, Array, Array]:
    """Returns TP, α·FP + β·FN and TN."""
    counts: tuple[Array, Array, Array] = _sums(_terms, (tail, y, alpha, beta), axis, devices)
    return counts


_counts_of_soft = jax.custom_jvp(_counts, nondiff_argnums=(0, 1))


@functools.partial(_counts_of_soft.defjvp, symbolic_zeros=True)
def _counts_of_soft_jvp(axis: Any, devices: AxisName, primals: Any, tangents: Any) -> Any:
    """The gradient takes two slopes per label, which XLA writes before it reads them for all rows.

    It would compute them anew for each entry, if their last operation were not a costly one.
    """
    (tail, y, alpha, beta), d_tail = primals, tangents[0]
    counts = _counts_of_soft(axis, devices, *primals)
    changes = tuple(jnp.zeros_like(count) for count in counts)
    if not isinstance(d_tail, SymbolicZero):
        one = recomputed(jnp.ones((), tail.dtype))
        sides = jnp.sum(-d_tail * y, axis), jnp.sum(-d_tail * (1 - y), axis)
        on, off = all_sum(jnp.stack(sides), devices) / one
        changes = on, alpha * off - beta * on, -off
    live = [i for i in (1, 2, 3) if not isinstance(tangents[i], SymbolicZero)]
    if live:

        def of_live(*parameters: Array) -> tuple[Array, Array, Array]:
            given = dict(zip(live, parameters, strict=True))
            return _counts(axis, devices, *(given.get(i, a) for i, a in enumerate(primals)))

        at, towards = [primals[i] for i in live], [tangents[i] for i in live]
        others = jax.jvp(of_live, at, towards)[1]
        changes = tuple(a + b for a, b in zip(changes, others, strict=True))
    return counts, changes


def _positive_and_wrong(tail: Array, y: Array, alpha: Array, beta: Array) -> tuple[Array, Array]:
    return _terms(tail, y, alpha, beta)[:2]


def _terms(tail: Array, y: Array, alpha: Array, beta: Array) -> tuple[Array, Array, Array]:
    """Returns the terms of TP, α·FP + β·FN and TN."""
    if y.dtype == jnp.bool_:
        return _hard_terms(tail, y, alpha, beta)
    p, q = pair_of_tail(tail)
    return y * p, beta * (y * q) + alpha * ((1 - y) * p), (1 - y) * q


def _both_sides(x: Array, y: Array) -> tuple[Array, Array]:
    """Returns x of the positives and of the negatives, 0 elsewhere.

    Derivatives of all counts are written with these two, so that gradients of the counts are added
    up before they meet a (B, L) array.
    """
    return jnp.where(y, x, 0), jnp.where(y, 0, x)


@jax.custom_jvp
def _hard_terms(tail: Array, y: Array, alpha: Array, beta: Array) -> tuple[Array, Array, Array]:
    p, q = pair_of_tail(tail)
    error, _ = pair_of_tail(jnp.where(y, -tail, tail))  # q of positives, p of negatives
    return jnp.where(y, p, 0), jnp.where(y, beta, alpha) * error, jnp.where(y, 0, q)


@functools.partial(_hard_terms.defjvp, symbolic_zeros=True)
def _hard_terms_jvp(primals: Any, tangents: Any) -> Any:
    (tail, y, alpha, beta), (d_tail, _, d_alpha, d_beta) = primals, tangents
    p, q = pair_of_tail(tail)
    on = off = wrong = jnp.zeros_like(tail)
    if not isinstance(d_tail, SymbolicZero):
        on, off = _both_sides(d_tail, y)
        wrong = beta * on - alpha * off
    if not isinstance(d_alpha, SymbolicZero):
        wrong = wrong + d_alpha * jnp.where(y, 0, p)
    if not isinstance(d_beta, SymbolicZero):
        wrong = wrong + d_beta * jnp.where(y, q, 0)
    return _hard_terms(*primals), (-on, wrong, off)


def _confusion(tail: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    if y.dtype == jnp.bool_:
        return _hard_confusion(tail, y)
    p, q = pair_of_tail(tail)
    return y * p, (1 - y) * p, y * q, (1 - y) * q


@jax.custom_jvp
def _hard_confusion(tail: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    p, q = pair_of_tail(tail)
    return jnp.where(y, p, 0), jnp.where(y, 0, p), jnp.where(y, q, 0), jnp.where(y, 0, q)


@_hard_confusion.defjvp
def _hard_confusion_jvp(primals: Any, tangents: Any) -> Any:
    on, off = _both_sides(tangents[0], primals[1])
    return _hard_confusion(*primals), (-on, -off, on, off)
