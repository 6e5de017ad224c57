"""The decorators of public functions: one checks eager calls, the other also compiles them.

A call such as `loss(logits, labels, gamma=2.0, alpha=0.25)` is split into compile-time
constants (integral numbers, bools, strings, None: `gamma` is a multiplication here) and traced
values (arrays and all other floats: changing `alpha` never recompiles, and it can be
differentiated, scheduled and vmapped). Under a caller's `jit` the function is inlined.

On a CPU, numpy sorts several times faster than XLA. A function that benefits is declared with
`host=True` and written as a chain of calls, each to a `step` or to a function that asks
`on_host` whether it may use numpy. An eager call whose arrays are all on the host runs them one
after the other; any other call compiles them as one program, where they see tracers and do not use
numpy.
"""

from __future__ import annotations

import functools
import inspect
import numbers
from collections.abc import Callable, Hashable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import jax
import numpy as np

from mllosses_jax._core.platforms import on_host
from mllosses_jax._core.text import did_you_mean
from mllosses_jax._core.types import Loss, LossValue
from mllosses_jax._core.values import (
    Bounds,
    check_amounts,
    check_bounds,
    check_labels,
    check_probabilities,
    fits_labels,
)

P = ParamSpec("P")
R = TypeVar("R")

_LARGEST_CONSTANT = 2**24  # beyond it, float32 no longer holds every integer
_ARRAYS = (jax.Array, np.ndarray, np.generic)


def compiled(
    *,
    host: bool = False,
    any_labels: bool = False,
    probabilities: str | None = None,
    **bounds: Bounds,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator that jit-compiles a function of arrays and parameters.

    Args:
        host: whether an eager call on a CPU runs the function uncompiled, so that it can use numpy.
        any_labels: whether `labels` may lie outside [0, 1]. If not, an eager call checks the labels
            that count.
        probabilities: the name of the argument that holds probabilities; if the function has an
            argument `inputs`, it holds them only if that says so. An eager call checks those that
            count.
        **bounds: the closed interval of each numeric parameter, checked if it is a Python number or
            a numpy array. (Checking a JAX array would wait for the device.)

    Returns:
        A decorator that keeps the signature, the docstring and, as `__wrapped__`, the function.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__.lstrip("_")  # a private one has the name of its only caller
        arguments_of = _binder(function)

        def call(constants: tuple[tuple[str, Hashable], ...], values: dict[str, Any]) -> R:
            return function(**dict(constants), **values)  # type: ignore[arg-type, call-arg]

        call.__name__ = call.__qualname__ = name  # names the program in profiles
        program = jax.jit(call, static_argnums=0, inline=True)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            arguments = arguments_of(args, kwargs).arguments
            constants: list[tuple[str, Hashable]] = []
            values: dict[str, Any] = {}
            for key, value in arguments.items():
                if key in bounds:
                    check_bounds(name, key, value, bounds[key])
                if is_traced(value):
                    values[key] = value
                else:
                    constants.append((key, _constant(name, key, value)))
            _check_values(name, arguments, any_labels, probabilities)
            if host and all(map(on_host, values.values())):
                return function(**dict(constants), **values)  # type: ignore[arg-type, call-arg]
            return cast(R, program(tuple(constants), values))

        return wrapper

    return decorate


def compiled_loss(
    *, probabilities: str | None = None, **bounds: Bounds
) -> Callable[[Callable[P, LossValue]], Loss[P]]:
    """Returns `compiled` for a loss, typed so that callers know when the result is a pair."""
    decorate = compiled(probabilities=probabilities, **bounds)  # type: ignore[arg-type]
    return cast(Callable[[Callable[P, LossValue]], Loss[P]], decorate)


def checked(*, probabilities: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator that checks calls as `compiled` does, but does not compile the function.

    Args:
        probabilities: as in `compiled`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__name__
        arguments_of = _binder(function)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            _check_values(name, arguments_of(args, kwargs).arguments, False, probabilities)
            return function(*args, **kwargs)

        return wrapper

    return decorate


def step(*constants: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a decorator that jit-compiles one step of other functions.

    A function declared with `host=True` is a chain of them. In a program, a step is traced once for
    arrays of the same shapes, however many losses take it.

    Args:
        *constants: the names of the step's compile-time constants.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        program = jax.jit(function, static_argnames=constants, inline=True)
        return cast(Callable[P, R], program)

    return decorate


def _binder(function: Callable[..., Any]) -> Callable[[Any, Any], inspect.BoundArguments]:
    """Returns a function that binds arguments and defaults, with TypeErrors that suggest names."""
    signature = inspect.signature(function)
    names = list(signature.parameters)

    def bind(args: Any, kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            unknown = next((key for key in kwargs if key not in names), None)
            reason = str(error)
            if unknown is not None:
                hint = did_you_mean(unknown, names) or f"; its parameters are {', '.join(names)}"
                reason = f"got an unexpected keyword argument {unknown!r}{hint}"
            raise TypeError(f"{function.__name__}: {reason}") from None
        bound.apply_defaults()
        return bound

    return bind


def _check_values(
    function: str, arguments: dict[str, Any], any_labels: bool, probabilities: str | None
) -> None:
    """Checks the arrays of an eager call whose wrong values would go unnoticed."""
    check_amounts(function, arguments)
    where = arguments.get("where")
    if probabilities is not None:
        demand = f"{function}: {probabilities} must lie in [0, 1]"
        if "inputs" in arguments:
            demand += ' with inputs="probabilities"'
        if arguments.get("inputs", "probabilities") == "probabilities":
            check_probabilities(demand, arguments[probabilities], where)
    if "labels" in arguments and not any_labels and fits_labels(arguments):
        check_labels(function, arguments["labels"], where)


def is_traced(value: object) -> bool:
    """Returns whether an argument is a value of the program, and not a constant of it."""
    if isinstance(value, numbers.Integral | np.bool_):  # numpy's scalars are constants too
        return False
    if isinstance(value, float):
        return not (value.is_integer() and abs(value) <= _LARGEST_CONSTANT)
    if isinstance(value, tuple):  # a state
        return any(isinstance(part, _ARRAYS) for part in value)
    return isinstance(value, _ARRAYS) or hasattr(value, "__jax_array__")


def _constant(function: str, name: str, value: object) -> Hashable:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral | float):
        return int(value)
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            f"{function}: {name} must be an array or a number, got a {type(value).__name__}; "
            f"convert it with jnp.asarray"
        ) from None
    return value
