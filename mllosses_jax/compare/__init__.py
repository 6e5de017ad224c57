"""The experiment as a library: losses compared on a data set, by the models they train.

`compare` trains a model under each loss and returns a `Comparison`. It prints nothing; the command
`mllosses compare` shows what it returns.

- `comparison`: the experiment from end to end; `settings`: what it is told.
- `choice`: which losses, with which parameters; `bound_loss`: a loss with what it takes from the
  data; `heads`: its parameters that are outputs of the model.
- `linear`: the linear model, on `lbfgs`, `descent` and `products`; `mlp`: the MLP, on
  `mlp_training`; `parts`: the rows that validate; `validation`: what these decide.
- `outcome`: what training gave; `judgment`: its figures on the test part, on `resampling` and
  `intervals`; `thresholds`: its thresholds as files.
- `folder`: the output folder; `card`: the data card in it.
- `report`: the comparison in words; `notes`: its sentences.
- `errors`: what is the caller's to mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mllosses_jax._core.text import did_you_mean

if TYPE_CHECKING:
    from mllosses_jax.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]


def __getattr__(name: str) -> Any:
    """Imports the experiment when it is first used: its errors alone cost nothing."""
    if name in __all__:
        from mllosses_jax.compare import comparison

        return getattr(comparison, name)
    hint = "" if name.startswith("_") else did_you_mean(name, __all__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name)


def __dir__() -> list[str]:
    return __all__
