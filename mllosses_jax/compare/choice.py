"""The losses of a comparison: one with its parameters, a sum, or a grid of settings of these."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mllosses_jax.catalogue import CATALOGUE, Entry, find
from mllosses_jax.compare import own_code, parameters
from mllosses_jax.compare.heads import THRESHOLD
from mllosses_jax.compare.parameters import Value
from mllosses_jax.losses.sums import WeightedSum

BASELINE = "sigmoid_binary_cross_entropy"
LONGEST_FILE_NAME = 100  # leaves room for a suffix and a temporary suffix

Loss: TypeAlias = Callable[..., Any]
ENTRIES = {entry.loss: entry for entry in CATALOGUE}


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
        label = _added([(weight, each.label) for weight, each in self.terms])
        object.__setattr__(self, "label", label)

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


@dataclass(frozen=True)
class Grid:
    """A loss or a sum with several settings of its parameters, of which validation chooses one.

    Attributes:
        settings: the loss in each setting: every combination of the values.
        label: the grid as text. Grids are equal if their labels are.
    """

    settings: tuple[Choice | Sum, ...] = field(compare=False)
    label: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        written = []
        for place, (weight, term) in enumerate(self.settings[0].terms):
            values = {
                name: dict.fromkeys(
                    parameters.written(dict(each.terms[place][1].parameters)[name])
                    for each in self.settings
                )
                for name, _ in term.parameters
            }
            given = ", ".join(f"{name}={'|'.join(of)}" for name, of in values.items())
            written.append((weight, f"{term.name}({given})" if given else term.name))
        object.__setattr__(self, "label", _added(written))

    def __str__(self) -> str:
        return self.label

    @property
    def terms(self) -> tuple[tuple[float, Choice], ...]:
        """The terms of the first setting; all have the same losses."""
        return self.settings[0].terms

    @property
    def zero_decides(self) -> bool:
        """Whether a logit above 0 is the loss's own decision for a label."""
        return self.settings[0].zero_decides

    @property
    def values(self) -> dict[str, tuple[float, ...]]:
        """The value in each setting, by parameter, of those that differ between settings."""
        several = len(self.terms) > 1
        found: dict[str, tuple[float, ...]] = {}
        for place, (_, term) in enumerate(self.terms):
            for name, _ in term.parameters:
                of = tuple(dict(each.terms[place][1].parameters)[name] for each in self.settings)
                if len(set(of)) > 1:
                    found[f"{term.name} {name}" if several else name] = of  # type: ignore[assignment]
        return found

    @property
    def file_name(self) -> str:
        """A file name that differs from that of every other choice, on every system."""
        return _hashed(self.label, self.label)


AnyChoice: TypeAlias = Choice | Sum | Grid


def learns_threshold(choice: AnyChoice) -> bool:
    """Returns whether a model learns a threshold of each row with a loss."""
    return any(THRESHOLD in c.entry.required for _, c in choice.terms if c.function is None)


def _added(terms: Sequence[tuple[float, str]]) -> str:
    """Returns a sum as text."""
    return "+".join(
        text if weight == 1 else f"{repr(weight).removesuffix('.0')}*{text}"
        for weight, text in terms
    )


def _zero_decides(function: Loss) -> bool:
    """Returns `zero_decides` of a function: the user's word, or what the catalogue says."""
    if isinstance(function, WeightedSum):
        return any(_zero_decides(loss) for _, loss in function.terms)
    inner = own_code.innermost(function)
    return bool(getattr(ENTRIES.get(inner, inner), "zero_decides", True))


def _hashed(text: str, label: str) -> str:
    """Returns the start of a text as a file name, with a hash of the label."""
    start = re.sub(r"[^a-zA-Z0-9_.=]+", "-", text)[: LONGEST_FILE_NAME - 13].strip("-.")
    return f"{start}-{hashlib.sha256(label.encode()).hexdigest()[:12]}"
