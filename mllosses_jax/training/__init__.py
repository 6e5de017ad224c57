"""Training steps for any optax optimiser and any model that is a function of its parameters.

`make_train_step` does one update and leaves the loop to you; `TrainState` holds everything that it
changes, in one pytree; `make_eval_step` returns logits and metrics. `sweep` trains many runs in one
program. In your own loop, `average_parameters` keeps a moving average of the parameters, and
`adaptive_asymmetry` adapts `gamma_neg` of the asymmetric loss.

- `state`: `TrainState`; `steps`: the two steps; `sweeps`: `sweep`.
- `averages`: `average_parameters`; `adaptive`: `adaptive_asymmetry`.
"""

from __future__ import annotations

from mllosses_jax._core.public import show_public_names
from mllosses_jax.training.adaptive import adaptive_asymmetry
from mllosses_jax.training.averages import average_parameters
from mllosses_jax.training.state import TrainState
from mllosses_jax.training.steps import make_eval_step, make_train_step
from mllosses_jax.training.sweeps import sweep

__all__ = [
    "TrainState",
    "adaptive_asymmetry",
    "average_parameters",
    "make_eval_step",
    "make_train_step",
    "sweep",
]

show_public_names(__name__)
