"""The choice of losses to compare, and of their parameters.

A loss is written as a call, such as `asymmetric_loss(gamma_neg=2, detach_focus=False)`, and a sum
of losses as `asymmetric_loss+0.5*dice_loss`. Values between bars, as in `hinge_loss(margin=0.5|1)`,
are settings of which validation chooses one. The text is parsed and never evaluated. The user's own
functions are named by `package.module:function`, or given as they are.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax.catalogue import CATALOGUE, find
from mllosses_jax.compare import own_code, parameters
from mllosses_jax.compare.choice import BASELINE, ENTRIES, AnyChoice, Choice, Grid, Loss, Sum
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.parameters import Value
from mllosses_jax.losses.sums import WeightedSum

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
LONGEST_NAME = 100
MOST_SETTINGS = 64
WEIGHTED = re.compile(r"\s*(-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*\*(.*)", re.DOTALL)

Losses: TypeAlias = (
    str | AnyChoice | Loss | Mapping[str, Loss] | Sequence[str | AnyChoice | Loss] | None
)


def choose(losses: Losses, *, grid: bool = False) -> tuple[AnyChoice, ...]:
    """Returns the requested losses.

    Args:
        losses: losses as `parse` takes them, separated by commas or in a sequence; functions, in a
            sequence or as `{name: function}`; "all"; or None for the default.
        grid: whether losses without parameters get the values of the catalogue to choose from.

    Returns:
        The choices without repetitions, with the plain baseline first if it is among them.

    Raises:
        ComparisonError: a loss cannot be parsed or has no name, or there is none.
    """
    given: Iterable[Any]
    if losses is None:
        given = DEFAULT
    elif losses == "all":
        given = [entry.name for entry in CATALOGUE]
    elif isinstance(losses, Mapping):
        given = [_named(name, function) for name, function in losses.items()]
    elif isinstance(losses, str | Choice | Sum | Grid) or callable(losses):
        given = [losses]
    else:
        given = losses
    if not isinstance(given, Iterable) or not all(
        isinstance(item, str | Choice | Sum | Grid) or callable(item) for item in given
    ):
        raise ComparisonError(
            f"losses must be names, functions or Choices (losses), got {losses!r}"
        )
    choices: dict[str, AnyChoice] = {}
    for item in given:
        texts = parameters.split(item) if isinstance(item, str) else []
        for found in map(parse, filter(str.strip, texts)) if texts else [_of(item)]:
            choice = _with_grid(found) if grid else found
            before = choices.setdefault(choice.label, choice)
            if _functions(before) != _functions(choice):
                raise ComparisonError(
                    f"two functions are called {choice.label} (losses); {own_code.HOW_TO_NAME}"
                )
    if not choices:
        raise ComparisonError("no loss is named (losses); give names separated by commas, or all")
    return tuple(sorted(choices.values(), key=lambda choice: choice.label != BASELINE))


def _with_grid(choice: AnyChoice) -> AnyChoice:
    """Returns a loss of the catalogue with the values that are worth trying, others as they are."""
    if not isinstance(choice, Choice) or choice.function is not None or choice.parameters:
        return choice
    return parse(f"{choice.name}({choice.entry.grid})") if choice.entry.grid else choice


def parse(text: str) -> AnyChoice:
    """Returns the loss that a text names, such as `hinge_loss(margin=0.5)`, or a sum of losses.

    Args:
        text: terms joined by +, such as `zlpr_loss+0.5*dice_loss`. Each is a name, after its weight
            and `*` if that is not 1, and followed in parentheses by parameters of the loss with
            their values: numbers, True, False, None, text in quotes, and lists with a number per
            label. `package.module:function` is the name of a function of the user's own. Numbers
            between bars (`margin=0.5|1`) are settings to choose from.

    Raises:
        ComparisonError: the text cannot be parsed, or the loss does not accept these values.
            `bound_loss.bind` checks what depends on the data, such as the length of a list.
    """
    texts = parameters.alternatives(text)
    return _parsed(text) if len(texts) == 1 else _grid(texts)


def _parsed(text: str) -> Choice | Sum:
    """Returns the loss that a text without bars names."""
    parts = parameters.split(text, "+")
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise ComparisonError(f"{text.strip()}: a loss is missing beside +; write LOSS+0.5*LOSS")
    return _sum(_term(part) for part in parts)


def _grid(texts: Sequence[str]) -> Grid:
    """Returns a grid of the settings in these texts."""
    if len(texts) > MOST_SETTINGS:
        raise ComparisonError(
            f"{texts[0]} has {len(texts)} settings; give at most {MOST_SETTINGS} (losses)"
        )
    grid = Grid(tuple(dict.fromkeys(map(_parsed, texts))))
    for name, values in grid.values.items():
        if not all(isinstance(value, int | float) for value in values):
            raise ComparisonError(
                f"{grid}: values between | must be numbers, True or False, which those of {name} "
                "are not; name the loss once for each (losses)"
            )
    return grid


def _term(text: str) -> tuple[float, Choice]:
    """Returns the weight and the loss of a term of a sum."""
    found = WEIGHTED.fullmatch(text)
    weight, loss = (float(found[1]), found[2]) if found else (1.0, text)
    name = loss.partition("(")[0].strip()
    if "*" in name:
        raise ComparisonError(
            f"{text.strip()}: the weight must be a number before *, as in 0.5*zlpr_loss"
        )
    return weight, _own(loss) if ":" in name else _of_catalogue(name, loss)


def _sum(terms: Iterable[tuple[float, Choice]]) -> Choice | Sum:
    """Returns a sum, or the loss itself if that is all of it."""
    found = tuple(terms)
    for weight, choice in found:
        if not math.isfinite(weight) or weight == 0:
            raise ComparisonError(
                f"the weight of {choice} must be finite and not 0 (losses), got {weight:g}"
            )
    return found[0][1] if len(found) == 1 and found[0][0] == 1 else Sum(found)


def _of_catalogue(name: str, text: str) -> Choice:
    """Returns a loss of the catalogue with the parameters in a text."""
    try:
        entry = find(name)
    except KeyError as error:
        raise ComparisonError(f"{error.args[0]} (`mllosses list` shows all)") from None
    choice = Choice(name, parameters.of_loss(entry, text.strip()))
    if choice.parameters:
        _check_values(choice)
    return choice


def _own(text: str) -> Choice:
    """Returns a function of the user's own with the parameters in a text."""
    path = text.partition("(")[0].strip()
    function = own_code.load(path)
    values = {
        str(keyword.arg): parameters.literal(f"{path}: {keyword.arg}", keyword.value)
        for keyword in parameters.keywords(text.strip())
    }
    return _choice_of(path, function, values)


