"""The pages of the reference: one per public module, and one per family of losses."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import io
import pkgutil
import sys
import tempfile
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mllosses_jax
from mllosses_jax.catalogue import CATALOGUE

NOT_A_LIBRARY = {"cli"}  # The command has its own page.


@dataclass(frozen=True)
class Page:
    """A page of the reference.

    Attributes:
        path: the file of the page, relative to the folder of the site.
        title: the heading.
        module: the module whose docstring is at the top.
        objects: the documented objects, each by the path of its definition.
        end: Markdown that follows the objects.
    """

    path: str
    title: str
    module: str
    objects: tuple[str, ...]
    end: str = ""

    @property
    def markdown(self) -> str:
        """The page as Markdown, which mkdocstrings fills in."""
        options = "{members: false, show_root_heading: false, show_root_toc_entry: false}"
        top = f"::: {self.module}\n    options: {options}\n"
        described = "".join(f"\n::: {path}\n" for path in self.objects)
        return f"# {self.title}\n\n{top}{described}\n{self.end}"


@functools.cache
def pages() -> tuple[Page, ...]:
    """Returns the pages of all public modules."""
    found = []
    for module in public_modules():
        name = module.__name__.partition(".")[2]
        objects = tuple(defined_at(module, member) for member in public_names(module))
        if name == "losses":
            families = list(_families())
            listed = [path for page in families for path in page.objects]
            others = tuple(path for path in objects if path not in listed)
            table = _table(listed)
            found.append(
                Page("reference/losses/index.md", "Losses", module.__name__, others, table)
            )
            found += families
        else:
            found.append(Page(f"reference/{name}.md", f"`{name}`", module.__name__, objects))
    return tuple(found)


def _families() -> Iterator[Page]:
    for family in dict.fromkeys(entry.family for entry in CATALOGUE):
        module = importlib.import_module(f"{mllosses_jax.__name__}.losses.{family}")
        losses = [entry.name for entry in CATALOGUE if entry.family == family]
        objects = tuple(defined_at(mllosses_jax.losses, name) for name in losses)
        title = family.replace("_", " ").capitalize()
        yield Page(f"reference/losses/{family}.md", title, module.__name__, objects)


def _table(losses: list[str]) -> str:
    at = {path.rpartition(".")[2]: path for path in losses}
    rows = [f"| [`{e.name}`][{at[e.name]}] | {e.family} | {e.summary} |" for e in CATALOGUE]
    return "\n".join(["| loss | family | what it is |", "|---|---|---|", *rows, ""])


def public_modules() -> Iterator[types.ModuleType]:
    """Yields the public modules of the package, each followed by those in its `__all__`."""
    for info in pkgutil.iter_modules(mllosses_jax.__path__):
        if not info.name.startswith("_") and info.name not in NOT_A_LIBRARY:
            module = importlib.import_module(f"{mllosses_jax.__name__}.{info.name}")
            yield module
            for value in (getattr(module, name) for name in getattr(module, "__all__", ())):
                if inspect.ismodule(value):
                    yield value


def public_names(module: types.ModuleType) -> list[str]:
    """Returns the public names of a module except for modules, functions first."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    names = [name for name in names if not inspect.ismodule(getattr(module, name))]
    return sorted(names, key=lambda name: inspect.isclass(getattr(module, name)))


def defined_at(module: types.ModuleType, name: str) -> str:
    """Returns the path under which a public name is defined."""
    value: Any = inspect.unwrap(getattr(module, name))
    home = getattr(value, "__module__", None)
    if home and home.startswith(mllosses_jax.__name__) and hasattr(value, "__qualname__"):
        return f"{home}.{value.__qualname__}"
    holders = [  # A constant or a type alias does not say where it is defined.
        other
        for path, other in sorted(sys.modules.items())
        if path.startswith(module.__name__) and vars(other).get(name) is value
    ]
    return f"{max(holders, key=lambda other: other.__name__.count('.')).__name__}.{name}"


@functools.cache
def links() -> dict[str, str]:
    """Returns where each public name is defined, except for names that arguments have too."""
    found = {path.rpartition(".")[2]: path for page in pages() for path in page.objects}
    arguments: set[str] = set()
    for path in found.values():
        home, _, name = path.rpartition(".")
        value = inspect.unwrap(getattr(importlib.import_module(home), name))
        if inspect.isfunction(value):
            arguments |= set(inspect.signature(value).parameters)
    return {name: path for name, path in found.items() if name not in arguments}


@functools.cache
def pictures() -> dict[str, bytes]:
    """Returns the picture of each loss by `mllosses describe LOSS --plot`, with fewer colours."""
    from PIL import Image

    from mllosses_jax.cli.main import main

    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        for entry in CATALOGUE:
            path = Path(folder) / f"{entry.name}.png"
            with contextlib.redirect_stdout(io.StringIO()):
                status = main(["describe", entry.name, "--plot", str(path)])
            if status:
                raise RuntimeError(f"`mllosses describe {entry.name} --plot` failed")
            smaller = io.BytesIO()
            with Image.open(path) as picture:
                picture.convert("RGB").quantize(64).save(smaller, "png", optimize=True)
            drawn[entry.name] = smaller.getvalue()
    return drawn
