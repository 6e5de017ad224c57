"""Rewrites docstrings for mkdocstrings: formulas become MathML, and losses get their pictures."""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any

import griffe
from formula_blocks import section_html
from notebook import figure
from reference import links, pages

from mllosses_jax.catalogue import CATALOGUE

_SECTION = re.compile(r"^(Formula|Reference|Example):\n((?:[ ]+.*\n|\n)*)", re.MULTILINE)
_SESSION = re.compile(
    r"(?:(?<=\n\n)|^)(?P<indent>(?: {4})?)>>> .*\n(?:(?P=indent)\S.*\n|(?P=indent) +.*\n)*"
)
_NAME = re.compile(r"(?<![`\w\[])`((?:\w+\.)*)(\w+)`(?![`\w])")
_LOSSES = {entry.name: entry for entry in CATALOGUE}


class Formulas(griffe.Extension):
    """A griffe extension that rewrites the sections that Google's style does not have."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of an object that griffe has read."""
        if obj.docstring is not None and is_documented(obj.path):
            try:
                obj.docstring.value = rewritten(obj.docstring.value, obj.name)
            except ValueError as error:
                raise ValueError(f"{obj.path}: {error}") from error


@functools.cache
def _documented() -> frozenset[str]:
    return frozenset(path for page in pages() for path in (page.module, *page.objects))


def is_documented(path: str) -> bool:
    """Returns whether an object, or the class that contains it, is in the reference."""
    return path in _documented() or path.rpartition(".")[0] in _documented()


def rewritten(docstring: str, name: str) -> str:
    """Returns a docstring as Markdown in which mkdocstrings finds its sections.

    Args:
        docstring: the docstring, in the project's convention.
        name: the name of the documented object; a loss gets its picture below the formula.
    """

    def section(match: re.Match[str]) -> str:
        title, body = match[1], inspect.cleandoc(f"\n{match[2]}").strip()
        if title == "Example":  # Google's style has the plural.
            return f"Examples:\n{match[2]}"
        if title == "Formula":
            body = f"{section_html(body)}\n\n{_picture(name)}"
        return f'<p class="section-title">{title}</p>\n\n{body}\n\n'

    text = _SECTION.sub(section, docstring + "\n").replace("::\n\n ", ":\n\n ")
    text = _SESSION.sub(lambda lines: f"```pycon\n{inspect.cleandoc(lines[0])}\n```\n", text)
    return "\n".join(_linked(line, name) for line in text.splitlines())


def _linked(line: str, own: str) -> str:
    """Turns the public names in a line into links, unless the line is code."""
    if line.lstrip().startswith((">>>", "...", "<")):
        return line

    def link(match: re.Match[str]) -> str:
        qualified, name = match[1], match[2]
        path = links().get(name, "")
        ours = set(filter(None, qualified.split("."))) <= {"mll", *path.split(".")}
        return f"[{match[0]}][{path}]" if path and ours and name != own else match[0]

    return _NAME.sub(link, line)


def _picture(name: str) -> str:
    if name not in _LOSSES:
        return ""
    shown = {"element": "an entry", "sample": "a sample", "label": "a label", "batch": "the batch"}
    said = (
        f"{name} of {shown[_LOSSES[name].kind]} on the left and its gradient on the right, against "
        "the probability of one label, with a curve for a positive and one for a negative label"
    )
    return figure(f"../pictures/{name}.png", said) + "\n"
