"""The types that losses and metrics share."""

from __future__ import annotations

from typing import Any, Literal, ParamSpec, Protocol, overload

from jax import Array

P = ParamSpec("P")
AxisName = str | tuple[str, ...] | None
Exponent = Array | int  # an integer is a constant of the program, so its power is a product
Reduction = Literal["none", "sum", "mean", "batchmean", "weighted_mean"]
AnyReduction = Reduction | Literal["sum_and_count"]
LossValue = Array | tuple[Array, Array]


class Loss(Protocol[P]):
    """A public loss: its value is an array, and a pair only with reduction="sum_and_count"."""

    __name__: str

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Array: ...
    @overload
    def __call__(
        self, *args: Any, reduction: Literal["sum_and_count"], **kwargs: Any
    ) -> tuple[Array, Array]: ...
