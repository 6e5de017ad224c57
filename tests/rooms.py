"""The public modules of the package, which tests of names and docstrings go through."""

import importlib
import pkgutil

import mllosses_jax as mll

# The command is no library: it shows `main` alone.
NAMES = [
    *sorted({m.name for m in pkgutil.iter_modules(mll.__path__) if m.name[0] != "_"} - {"cli"}),
    "metrics.streaming",
]
MODULES = {name: importlib.import_module(f"mllosses_jax.{name}") for name in NAMES}
