"""The calls of this package that match the golden cases, one mapping function per file.

`golden/NAME.json` is a list of cases computed with the authors' own code: inputs, parameters,
value, gradient with respect to the logits (of the sum, if the value is an array) and the
tolerance of a float64 implementation. The mapping of the same name makes the same call to ours.
There is one module per family of losses. `differences` says where ours differ on purpose.
"""

import importlib
import pkgutil

from golden_calls.registry import MAPPINGS, Case

__all__ = ["MAPPINGS", "Case"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"golden_calls.{_module.name}")
