"""The choice of losses to compare, and of their parameters.

A loss is written as a call, such as `asymmetric_loss(gamma_neg=2, detach_focus=False)`. The call is
parsed and never evaluated; its values are Python literals.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax._core.text import did_you_mean
from mllosses_jax.catalogue import CATALOGUE, CONTRACT_PARAMETERS, Entry, find
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.heads import HEADS

BASELINE = "sigmoid_binary_cross_entropy"
DEFAULT = (
    BASELINE,
    "sigmoid_focal_loss",
    "asymmetric_loss",
    "balanced_binary_cross_entropy",
    "softmax_cross_entropy",
    "soft_f1_loss",
    "zlpr_loss",
    "lsep_loss",
    "two_way_loss",
)
LONGEST_FILE_NAME = 100  # leaves room for a suffix and a temporary suffix
HOW_TO_WRITE = "write LOSS, or LOSS(parameter=value, ...)"

# A tuple stands for a list with one entry per label, or for a list of such rows.
Value: TypeAlias = bool | int | float | str | tuple["Value", ...] | None


@dataclass(frozen=True)
class Choice:
    """A loss with the parameters that it is given; `parse` returns one that is checked.

    Attributes:
        name: the name of the loss.
        parameters: names and values, in the order of the loss's signature.
        label: the choice as text, which `parse` can read. Choices are equal if their labels are,
            because 2 and 2.0 are different constants to a loss.
    """

    name: str
    parameters: tuple[tuple[str, Value], ...] = field(default=(), compare=False)
    label: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = ", ".join(f"{parameter}={_text(value)}" for parameter, value in self.parameters)
        object.__setattr__(self, "label", f"{self.name}({given})" if given else self.name)

    def __str__(self) -> str:
        return self.label

    @property
    def entry(self) -> Entry:
        """The loss's row in the catalogue."""
        return find(self.name)

    @property
    def arguments(self) -> dict[str, Any]:
        """The parameters as the loss takes them, with lists as arrays."""
        return {p: _array(v) if isinstance(v, tuple) else v for p, v in self.parameters}

    @property
    def file_name(self) -> str:
        """A file name that differs from that of every other choice, on every system.

        It shows the values if they are short and plain, and a hash of them otherwise.
        """
        if not self.parameters:
            return self.name
        shown = "-".join([self.name, *(f"{p}={_plain(v)}" for p, v in self.parameters)])
        if all(_plain(value) for _, value in self.parameters) and len(shown) <= LONGEST_FILE_NAME:
            return shown
        return f"{self.name}-{hashlib.sha256(self.label.encode()).hexdigest()[:12]}"


def choose(losses: str | Sequence[str | Choice] | None) -> tuple[Choice, ...]:
    """Returns the requested losses.

    Args:
        losses: losses as `parse` takes them, separated by commas or in a sequence; "all"; or None
            for the default.

    Returns:
        The choices without repetitions, with the plain baseline first if it is among them.

    Raises:
        ComparisonError: a loss cannot be parsed, or there is none.
    """
    given: Sequence[str | Choice]
    if losses is None:
        given = DEFAULT
    elif losses == "all":
        given = [entry.name for entry in CATALOGUE]
    else:
        given = [losses] if isinstance(losses, str) else losses
        if not isinstance(given, Iterable) or not all(isinstance(x, str | Choice) for x in given):
            raise ComparisonError(f"losses must be names or Choices (losses), got {losses!r}")
    choices: dict[str, Choice] = {}
    for item in given:
        for choice in [item] if isinstance(item, Choice) else map(parse, _split(item)):
            choices[choice.label] = choice
    if not choices:
        raise ComparisonError("no loss is named (losses); give names separated by commas, or all")
    return tuple(sorted(choices.values(), key=lambda choice: choice.label != BASELINE))


def parse(text: str) -> Choice:
    """Returns the loss that a text names, such as `zlpr_loss` or `hinge_loss(margin=0.5)`.

    Args:
        text: the name, followed in parentheses by parameters of the loss with their values:
            numbers, True, False, None, text in quotes, and lists with a number per label.

    Raises:
        ComparisonError: the text cannot be parsed, or the loss does not accept these values.
            `bound_loss.bind` checks what depends on the data, such as the length of a list.
    """
    name, bracket, _ = (part.strip() for part in text.partition("("))
    try:
        entry = find(name)
    except KeyError as error:
        raise ComparisonError(f"{error.args[0]} (`mllosses list` shows all)") from None
    if not bracket:
        return Choice(name)
    values: dict[str, Value] = {}
    for keyword in _keywords(text.strip()):
        parameter = keyword.arg
        if parameter is None:
            raise ComparisonError(f"{name} takes its parameters by name; {HOW_TO_WRITE}")
        _check_parameter(entry, parameter)
        if parameter in values:
            raise ComparisonError(f"{name}: {parameter} is given twice; give it once")
        values[parameter] = _value(entry, parameter, keyword.value)
    choice = Choice(name, tuple((p, values[p]) for p in entry.own_parameters if p in values))
    _check_values(choice)
    return choice


