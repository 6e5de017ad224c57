"""One convention for the docstrings of all public names, in every folder.

A docstring starts with a summary on one line. The sections that apply follow in this order:
Formula, Args, Attributes, Returns, Raises, Reference, Example. The docstring of a function
describes each argument and the result, and shows an example; a method may leave this to its class.
"""

import inspect
import re

import pytest
from rooms import MODULES

SECTIONS = ("Formula", "Args", "Attributes", "Returns", "Raises", "Reference", "Example")


def _public():
    for room, module in MODULES.items():
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{room}.{name}", value


PUBLIC = dict(_public())
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
METHODS = {
    f"{name}.{attribute}": getattr(method, "__func__", method)
    for name, value in PUBLIC.items()
    if inspect.isclass(value)
    for attribute, method in vars(value).items()
    if not attribute.startswith("_") and callable(getattr(method, "__func__", method))
}


def faults(value, *, whole):
    """Returns what a docstring lacks; a whole one has arguments, a result and an example."""
    text = inspect.getdoc(value)
    if not text:
        return ["a docstring"]
    lacking = []
    first, *rest = text.split("\n", 2)
    if not first.endswith(".") or (rest and rest[0]):
        lacking.append("a summary of one line, with a full stop")
    titles = re.findall(r"^(\w+):$", text, re.MULTILINE)
    if titles != sorted(titles, key=lambda t: SECTIONS.index(t) if t in SECTIONS else -1):
        lacking.append(f"the order of the sections: {titles}")
    lacking += [f"a known title in place of {title!r}" for title in titles if title not in SECTIONS]
    if inspect.isclass(value):
        return lacking
    if whole or "Args" in titles:
        described, parameters = _described(text), inspect.signature(value).parameters
        if described != [name for name in parameters if name not in ("self", "cls")]:
            lacking.append(f"its arguments in their order: {described}")
    if whole:
        returns = inspect.signature(value).return_annotation
        needed = ["Example"] if returns in (None, "None") else ["Returns", "Example"]
        lacking += [title for title in needed if title not in titles]
    return lacking


def _described(text):
    section = re.search(r"^Args:\n((?:    .*\n|\n)*)", text + "\n", re.MULTILINE)
    return re.findall(r"^    \*{0,2}(\w+):", section[1], re.MULTILINE) if section else []


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_docstring_of_a_public_name(name):
    assert faults(PUBLIC[name], whole=name in FUNCTIONS) == []


@pytest.mark.parametrize("name", sorted(METHODS))
def test_docstring_of_a_method(name):
    assert faults(METHODS[name], whole=False) == []


def _no_docstring(logits): ...


def _no_full_stop(logits):
    """Summary"""


def _argument_that_is_not_described(logits, labels):
    """Summary.

    Args:
        logits: described.

    Returns:
        Something.

    Example:
        >>> 1
    """


def _wrong_order():
    """Summary.

    Example:
        >>> 1

    Returns:
        Something.
    """


def _unknown_section():
    """Summary.

    Examples:
        >>> 1
    """


@pytest.mark.parametrize(
    "function",
    [
        _no_docstring,
        _no_full_stop,
        _argument_that_is_not_described,
        _wrong_order,
        _unknown_section,
    ],
)
def test_a_fault_is_found(function):
    assert faults(function, whole=True)
