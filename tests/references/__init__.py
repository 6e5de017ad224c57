"""Element losses and their references to 50 digits: one module per family, each with `rows`."""

import importlib
import pkgutil

from references.row import HARD, SOFT, Row

_MODULES = [importlib.import_module(f"references.{m.name}") for m in pkgutil.iter_modules(__path__)]
ROWS: list[Row] = [
    row
    for labels in (HARD, SOFT)
    for module in _MODULES
    if hasattr(module, "rows")
    for row in module.rows(labels)
]