def try_call(choice: Choice, loss: Callable[..., Any], num_outputs: int, num_labels: int) -> None:
    """Raises a ComparisonError if a loss refuses the values of its parameters.

    Nothing is computed; the loss is only traced, on two rows.
    """
    outputs = jax.ShapeDtypeStruct((2, num_outputs), jnp.float32)
    labels = jax.ShapeDtypeStruct((2, num_labels), jnp.bool_)
    try:
        jax.eval_shape(loss, outputs, labels)
    except (TypeError, ValueError, OverflowError) as error:
        [reason, *_] = str(error).splitlines()
        raise ComparisonError(f"{choice}: {reason.removeprefix(f'{choice.name}: ')}") from None


def _split(text: str) -> list[str]:
    """Returns the parts of a text between commas outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        if character == "," and not quote and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part.strip()]


def _keywords(text: str) -> list[ast.keyword]:
    """Returns the keyword arguments in the parentheses after the name of a loss."""
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ComparisonError(f"{text} cannot be read ({reason}); {HOW_TO_WRITE}") from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ComparisonError(f"{text} is not a loss with parameters; {HOW_TO_WRITE}")
    if call.args:
        raise ComparisonError(
            f"{call.func.id} takes its parameters by name, but {ast.unparse(call.args[0])} has no "
            f"name; {HOW_TO_WRITE}"
        )
    return call.keywords


def _check_parameter(entry: Entry, name: str) -> None:
    """Raises unless the loss has a parameter of this name that can be set."""
    own = [parameter for parameter in entry.own_parameters if parameter not in HEADS]
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
    written = ast.unparse(node)
    try:
        value = _checked(ast.literal_eval(node))
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise ComparisonError(
            f"{place} is {written}; give a number, True, False, None, text in quotes, or a list "
            "of numbers"
        ) from None
    except OverflowError:
        raise ComparisonError(
            f"{place} is {written}, which is too large; write large integers as floats, such as 3e9"
        ) from None
    default = entry.own_parameters[parameter]
    if isinstance(default, bool):
        fits, kind = isinstance(value, bool), "True or False"
    elif isinstance(default, str):
        fits, kind = isinstance(value, str | None), "text in quotes"
    else:
        fits, kind = not isinstance(value, bool | str | None), "a number"
        fits |= value is None and default is None
    if not fits:
        raise ComparisonError(f"{place} must be {kind}, got {written}")
    return value


def _checked(value: object) -> Value:
    """Returns a literal with its lists as tuples, or raises if it is of another kind."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        largest = 2**31 - 1 if isinstance(value, int) else float(np.finfo(np.float32).max)
        if not abs(value) <= largest:
            raise OverflowError
        return value
    if isinstance(value, list | tuple):
        entries = tuple(map(_checked, value))
        if _array(entries).dtype.kind not in "bif":  # raises ValueError if rows differ in length
            raise TypeError
        return entries
    raise TypeError


def _check_values(choice: Choice) -> None:
    """Tries the values that do not depend on the data, in order to report a mistake early."""
    entry = choice.entry
    single = {p: v for p, v in choice.parameters if not isinstance(v, tuple)}
    if single and set(entry.required) <= set(single):
        try_call(choice, functools.partial(entry.loss, **single), 3, 3)


def _array(values: tuple[Value, ...]) -> np.ndarray:
    array = np.asarray(values)
    single: Mapping[str, type] = {"i": np.int32, "f": np.float32}
    return array.astype(single.get(array.dtype.kind, array.dtype))


def _text(value: Value) -> str:
    """Returns the Python literal of a value."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    return repr(value)


def _plain(value: Value) -> str:
    """Returns a value as part of a file name, or "" if it cannot be part of one.

    Some systems ignore the case of letters, so no text may look like True or None.
    """
    if isinstance(value, tuple):
        return ""
    if isinstance(value, str):
        plain = re.fullmatch(r"[a-z][a-z_]*", value) and value not in {"true", "false", "none"}
        return value if plain else ""
    return repr(value)
