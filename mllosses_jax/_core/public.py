"""What a package shows: its public names, in `dir` and so in tab completion, and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection
from typing import Any

from mllosses_jax._core.text import did_you_mean


def show_public_names(package: str, *, lazy: Collection[str] = ()) -> None:
    """Makes `dir` of a package its `__all__`, and lets a misspelled name tell what there is.

    To be called at the end of the package as `show_public_names(__name__)`. What is not public
    stays where it is. (The two hooks are set here, where no type checker sees a `__getattr__` by
    which any name would exist.)

    Args:
        package: its `__name__`; it defines `__all__`.
        lazy: the public names that are submodules to be imported when they are first used.
    """
    module = sys.modules[package]
    public = sorted(module.__all__)

    def __getattr__(name: str) -> Any:
        if name in lazy:
            return importlib.import_module(f"{package}.{name}")
        hint = "" if name.startswith("_") else did_you_mean(name, public)
        # With a name of its own, a traceback adds no second hint.
        raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}", name=name)

    vars(module).update(__getattr__=__getattr__, __dir__=public.copy)
