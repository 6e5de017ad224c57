"""Sums of losses, which are losses again."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from mllosses_jax._core import checks
from mllosses_jax._core.reduction import REDUCTIONS
from mllosses_jax._core.types import AnyReduction, AxisName, LossValue

__all__ = ["weighted_sum"]

AnyLoss = Callable[..., Any]
BY_ENTRY = ("none", "sum_and_count")  # reductions for which unreduced entries must agree
NOT_OF_A_BATCH = {  # reductions that losses of the whole batch do not have
    "batchmean": "has no samples to average over",
    "sum_and_count": "has no count",
}


@dataclass(frozen=True, eq=False)
class WeightedSum:
    """A weighted sum of losses, with the signature of a loss; `weighted_sum` returns it.

    Attributes:
        terms: the weights and the losses.
    """

    terms: tuple[tuple[ArrayLike, AnyLoss], ...]

    @property
    def __name__(self) -> str:
        return "+".join(
            name_of(loss) if _is_one(weight) else f"{_shown(weight)}*{name_of(loss)}"
            for weight, loss in self.terms
        )

    def __repr__(self) -> str:
        return f"weighted_sum({self.__name__})"

    def __call__(
        self,
        logits: ArrayLike,
        labels: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        where: ArrayLike | None = None,
        reduction: AnyReduction = "mean",
        axis_name: AxisName = None,
    ) -> LossValue:
        """Returns the weighted sum of what the losses return; see `weighted_sum`."""
        checks.one_of("reduction", reduction, REDUCTIONS)
        common = {"weights": weights, "where": where, "axis_name": axis_name}
        given = {name: value for name, value in common.items() if value is not None}

        def call(loss: AnyLoss, reduction: str) -> Any:
            return _value(loss, logits, labels, given, reduction)

        if reduction in BY_ENTRY and len(self.terms) > 1:
            _check_entries([loss for _, loss in self.terms], call, jnp.shape(logits), reduction)
        values = [call(loss, reduction) for _, loss in self.terms]
        factors = [weight for weight, _ in self.terms]
        if reduction == "sum_and_count":
            return _sum(factors, [total for total, _ in values]), values[0][1]
        return _sum(factors, values)


def weighted_sum(
    losses: Mapping[AnyLoss, ArrayLike] | Iterable[tuple[ArrayLike, AnyLoss]],
) -> WeightedSum:
    """Weighted sum of losses, which is itself a loss with the common signature.

    Formula:
        ℓ = Σ_k w_k·ℓ_k

    Each loss is reduced on its own, over the entries of its own that count: with "mean" the result
    is the weighted sum of the means, whatever one unreduced entry of each loss is, and with "sum"
    the weighted sum of the sums. "none" and "sum_and_count" need losses that have the same
    unreduced entries.

    Args:
        losses: losses with their weights, as a mapping `{loss: weight}` or as pairs `(weight,
            loss)`. A loss is one of this package, a `functools.partial` of one, a sum, or a
            function of `(logits, labels)` that takes those arguments of the common signature that
            it is to be used with; without `reduction` it must return a scalar. A weight is a
            number or an array of shape (), which may be traced: it can be scheduled and
            differentiated.

    Returns:
        A function `(logits, labels, *, weights=None, where=None, reduction="mean",
        axis_name=None)`, of which each loss gets all arguments that are given. In an eager call
        each loss is a program of its own; under `jit` all are one.

    Raises:
        TypeError: a loss is not callable, a weight is not a number, or (when the sum is called) a
            loss does not take an argument that is given.
        ValueError: there is no loss, a weight is not finite or not a scalar, or (when the sum is
            called) a loss fixes an argument that is given, or the unreduced entries differ although
            the reduction needs equal ones.

    Example:
        >>> import jax.numpy as jnp
        >>> import mllosses_jax as mll
        >>> loss = mll.weighted_sum({mll.sigmoid_binary_cross_entropy: 1, mll.dice_loss: 0.5})
        >>> logits, labels = jnp.array([[0.0], [0.0]]), jnp.array([[1], [0]])
        >>> print(f"{loss(logits, labels):.4f}")  # log 2 + 0.5 / 3
        0.8598
    """
    pairs = (
        [(weight, loss) for loss, weight in losses.items()]
        if isinstance(losses, Mapping)
        else list(losses)
    )
    for pair in pairs:
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise TypeError(f"losses must hold pairs (weight, loss), got {pair!r}")
        weight, loss = pair
        if not callable(loss):
            raise TypeError(f"losses must hold pairs (weight, loss), got {loss!r} for a loss")
        _check_weight(name_of(loss), weight)
    if not pairs:
        raise ValueError("losses must hold at least one loss")
    return WeightedSum(tuple((weight, loss) for weight, loss in pairs))


def name_of(loss: AnyLoss) -> str:
    """Returns the name of a loss, with the parameters that a `functools.partial` gives it."""
    if not isinstance(loss, functools.partial):
        return str(getattr(loss, "__name__", type(loss).__name__))
    given = [*map(_shown, loss.args), *(f"{p}={_shown(v)}" for p, v in loss.keywords.items())]
    return f"{name_of(loss.func)}({', '.join(given)})"


def _shown(value: object) -> str:
    """Returns a value as text; an array or a traced value by its type."""
    plain = value is None or isinstance(value, bool | int | float | str | tuple | list)
    return repr(value) if plain else f"<{type(value).__name__}>"


def _is_one(weight: ArrayLike) -> bool:
    return isinstance(weight, int | float) and weight == 1


def _check_weight(name: str, weight: ArrayLike) -> None:
    place = f"the weight of {name} (losses)"
    if isinstance(weight, bool) or not isinstance(
        weight, numbers.Real | np.ndarray | np.generic | Array
    ):
        raise TypeError(f"{place} must be a number, got {weight!r}")
    if jnp.shape(weight) != ():
        raise ValueError(f"{place} must be a scalar, got shape {jnp.shape(weight)}")
    if not isinstance(weight, Array) and not math.isfinite(weight):
        raise ValueError(f"{place} must be finite, got {weight}")


def _value(
    loss: AnyLoss,
    logits: ArrayLike,
    labels: ArrayLike,
    given: Mapping[str, Any],
    reduction: str,
) -> Any:
    """Returns one loss, reduced; a loss without `reduction` is one of the whole batch."""
    name, parameters = name_of(loss), inspect.signature(loss).parameters.values()
    names = {p.name for p in parameters}
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
    given = {**given, "reduction": reduction}
    if not takes_all and "reduction" not in names:
        if reduction in NOT_OF_A_BATCH:
            raise ValueError(f"reduction={reduction!r}: {name} {NOT_OF_A_BATCH[reduction]}")
        del given["reduction"]
    for argument in given:
        if argument in getattr(loss, "keywords", {}):
            raise ValueError(f"{name} fixes {argument}, which the sum sets; leave it out of one")
        if not takes_all and argument not in names:
            raise TypeError(f"{name} takes no {argument}, so the sum cannot be given any")
    value = loss(logits, labels, **given)
    if reduction not in BY_ENTRY and jnp.shape(value) != ():
        raise ValueError(
            f"{name} must return a scalar with reduction={reduction!r}, got shape "
            f"{jnp.shape(value)}"
        )
    return value


def _check_entries(
    losses: list[AnyLoss],
    call: Callable[[AnyLoss, str], Any],
    shape: tuple[int, ...],
    reduction: str,
) -> None:
    """Raises unless the unreduced entries of all losses are the same."""

    def entries(loss: AnyLoss) -> tuple[tuple[int, ...], bool]:
        found = jax.eval_shape(lambda: call(loss, "none")).shape
        if not found == shape[:-1] == shape[-1:]:
            return found, False
        try:  # as many samples as labels: only losses per label refuse this reduction
            jax.eval_shape(lambda: call(loss, "batchmean"))
        except ValueError:
            return found, True
        return found, False

    kinds = [entries(loss) for loss in losses]
    if len(set(kinds)) > 1:
        each = ", ".join(
            f"{name_of(loss)} has {found}{' per label' if by_label else ''}"
            for loss, (found, by_label) in zip(losses, kinds, strict=True)
        )
        raise ValueError(
            f"reduction={reduction!r} needs losses with the same unreduced entries, but {each}"
        )


def _sum(weights: list[ArrayLike], values: list[Any]) -> Array:
    dtype = functools.reduce(jnp.promote_types, [jnp.asarray(value).dtype for value in values])
    terms = [
        jnp.asarray(weight, dtype) * jnp.asarray(value, dtype)
        for weight, value in zip(weights, values, strict=True)
    ]
    return functools.reduce(jnp.add, terms)
