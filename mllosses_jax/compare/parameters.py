"""Parameters as text: calls such as `hinge_loss(margin=0.5)`, which are parsed and never evaluated.

Values are Python literals: numbers, True, False, None, text in quotes, and lists of numbers.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from mllosses_jax._core.text import did_you_mean
from mllosses_jax.catalogue import CONTRACT_PARAMETERS, Entry
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.heads import HEADS

HOW_TO_WRITE = "write LOSS, or LOSS(parameter=value, ...)"

# A tuple stands for a list with one entry per label, or for a list of such rows.
Value: TypeAlias = bool | int | float | str | tuple["Value", ...] | None


def split(text: str, separator: str = ",") -> list[str]:
    """Returns the parts of a text between separators outside of brackets and quotes.

    The + of an exponent, as in 1e+5, separates nothing.
    """
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        outside = not quote and depth <= 0 and not re.fullmatch(r"\s*-?[\d.]+[eE]", parts[-1])
        if character == separator and outside:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def keywords(text: str) -> list[ast.keyword]:
    """Returns the keyword arguments in the parentheses after a name.

    Raises:
        ComparisonError: the text is no such call.
    """
    name, bracket, rest = text.partition("(")
    if not bracket:
        return []
    name = name.strip()
    try:
        call = ast.parse(f"f({rest.strip()}", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ComparisonError(f"{text} cannot be read ({reason}); {HOW_TO_WRITE}") from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ComparisonError(f"{text} is not a loss with parameters; {HOW_TO_WRITE}")
    if call.args:
        raise ComparisonError(
            f"{name} takes its parameters by name, but {ast.unparse(call.args[0])} has no "
            f"name; {HOW_TO_WRITE}"
        )
    given = [keyword.arg for keyword in call.keywords]
    if None in given:
        raise ComparisonError(f"{name} takes its parameters by name; {HOW_TO_WRITE}")
    for parameter in given:
        if given.count(parameter) > 1:
            raise ComparisonError(f"{name}: {parameter} is given twice; give it once")
    return call.keywords


def alternatives(text: str) -> list[str]:
    """Returns the text of a loss, once for each combination of the values that stand between |.

    Example:
        >>> alternatives("zlpr_loss+2*dice_loss(smooth=1|2)")
        ['zlpr_loss+2*dice_loss(smooth=1)', 'zlpr_loss+2*dice_loss(smooth=2)']
    """
    terms = []
    for term in split(text, "+"):
        name, _, rest = term.partition("(")
        given = keywords(term) if "|" in rest else []
        options = [[ast.unparse(node) for node in _between_bars(each.value)] for each in given]
        names = [each.arg for each in given]
        terms.append(
            [
                f"{name}({', '.join(f'{n}={v}' for n, v in zip(names, values, strict=True))})"
                for values in itertools.product(*options)
            ]
            if given
            else [term]
        )
    return ["+".join(each) for each in itertools.product(*terms)]


def _between_bars(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_between_bars(node.left), *_between_bars(node.right)]
    return [node]


def of_loss(entry: Entry, text: str) -> tuple[tuple[str, Value], ...]:
    """Returns the parameters in the parentheses after the name of a loss, in its own order.

    Raises:
        ComparisonError: the text cannot be read, or the loss has no such parameter or value.
    """
    values: dict[str, Value] = {}
    for keyword in keywords(text):
        assert keyword.arg is not None
        _check_parameter(entry, keyword.arg)
        values[keyword.arg] = _value(entry, keyword.arg, keyword.value)
    return tuple((p, values[p]) for p in entry.own_parameters if p in values)


def literal(place: str, node: ast.expr) -> Value:
    """Returns the value of a literal; a message begins with its place."""
    written = ast.unparse(node)
    try:
        return checked(ast.literal_eval(node))
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise ComparisonError(
            f"{place} is {written}; give a number, True, False, None, text in quotes, or a list "
            "of numbers"
        ) from None
    except OverflowError:
        raise ComparisonError(
            f"{place} is {written}, which is too large; write large integers as floats, such as 3e9"
        ) from None


def checked(value: object) -> Value:
    """Returns a literal with its lists as tuples.

    Raises:
        TypeError, ValueError: it is of another kind.
        OverflowError: a number is too large.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        largest = 2**31 - 1 if isinstance(value, int) else float(np.finfo(np.float32).max)
        if not abs(value) <= largest:
            raise OverflowError
        return value
    if isinstance(value, list | tuple):
        entries = tuple(map(checked, value))
        if array(entries).dtype.kind not in "bif":  # raises ValueError if rows differ in length
            raise TypeError
        return entries
    raise TypeError


def array(values: tuple[Value, ...]) -> np.ndarray:
    """Returns a list of values as an array in single precision."""
    found = np.asarray(values)
    single: Mapping[str, type] = {"i": np.int32, "f": np.float32}
    return found.astype(single.get(found.dtype.kind, found.dtype))


def written(value: Value) -> str:
    """Returns the Python literal of a value."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(written, value))}]"
    return repr(value)


def plain(value: Value) -> str:
    """Returns a value as part of a file name, or "" if it cannot be part of one.

    Some systems ignore the case of letters, so no text may look like True or None.
    """
    if isinstance(value, tuple):
        return ""
    if isinstance(value, str):
        fits = re.fullmatch(r"[a-z][a-z_]*", value) and value not in {"true", "false", "none"}
        return value if fits else ""
    return repr(value)


def _check_parameter(entry: Entry, name: str) -> None:
    """Raises unless the loss has a parameter of this name that can be set."""
    own = [each for each in entry.own_parameters if each not in HEADS]
    if name in CONTRACT_PARAMETERS:
        raise ComparisonError(
            f"{entry.name}: {name} cannot be set, because it is the same for all losses of a "
            "comparison; leave it out"
        )
    if name in HEADS and name in entry.own_parameters:
        raise ComparisonError(
            f"{entry.name}: {name} cannot be set, because it is an output of the model; leave it "
            "out"
        )
    if name not in own:
        hint = did_you_mean(name, own, most=3)
        known = f"it has {', '.join(own)}" if own else "it has none that can be set"
        raise ComparisonError(f"{entry.name} has no parameter {name!r}; {known}{hint}")


def _value(entry: Entry, parameter: str, node: ast.expr) -> Value:
    """Returns the literal that a parameter is set to."""
    place = f"{entry.name}: {parameter}"
    value = literal(place, node)
    default = entry.own_parameters[parameter]
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "True or False"
    elif isinstance(default, str):
        fits, kind = isinstance(value, str | None), "text in quotes"
    else:
        fits, kind = not isinstance(value, bool | str | None), "a number"
        fits |= value is None and default is None
    if not fits:
        raise ComparisonError(f"{place} must be {kind}, got {ast.unparse(node)}")
    return value
