"""The experiment as a library: losses compared on a data set, by the models they train.

`compare` trains a model under each loss and returns a `Comparison`. It prints nothing; the command
`mllosses compare` shows what it returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:
    """Imports the experiment when it is first used: its errors alone cost nothing."""
    if name in __all__:
        from mllosses_jax.compare import comparison

        return getattr(comparison, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