def _choice_of(name: str, function: Loss, values: dict[str, Value]) -> Choice:
    """Returns a function of the user's own as a choice, with values in the order it takes them."""
    known = list(own_code.parameters_of(function))
    order = [*(p for p in known if p in values), *(p for p in values if p not in known)]
    choice = Choice(name, tuple((p, values[p]) for p in order), function)
    own_code.check_call(choice.label, function, ("logits", "labels"), values)
    return choice


def _of(item: Any) -> AnyChoice:
    """Returns a choice, or a function as one: losses of the catalogue as if they were written."""
    if isinstance(item, Choice | Sum | Grid):
        return item
    if isinstance(item, WeightedSum):
        return _sum(
            (float(np.asarray(weight)) * inner, choice)
            for weight, loss in item.terms
            for inner, choice in _of(loss).terms
        )
    function, given = own_code.innermost(item), getattr(item, "keywords", {})
    entry = ENTRIES.get(function)
    if entry is not None:
        values = {name: _plain_value(value) for name, value in given.items()}
        written = ", ".join(f"{name}={value!r}" for name, value in values.items())
        return _of_catalogue(entry.name, f"{entry.name}({written})")
    name = own_code.name_of(function)
    if _is_taken(name):
        raise ComparisonError(
            f"{name} is also a loss of this package (losses); {own_code.HOW_TO_NAME}"
        )
    try:
        if getattr(item, "args", ()):
            raise TypeError
        values = {p: parameters.checked(_plain_value(value)) for p, value in given.items()}
    except (TypeError, ValueError, OverflowError):
        raise ComparisonError(
            f"{name} is given more than named numbers and texts (losses), so that it has no name "
            f"of its own; {own_code.HOW_TO_NAME}"
        ) from None
    return _choice_of(name, function, values)


def _named(name: Any, function: Any) -> AnyChoice:
    """Returns a function as a choice under the user's name for it."""
    if not isinstance(name, str) or not (name.isprintable() and 0 < len(name) <= LONGEST_NAME):
        raise ComparisonError(
            f"the names of losses must be text of at most {LONGEST_NAME} characters (losses), got "
            f"{name!r}"
        )
    if not callable(function):
        raise ComparisonError(f"{name} must be a function (losses), got {function!r}")
    if any(entry.name == name and entry.loss is function for entry in CATALOGUE):
        return parse(name)
    if _is_taken(name):
        raise ComparisonError(f"{name} is also a loss of this package (losses); name it otherwise")
    own_code.check_call(name, function, ("logits", "labels"), {})
    return Choice(name, (), function)


def _is_taken(name: str) -> bool:
    """Returns whether a name would be read as a loss of the catalogue, or a sum of them."""
    first = re.match(r"[-\d.eE\s*]*(\w*)", name)
    return first is not None and first[1] in {entry.name for entry in CATALOGUE}


def _plain_value(value: Any) -> Any:
    """Returns an array or a number of numpy or JAX as one of Python."""
    return (
        np.asarray(value).tolist()
        if isinstance(value, jax.Array | np.ndarray | np.generic)
        else value
    )


def _functions(choice: AnyChoice) -> list[Loss | None]:
    return [each.function for _, each in choice.terms]


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


def _check_values(choice: Choice) -> None:
    """Tries the values that do not depend on the data, in order to report a mistake early."""
    entry = choice.entry
    single = {p: v for p, v in choice.parameters if not isinstance(v, tuple)}
    if single and set(entry.required) <= set(single):
        try_call(choice, functools.partial(entry.loss, **single), 3, 3)
