"""A hash of the user's functions, by which a run that goes on notices that one has changed.

It covers the compiled code of a function, its defaults, and the numbers, texts and functions of the
user's own that it finds by name, theirs included. Comments and line numbers do not matter.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from mllosses_jax.compare import own_code

PLAIN = bool | int | float | complex | str | bytes | None


def code_hash(value: Any) -> str:
    """Returns the SHA-256 of a function, a class, or an object or tuple with these in it.

    Example:
        >>> def twice(x):
        ...     return 2 * x
        >>> before = code_hash(twice)
        >>> def twice(x):
        ...     return 3 * x
        >>> before == code_hash(twice)
        False
    """
    digest = hashlib.sha256()
    seen: set[int] = set()
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, PLAIN):
            digest.update(repr(each).encode())
        elif isinstance(each, np.ndarray | np.generic) or hasattr(each, "__array__"):
            array = np.asarray(each)
            digest.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
        elif id(each) not in seen:
            seen.add(id(each))
            left += reversed(list(_inside(each)))
    return digest.hexdigest()


def _inside(value: Any) -> Iterator[Any]:
    """Yields what a value consists of."""
    if hasattr(value, "__wrapped__"):  # as of a function under `jax.jit`
        yield inspect.unwrap(value)
    elif isinstance(value, types.CodeType):
        yield value.co_code
        yield from (value.co_names, value.co_consts)
    elif isinstance(value, tuple | list):
        yield from value
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, set | frozenset):
        yield from sorted(map(repr, value))
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.FunctionType | types.MethodType):
        yield from _of_function(value)
    elif isinstance(value, type):
        yield value.__qualname__
        if _is_users_class(value):
            members = vars(value)
            yield from (members[name] for name in sorted(members) if _is_code(members[name]))
            yield from value.__bases__
    elif isinstance(value, staticmethod | classmethod):
        yield value.__func__
    elif isinstance(value, property):
        yield value.fget
    else:  # an object, such as a Linen module
        yield type(value)
        held = getattr(value, "__dict__", {})
        yield from (held[name] for name in sorted(held) if isinstance(held[name], PLAIN | tuple))


def _of_function(function: Any) -> Iterator[Any]:
    yield function.__qualname__
    code = getattr(function, "__code__", None)
    if code is None or not _is_users(code.co_filename):
        return  # a library, which the versions in results.json tell
    yield from (code, function.__defaults__, function.__kwdefaults__)
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # it is empty
            yield cell.cell_contents
    names = list(_names(code))
    for name in names:
        found = function.__globals__.get(name)
        if isinstance(found, PLAIN | types.FunctionType | type | functools.partial | np.ndarray):
            yield found
        elif isinstance(found, types.ModuleType) and _is_users(str(found.__file__)):
            yield from (vars(found)[other] for other in names if _is_code(vars(found).get(other)))


def _names(code: types.CodeType) -> Iterator[str]:
    """Yields the names in a function's code, and in that of the functions within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _is_code(value: Any) -> bool:
    kinds = types.FunctionType | type | staticmethod | classmethod | property | functools.partial
    return isinstance(value, PLAIN | kinds) and not isinstance(value, types.NoneType)


def _is_users_class(kind: type) -> bool:
    try:
        return _is_users(inspect.getfile(kind))
    except (TypeError, OSError):  # it is built in, or was typed at a prompt
        return kind.__module__ == "__main__"


def _is_users(file: str) -> bool:
    """Returns whether a file is the user's: it belongs to no library that is installed."""
    return own_code.is_own(file) and "-packages" not in file
