"""The choice of losses to compare, and of their parameters.

A loss is written as a call, such as `asymmetric_loss(gamma_neg=2, detach_focus=False)`, and a sum
of losses as `asymmetric_loss+0.5*dice_loss`. The text is parsed and never evaluated. The user's
own functions are named by `package.module:function`, or given as they are.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from mllosses_jax.catalogue import CATALOGUE, Entry, find
from mllosses_jax.compare import own_code, parameters
from mllosses_jax.compare.errors import ComparisonError
from mllosses_jax.compare.parameters import Value
from mllosses_jax.losses.sums import WeightedSum

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
LONGEST_NAME = 100
WEIGHTED = re.compile(r"\s*(-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*\*(.*)", re.DOTALL)
_ENTRIES = {entry.loss: entry for entry in CATALOGUE}

Loss: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class Choice:
    """A loss with the parameters that it is given; `parse` returns one that is checked.

    Attributes:
        name: the name of the loss.
        parameters: names and values, in the order of the loss's signature.
        function: the user's own function, or None for a loss of the catalogue.
        label: the choice as text, which `parse` can read unless the function was given as it is.
            Choices are equal if their labels are, because 2 and 2.0 are different constants to a
            loss.
    """

    name: str
    parameters: tuple[tuple[str, Value], ...] = field(default=(), compare=False)
    function: Loss | None = field(default=None, compare=False, repr=False)
    label: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = ", ".join(f"{name}={parameters.written(v)}" for name, v in self.parameters)
        object.__setattr__(self, "label", f"{self.name}({given})" if given else self.name)

    def __str__(self) -> str:
        return self.label

    @property
    def terms(self) -> tuple[tuple[float, Choice], ...]:
        """The loss as a sum of one term."""
        return ((1.0, self),)

    @property
    def entry(self) -> Entry:
        """The loss's row in the catalogue."""
        return find(self.name)

    @property
    def zero_decides(self) -> bool:
        """Whether a logit above 0 is the loss's own decision for a label."""
        return self.entry.zero_decides if self.function is None else _zero_decides(self.function)

    @property
    def arguments(self) -> dict[str, Any]:
        """The parameters as the loss takes them, with lists as arrays."""
        return {p: parameters.array(v) if isinstance(v, tuple) else v for p, v in self.parameters}

    @property
    def file_name(self) -> str:
        """A file name that differs from that of every other choice, on every system.

        It shows the values if they are short and plain, and a hash of them otherwise.
        """
        if self.function is not None:
            return _hashed(self.label, self.label)
        if not self.parameters:
            return self.name
        plain = [parameters.plain(value) for _, value in self.parameters]
        shown = "-".join(
            [self.name, *(f"{p}={v}" for (p, _), v in zip(self.parameters, plain, strict=True))]
        )
        if all(plain) and len(shown) <= LONGEST_FILE_NAME:
            return shown
        return _hashed(self.name, self.label)


@dataclass(frozen=True)
class Sum:
    """A weighted sum of losses.

    Attributes:
        terms: the weights and the losses.
        label: the sum as text. Sums are equal if their labels are.
    """

    terms: tuple[tuple[float, Choice], ...] = field(compare=False)
    label: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        weighted = [
            each.label if weight == 1 else f"{repr(weight).removesuffix('.0')}*{each.label}"
            for weight, each in self.terms
        ]
        object.__setattr__(self, "label", "+".join(weighted))

    def __str__(self) -> str:
        return self.label

    @property
    def zero_decides(self) -> bool:
        """Whether a term has an origin, which losses that only order the labels leave as it is."""
        return any(each.zero_decides for _, each in self.terms)

    @property
    def file_name(self) -> str:
        """A file name that differs from that of every other choice, on every system."""
        return _hashed(self.label, self.label)


AnyChoice: TypeAlias = Choice | Sum
Losses: TypeAlias = (
    str | AnyChoice | Loss | Mapping[str, Loss] | Sequence[str | AnyChoice | Loss] | None
)


def choose(losses: Losses) -> tuple[AnyChoice, ...]:
    """Returns the requested losses.

    Args:
        losses: losses as `parse` takes them, separated by commas or in a sequence; functions, in a
            sequence or as `{name: function}`; "all"; or None for the default.

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
    elif isinstance(losses, str | Choice | Sum) or callable(losses):
        given = [losses]
    else:
        given = losses
    if not isinstance(given, Iterable) or not all(
        isinstance(item, str | Choice | Sum) or callable(item) for item in given
    ):
        raise ComparisonError(
            f"losses must be names, functions or Choices (losses), got {losses!r}"
        )
    choices: dict[str, AnyChoice] = {}
    for item in given:
        texts = parameters.split(item) if isinstance(item, str) else []
        for choice in map(parse, filter(str.strip, texts)) if texts else [_of(item)]:
            before = choices.setdefault(choice.label, choice)
            if _functions(before) != _functions(choice):
                raise ComparisonError(
                    f"two functions are called {choice.label} (losses); {own_code.HOW_TO_NAME}"
                )
    if not choices:
        raise ComparisonError("no loss is named (losses); give names separated by commas, or all")
    return tuple(sorted(choices.values(), key=lambda choice: choice.label != BASELINE))


def parse(text: str) -> AnyChoice:
    """Returns the loss that a text names, such as `hinge_loss(margin=0.5)`, or a sum of losses.

    Args:
        text: terms joined by +, such as `zlpr_loss+0.5*dice_loss`. Each is a name, after its weight
            and `*` if that is not 1, and followed in parentheses by parameters of the loss with
            their values: numbers, True, False, None, text in quotes, and lists with a number per
            label. `package.module:function` is the name of a function of the user's own.

    Raises:
        ComparisonError: the text cannot be parsed, or the loss does not accept these values.
            `bound_loss.bind` checks what depends on the data, such as the length of a list.
    """
    parts = parameters.split(text, "+")
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise ComparisonError(f"{text.strip()}: a loss is missing beside +; write LOSS+0.5*LOSS")
    return _sum(_term(part) for part in parts)


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


def _sum(terms: Iterable[tuple[float, Choice]]) -> AnyChoice:
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
    if isinstance(item, Choice | Sum):
        return item
    if isinstance(item, WeightedSum):
        return _sum(
            (float(np.asarray(weight)) * inner, choice)
            for weight, loss in item.terms
            for inner, choice in _of(loss).terms
        )
    function, given = own_code.innermost(item), getattr(item, "keywords", {})
    entry = _ENTRIES.get(function)
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


def _zero_decides(function: Loss) -> bool:
    """Returns `zero_decides` of a function: the user's word, or what the catalogue says."""
    if isinstance(function, WeightedSum):
        return any(_zero_decides(loss) for _, loss in function.terms)
    inner = own_code.innermost(function)
    return bool(getattr(_ENTRIES.get(inner, inner), "zero_decides", True))


def _hashed(text: str, label: str) -> str:
    """Returns the start of a text as a file name, with a hash of the label."""
    start = re.sub(r"[^a-zA-Z0-9_.=]+", "-", text)[: LONGEST_FILE_NAME - 13].strip("-.")
    return f"{start}-{hashlib.sha256(label.encode()).hexdigest()[:12]}"


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
