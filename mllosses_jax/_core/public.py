"""What a package shows in `dir`, and so in tab completion: its public names and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection
from typing import Any

from mllosses_jax._core.text import did_you_mean


def show_public_names(package: str, *, lazy: Collection[str] = ()) -> None:
    """Limits `dir` of a package to `__all__`, and lets a misspelled name suggest the right one.

    Call it at the end of the package as `show_public_names(__name__)`. Names that are not public
    can still be imported. (The hooks are set here, because a type checker that saw `__getattr__`
    in the package would accept any name.)

    Args:
        package: the `__name__` of the package, which defines `__all__`.
        lazy: the public names of submodules that are imported when they are first used.
    """
    module = sys.modules[package]
    public = sorted(module.__all__)

    def __getattr__(name: str) -> Any:
        if name in lazy:
            return importlib.import_module(f"{package}.{name}")
        hint = "" if name.startswith("_") else did_you_mean(name, public)
        # The name argument keeps Python from adding a second hint to the traceback.
        raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}", name=name)

    vars(module).update(__getattr__=__getattr__, __dir__=public.copy)
