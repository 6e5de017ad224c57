"""The user's own functions: where they are imported from, what they take, and where they failed.

An error in such a function is told with the file and the line that the user can mend, and never as
a traceback through this package.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np

import mllosses_jax
from mllosses_jax._core.text import cut, did_you_mean
from mllosses_jax.compare.errors import ComparisonError

PATH = re.compile(r"\s*([\w.]+):([\w.]+)\s*")
HOW_TO_NAME = 'give a dict with names instead, such as {"mine": function}'

_OTHERS = [os.path.dirname(str(module.__file__)) for module in (mllosses_jax, jax, jaxlib, np)]
_STANDARD_LIBRARY = sysconfig.get_path("stdlib")


def load(path: str) -> Callable[..., Any]:
    """Returns the function that `package.module:function` names.

    The module may be installed or lie in the current folder.

    Raises:
        ComparisonError: there is no such function, or its module cannot be imported.
    """
    found = PATH.fullmatch(path)
    if found is None:
        raise ComparisonError(f"{path} cannot be read; write package.module:function")
    name, attribute = found.groups()
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise failed(path, error) from None
        raise ComparisonError(
            f"{path}: there is no module {error.name!r} here; give package.module:function, of a "
            "module that is installed or lies in the current folder"
        ) from None
    except (Exception, SystemExit) as error:
        raise failed(path, error) from None
    function: Any = module
    for part in attribute.split("."):
        if not hasattr(function, part):
            known = [each for each, value in vars(module).items() if callable(value)]
            raise ComparisonError(
                f"{path}: {module.__name__} has no {attribute!r}{did_you_mean(attribute, known)}"
            )
        function = getattr(function, part)
    if not callable(function):
        raise ComparisonError(f"{path} must be a function, got {type(function).__name__}")
    return function  # type: ignore[no-any-return]


def name_of(function: Callable[..., Any]) -> str:
    """Returns the name under which a function is shown: `module:function` if that finds it.

    Raises:
        ComparisonError: it has no name, as a lambda.
    """
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    home = getattr(function, "__module__", None)
    if "<lambda>" in name:
        raise ComparisonError(f"a lambda has no name of its own; {HOW_TO_NAME}")
    if home not in (None, "__main__"):
        found: Any = sys.modules.get(home)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is function:
            return f"{home}:{name}"
    return str(name.rpartition("<locals>.")[2])


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function inside of any `functools.partial`."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a function; none if it does not tell them."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def check_call(
    name: str, function: Callable[..., Any], first: tuple[str, str], given: Mapping[str, Any]
) -> None:
    """Raises a ComparisonError unless a function takes two arrays, `where` or not, and more.

    Args:
        name: the name to show.
        function: the function.
        first: the names of the arrays, in their order.
        given: what else is given to it, by name.
    """
    if not parameters_of(function):
        return
    where = {"where": None} if "where" in parameters_of(function) else {}
    try:
        inspect.signature(function).bind(*first, **{**given, **where})
    except TypeError as error:
        raise ComparisonError(
            f"{name} ({defined(function)}) must be callable with ({', '.join(first)}): {error}"
        ) from None


def failed(name: str, error: BaseException) -> ComparisonError:
    """Returns the error of the user's code with its place, as one that the user can fix."""
    place = _place(error) or "its own code"
    [reason, *_] = str(error).strip().splitlines() or [""]
    kind = type(error).__name__
    return ComparisonError(f"{name} failed in {place}: {kind}: {cut(reason, 200)}".rstrip(": "))


def defined(function: Callable[..., Any]) -> str:
    """Returns the file and the line of a function."""
    code = getattr(inspect.unwrap(innermost(function)), "__code__", None)
    if code is None:
        return type(function).__name__
    return f"{_shown(code.co_filename)}, line {code.co_firstlineno}"


def place_of_nan(run: Callable[[], Any]) -> str | None:
    """Returns the user's line whose result is the first NaN of a call, or None."""
    try:
        with jax.debug_nans(True):
            run()
    except Exception as error:  # of another kind if a function is not traced now
        return _place(error) if isinstance(error, FloatingPointError) else None
    return None


def _place(error: BaseException) -> str | None:
    """Returns the last line of a traceback that lies in neither a library nor this package."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{_shown(error.filename)}, line {error.lineno}"
    frames = [each for each in traceback.extract_tb(error.__traceback__) if is_own(each.filename)]
    # A module of the user's may be installed, but one that is not is surely the user's.
    frames = [each for each in frames if "-packages" not in each.filename] or frames
    if not frames:
        return None
    line = f" ({cut(frames[-1].line, 60)})" if frames[-1].line else ""
    return f"{_shown(frames[-1].filename)}, line {frames[-1].lineno}{line}"


def is_own(file: str) -> bool:
    """Returns whether a file is neither of this package, nor of JAX, nor of Python itself."""
    standard = file.startswith(_STANDARD_LIBRARY + os.sep) and "-packages" not in file
    others = any(file.startswith(folder + os.sep) for folder in _OTHERS)
    return not (standard or others or file.startswith("<frozen"))


def _shown(file: str) -> str:
    """Returns a path as seen from the current folder, if it lies below."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
